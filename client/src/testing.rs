//! Fixtures for the unit tests of both the library and the command.

use ddpm_client::samplers::Ddpm;
use ddpm_client::{Model, ModelKind, Sampler};

/// Describes a model `m` of classes `ring` and `cross`.
///
/// * `shape`: of one sample.
pub(crate) fn model(kind: ModelKind, shape: &[u32]) -> Model {
    Model {
        name: "m".to_owned(),
        version: String::new(),
        digest: String::new(),
        kind,
        shape: shape.to_vec(),
        class_names: vec!["ring".to_owned(), "cross".to_owned()],
        timesteps: 1000,
        schedule: String::new(),
        prediction: String::new(),
        variance: String::new(),
        default_sampler: Sampler::from(Ddpm { variance: None }).into(),
        default_num_steps: 250,
        default_grid: None,
        graph: String::new(),
        graphs: Vec::new(),
        strict: false,
        call_costs: Vec::new(),
    }
}

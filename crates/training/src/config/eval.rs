//! When samples are judged during training, how many, and how they are drawn.

use std::path::PathBuf;

use ddpm_diffusion::{GridSpec, Sampler};
use serde::{Deserialize, Serialize};

/// When samples are judged, how many, and how they are drawn; may change when a run is resumed.
///
/// Training itself knows nothing of evaluation: it draws the samples and hands them to a
/// [`Judge`](crate::Judge) from outside. `extractor` is stored only for the code that makes that
/// judge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EvalConfig {
    /// Steps between evaluations; 0: never. Otherwise there is also one at the end.
    pub every: u32,
    /// Samples per evaluation; 0: the default for the kind of model.
    pub count: usize,
    /// The sampler; absent: the model's default.
    pub sampler: Option<Sampler>,
    /// Steps of the sampler; absent: the sampler's default.
    pub num_steps: Option<usize>,
    /// The time grid; absent: the sampler's default.
    pub grid: Option<GridSpec>,
    /// The feature extractor for pictures; absent: the small network shipped with the program.
    pub extractor: Option<PathBuf>,
}

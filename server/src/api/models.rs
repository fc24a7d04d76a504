//! `ModelService`: the models being served.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ddpm_onnx::Denoiser;
use ddpm_package::Kind;
use ddpm_proto::convert::{grid_to_proto, sampler_to_proto};
use ddpm_proto::undecoded::model_service_server::ModelService;
use ddpm_proto::v1;
use tonic::{Request, Response, Status};

use super::Serving;
use super::incoming::decode;
use crate::cost::{CostCurve, Costs};
use crate::registry::Model;

/// Lists the models.
pub(crate) struct Models(pub(super) Arc<Serving>);

#[tonic::async_trait]
impl ModelService for Models {
    async fn list_models(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        decode::<v1::ListModelsRequest>(request.into_inner())?;
        let models = self.0.registry.models().iter();
        let models = models.map(|model| describe(model, &self.0.costs)).collect();
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let request: v1::GetModelRequest = decode(request.into_inner())?;
        let model = self.0.registry.find(&request.model, &request.version)?;
        Ok(Response::new(v1::GetModelResponse { model: Some(describe(model, &self.0.costs)) }))
    }
}

fn describe(model: &Model, costs: &Costs) -> v1::Model {
    let manifest = &model.manifest;
    let default = &manifest.default_sampler;
    let kind = match manifest.kind {
        Kind::Image => v1::ModelKind::Image,
        Kind::Points2d => v1::ModelKind::Points2d,
    };
    let (default_grid, default_grid_options) = grid_to_proto(&default.grid);
    v1::Model {
        name: manifest.name.clone(),
        version: manifest.version.clone(),
        digest: model.digest.clone(),
        kind: kind.into(),
        shape: manifest.sample_shape.iter().map(|axis| *axis as u32).collect(),
        class_names: manifest.classes.clone(),
        timesteps: model.network.process.timesteps().unwrap_or(0) as u32,
        schedule: manifest.schedule.kind.clone(),
        prediction: manifest.prediction.name().into(),
        variance: manifest.variance.name().into(),
        default_sampler: Some(sampler_to_proto(default.sampler)),
        default_num_steps: default.num_steps as u32,
        default_grid: default_grid.into(),
        default_grid_options,
        strict: model.determinism.strict,
        call_costs: costs.with(model.id, call_costs),
        graph: Denoiser::GRAPH.into(),
    }
}

/// Returns the cost of calls of 1, 2, 4, … evals up to the largest.
fn call_costs(curve: &CostCurve) -> Vec<v1::CallCost> {
    let largest = curve.largest();
    let powers = (0..32).map(|power| 1 << power).take_while(|evals| *evals < largest);
    let cost = |evals| {
        let time = Duration::try_from_secs_f64(curve.seconds(evals)).ok()?;
        Some(v1::CallCost { evals, time: time.try_into().ok() })
    };
    powers.chain([largest]).filter_map(cost).collect()
}

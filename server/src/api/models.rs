//! `ModelService`: the models being served.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ddpm_diffusion::{Process, Recipe, Sampler, Start};
use ddpm_package::{Defaults, Kind, RequestedSampler, SamplingRequest};
use ddpm_proto::convert::{grid_to_proto, sampler_info, sampler_to_proto};
use ddpm_proto::undecoded::model_service_server::ModelService;
use ddpm_proto::v1;
use tonic::{Request, Response, Status};

use super::Serving;
use super::incoming::decode;
use crate::cost::CostCurve;
use crate::registry::Model;

/// Lists the models.
pub(crate) struct Models {
    serving: Arc<Serving>,
    /// By id, without what changes.
    described: Vec<v1::Model>,
}

impl Models {
    pub(super) fn new(serving: Arc<Serving>) -> Self {
        let described = serving.registry.all().iter().map(describe).collect();
        Self { serving, described }
    }

    /// Describes a model as it is now.
    fn now(&self, model: &Model) -> v1::Model {
        let costs = |model: &Model| self.serving.costs.with(model.id, call_costs);
        let graph = |model: &Model| graph_info(model, costs(model));
        v1::Model {
            call_costs: costs(model),
            graphs: self.serving.registry.graphs_of(model).map(graph).collect(),
            ..self.described[model.id].clone()
        }
    }
}

#[tonic::async_trait]
impl ModelService for Models {
    async fn list_models(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        decode::<v1::ListModelsRequest>(request.into_inner())?;
        let models = self.serving.registry.models();
        let models = models.map(|model| self.now(model)).collect();
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let request: v1::GetModelRequest = decode(request.into_inner())?;
        let model = self.serving.registry.find(&request.model, &request.version, "")?;
        Ok(Response::new(v1::GetModelResponse { model: Some(self.now(model)) }))
    }
}

fn describe(model: &Model) -> v1::Model {
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
        call_costs: Vec::new(),
        graph: model.graph.name().into(),
        graphs: Vec::new(),
        alphas_cumprod: match &model.network.process {
            Process::Discrete(schedule) => schedule.alphas_cumprod().to_vec(),
            Process::Edm(_) | Process::Flow => Vec::new(),
        },
        edm: match model.network.process {
            Process::Edm(edm) => Some(v1::EdmNoise {
                sigma_min: edm.sigma_min,
                sigma_max: edm.sigma_max,
                sigma_data: edm.sigma_data,
            }),
            Process::Discrete(_) | Process::Flow => None,
        },
        samplers: samplers(model),
    }
}

/// Describes the samplers that a model can run: those whose default run compiles.
fn samplers(model: &Model) -> Vec<v1::SamplerInfo> {
    let defaults = Defaults::from_manifest(&model.manifest, &model.network);
    let info = |sampler: Sampler| {
        let request = RequestedSampler::Named(sampler);
        let request = SamplingRequest { sampler: request, ..SamplingRequest::default() };
        let recipe = defaults.recipe(&request).ok()?;
        let start = if sampler.encodes() { Start::State } else { Start::Noise };
        let recipe = Recipe { start, ..recipe };
        recipe.compile(&model.network).ok()?;
        Some(sampler_info(sampler, recipe.num_steps))
    };
    Sampler::ALL.into_iter().filter_map(info).collect()
}

/// Describes a model in one of its graphs.
fn graph_info(model: &Model, call_costs: Vec<v1::CallCost>) -> v1::GraphInfo {
    v1::GraphInfo {
        name: model.graph.name().into(),
        precision: model.graph.precision().into(),
        strict: model.determinism.strict,
        call_costs,
        quality: model.quality().map(|quality| v1::GraphQuality {
            frechet_ratio: quality.frechet_ratio,
            upper: quality.upper,
            samples: quality.samples as u64,
            passed: quality.passed,
        }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    fn described(name: &str) -> v1::Model {
        let registry = Registry::embedded().unwrap();
        describe(registry.find(name, "", "").unwrap())
    }

    #[test]
    fn a_model_says_how_its_data_becomes_noise() {
        let model = described("toy");
        assert_eq!(model.alphas_cumprod.len(), model.timesteps as usize);
        let falls = model.alphas_cumprod.windows(2).all(|pair| pair[0] > pair[1]);
        assert!(falls && model.alphas_cumprod.iter().all(|it| (0.0..1.0).contains(it)));
        assert!(model.edm.is_none());
    }

    #[test]
    fn a_model_lists_the_samplers_that_it_can_run() {
        let model = described("glyphs");
        let find = |name: &str| model.samplers.iter().find(|info| info.name == name);
        assert_eq!(find("ddim").unwrap().default_num_steps, model.default_num_steps);
        assert_eq!(find("ddpm").unwrap().default_num_steps, model.timesteps);
        assert!(find("ddim-inverse").unwrap().encodes);
        assert!(find("ddim").unwrap().single_step && !find("unipc").unwrap().single_step);
    }
}

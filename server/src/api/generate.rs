//! Checks a `GenerateRequest`: every fault is reported with its field, all of
//! them at once, and every default is filled in.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    sync::Arc,
};

use ddpm_diffusion::{Clip, Error as MathError, GridKind, Program, noise, samplers};
use ddpm_onnx::Denoiser;
use ddpm_package::Kind;
use ddpm_proto::v1;

use super::{
    Serving,
    wire::{self, Sampler},
};
use crate::{
    admission::Limits,
    error::{Error, Violation, shorten},
    frames::{Encoder, Encoding},
    registry::Model,
    request::{Indices, Request, Watch},
};

/// A request that will be served as it is, and how to answer it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) request: Request,
    pub(crate) request_id: String,
    pub(crate) receipt: v1::Receipt,
    pub(crate) encoder: Encoder,
    pub(crate) preview_encoder: Encoder,
    pub(crate) seconds_an_eval: f64,
}

/// Checks a request.
///
/// # Errors
///
/// [`Error::NotFound`] for the model, [`Error::Invalid`] with every field that is
/// wrong, [`Error::ExpectMismatch`].
pub(crate) fn check(serving: &Serving, message: v1::GenerateRequest) -> Result<Checked, Error> {
    let mut faults = Faults::default();
    if message.model.is_empty() {
        faults.add("model", "is required; ModelService.ListModels lists the models");
        return faults.result();
    }
    let model = serving.registry.find(&message.model, &message.version)?;
    let limits = serving.admission.limits();

    if message.request_id.len() > 128 {
        let bytes = message.request_id.len();
        faults.add("request_id", format!("has {bytes} bytes, at most 128 are allowed"));
    }
    let indices = faults.take("samples", indices(&message, &limits));
    check_labels(&mut faults, model, &message.class_labels, &limits);
    let clip = faults.code("clip", message.clip, v1::Clip::Unspecified);
    let clip = wire::clip(clip, default_clip(model));
    let grid = faults.code("grid", message.grid, v1::Grid::Unspecified);
    let grid = wire::grid(grid, model.manifest.default_sampler.grid);
    let sampler = sampler(&mut faults, model, message.sampler);
    let num_steps = message.num_steps.map_or_else(|| default_steps(model, sampler), |n| n as usize);
    let program = faults.add_math(compile(model, sampler, grid, num_steps, clip));
    let encoder = encoder(&mut faults, "format", model, message.format, default_encoding(model));
    let default = encoder.as_ref().map_or(default_encoding(model), Encoder::encoding);
    let (watch, preview_encoder) =
        preview(&mut faults, model, message.preview.as_ref(), indices.as_ref(), &limits, default);
    let (Some(indices), Some(program), Some(encoder), Some(preview_encoder), true) =
        (indices, program, encoder, preview_encoder, faults.0.is_empty())
    else {
        return faults.result();
    };

    let seed = message.seed.unwrap_or_else(any_seed);
    let program = Arc::new(program);
    let class_labels = message.class_labels;
    let receipt = v1::Receipt {
        model: model.manifest.name.clone(),
        version: model.manifest.version.clone(),
        model_digest: model.digest.clone(),
        graph: Denoiser::GRAPH.into(),
        program_digest: program.digest(),
        fingerprint: serving.fingerprint.clone(),
        noise_layout: noise::LAYOUT.into(),
        seed,
        class_labels: class_labels.clone(),
        sampler: Some(sampler.to_wire()),
        num_steps: num_steps as u32,
        grid: wire::grid_to_wire(grid).into(),
        clip: wire::clip_to_wire(clip).into(),
    };
    check_expected(message.expect.as_ref(), &receipt)?;
    let request = Request { model: model.id, program, seed, indices, class_labels, watch };
    if request.evals() > limits.max_evals {
        let (evals, max) = (request.evals(), limits.max_evals);
        faults.add("samples", format!("cost {evals} evals in all, at most {max} are allowed"));
        return faults.result();
    }
    Ok(Checked {
        request,
        request_id: message.request_id,
        receipt,
        encoder,
        preview_encoder,
        seconds_an_eval: model.cost.seconds_an_eval,
    })
}

/// The fields that are wrong so far.
#[derive(Debug, Default)]
struct Faults(Vec<Violation>);

impl Faults {
    fn add(&mut self, field: &str, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// The value, or a fault of its field.
    fn take<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|description| self.add(field, description)).ok()
    }

    /// A value of an enum, or a fault if this server does not know it.
    fn code<E: TryFrom<i32>>(&mut self, field: &str, code: i32, otherwise: E) -> E {
        E::try_from(code).unwrap_or_else(|_| {
            self.add(field, format!("{code} is no value that this server knows"));
            otherwise
        })
    }

    /// A compiled program, or a fault of the field that the mathematics objects
    /// to.
    fn add_math(&mut self, program: Result<Program, MathError>) -> Option<Program> {
        let field = match &program {
            Ok(_) => "",
            Err(MathError::Grid(_)) => "num_steps",
            Err(MathError::Sampler(reason)) if reason.contains("eta") => "sampler.ddim.eta",
            Err(_) => "sampler",
        };
        let words = |error: MathError| match error {
            MathError::Grid(reason) | MathError::Sampler(reason) => reason,
            other => other.to_string(),
        };
        self.take(field, program.map_err(words))
    }

    fn result<T>(self) -> Result<T, Error> {
        Err(Error::Invalid(self.0))
    }
}

fn indices(message: &v1::GenerateRequest, limits: &Limits) -> Result<Indices, String> {
    use v1::generate_request::Samples;
    let ranges = match &message.samples {
        None => return Err("sample_count or index_ranges is required".into()),
        Some(Samples::SampleCount(0)) => {
            return Err("sample_count must be at least 1, got 0".into());
        }
        Some(Samples::SampleCount(count)) => vec![(0, u64::from(*count))],
        Some(Samples::IndexRanges(ranges)) => {
            ranges.ranges.iter().map(|range| (range.first, u64::from(range.count))).collect()
        }
    };
    let indices = Indices::new(ranges)?;
    let max = limits.max_samples;
    if indices.len() > u64::from(max) {
        return Err(format!("{} samples are too many: at most {max} a request", indices.len()));
    }
    Ok(indices)
}

fn check_labels(faults: &mut Faults, model: &Model, labels: &[u32], limits: &Limits) {
    let classes = model.manifest.classes.len();
    if labels.len() > limits.max_samples as usize {
        faults.add("class_labels", format!("more than {} labels", limits.max_samples));
    }
    if classes == 0 && !labels.is_empty() {
        faults.add("class_labels", "this model has no classes");
    } else if let Some(label) = labels.iter().find(|label| **label as usize >= classes) {
        faults.add("class_labels", format!("must be in 0..={}, got {label}", classes - 1));
    }
}

fn default_clip(model: &Model) -> Clip {
    match model.manifest.kind {
        Kind::Image => Clip::Unit,
        Kind::Points2d => Clip::None,
    }
}

fn default_encoding(model: &Model) -> Encoding {
    match model.manifest.kind {
        Kind::Image => Encoding::RawU8,
        Kind::Points2d => Encoding::RawF32,
    }
}

fn sampler(faults: &mut Faults, model: &Model, wire: Option<v1::Sampler>) -> Sampler {
    use v1::sampler::Kind;
    let manifest = &model.manifest;
    let default = Sampler::from_spec(manifest.default_sampler.sampler, manifest.variance);
    match wire.map(|sampler| sampler.kind) {
        None => default,
        Some(None) => {
            faults.add("sampler.kind", "is required: ddpm or ddim");
            default
        }
        Some(Some(Kind::Ddpm(ddpm))) => {
            let unspecified = v1::DdpmVariance::Unspecified;
            let code = faults.code("sampler.ddpm.variance", ddpm.variance, unspecified);
            Sampler::Ddpm(wire::variance(code, manifest.variance))
        }
        Some(Some(Kind::Ddim(ddim))) => {
            let unspecified = v1::DdimClipRule::Unspecified;
            let code = faults.code("sampler.ddim.clip_rule", ddim.clip_rule, unspecified);
            Sampler::Ddim { eta: ddim.eta, clipped_eps: wire::clipped_eps(code) }
        }
    }
}

/// The model's own number for its default sampler; otherwise all steps for
/// ancestral sampling and 50 for DDIM.
fn default_steps(model: &Model, sampler: Sampler) -> usize {
    let default = &model.manifest.default_sampler;
    let own = Sampler::from_spec(default.sampler, model.manifest.variance);
    let timesteps = model.schedule.timesteps();
    if std::mem::discriminant(&own) == std::mem::discriminant(&sampler) {
        return default.num_steps;
    }
    match sampler {
        Sampler::Ddpm(_) => timesteps,
        Sampler::Ddim { .. } => timesteps.min(50),
    }
}

fn compile(
    model: &Model,
    sampler: Sampler,
    grid: GridKind,
    num_steps: usize,
    clip: Clip,
) -> Result<Program, MathError> {
    let grid = grid.grid(model.schedule.timesteps(), num_steps)?;
    let network = model.manifest.parameterization();
    match sampler {
        Sampler::Ddpm(variance) => samplers::ddpm(&model.schedule, network, &grid, clip, variance),
        Sampler::Ddim { eta, clipped_eps } => {
            let options = samplers::Ddim { eta, clipped_eps };
            samplers::ddim(&model.schedule, network, &grid, clip, &options)
        }
    }
}

fn encoder(
    faults: &mut Faults,
    field: &str,
    model: &Model,
    code: i32,
    default: Encoding,
) -> Option<Encoder> {
    let format = faults.code(field, code, v1::Format::Unspecified);
    faults.take(field, Encoder::new(wire::encoding(format, default), &model.manifest))
}

fn preview(
    faults: &mut Faults,
    model: &Model,
    options: Option<&v1::PreviewOptions>,
    indices: Option<&Indices>,
    limits: &Limits,
    default: Encoding,
) -> (Option<Watch>, Option<Encoder>) {
    let Some(options) = options else {
        return (None, encoder(faults, "format", model, 0, default));
    };
    let kind = faults.code("preview.kind", options.kind, v1::PreviewKind::Unspecified);
    let delivery = faults.code("preview.delivery", options.delivery, v1::Delivery::Unspecified);
    let encoder = encoder(faults, "preview.format", model, options.format, default);
    let watched = indices.map(|indices| watched(options, indices, limits));
    let indices = watched.and_then(|watched| faults.take("preview.indices", watched));
    let watch = indices.map(|indices| Watch {
        indices,
        x_0: kind != v1::PreviewKind::XT,
        x_t: matches!(kind, v1::PreviewKind::XT | v1::PreviewKind::Both),
        every_steps: options.every_steps.max(1),
        delivery: wire::delivery(delivery),
    });
    (watch, encoder)
}

/// The watched indices, sorted.
fn watched(
    options: &v1::PreviewOptions,
    indices: &Indices,
    limits: &Limits,
) -> Result<Vec<u64>, String> {
    let max = u64::from(limits.max_watched_samples);
    let mut watched: Vec<u64> = if options.indices.is_empty() {
        (0..indices.len().min(max)).map(|position| indices.at(position)).collect()
    } else {
        options.indices.clone()
    };
    watched.sort_unstable();
    watched.dedup();
    if watched.len() as u64 > max {
        return Err(format!("{} samples are too many to watch: at most {max}", watched.len()));
    }
    match watched.iter().find(|index| !indices.contains(**index)) {
        Some(index) => Err(format!("sample {index} is not one of this request")),
        None => Ok(watched),
    }
}

fn check_expected(expect: Option<&v1::Expect>, receipt: &v1::Receipt) -> Result<(), Error> {
    let Some(expect) = expect else { return Ok(()) };
    let fields = [
        ("expect.model_digest", &expect.model_digest, &receipt.model_digest),
        ("expect.program_digest", &expect.program_digest, &receipt.program_digest),
        ("expect.fingerprint", &expect.fingerprint, &receipt.fingerprint),
    ];
    let differs =
        fields.into_iter().find(|(_, expected, found)| !expected.is_empty() && expected != found);
    match differs {
        None => Ok(()),
        Some((field, expected, found)) => {
            Err(Error::ExpectMismatch { field, expected: shorten(expected), found: found.clone() })
        }
    }
}

/// A seed that nobody chose. 32 bits: people read it out and type it in.
fn any_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}

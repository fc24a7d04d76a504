//! Checks a `GenerateRequest`: reports all faults at once, each with its field, and fills
//! in every default.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Instant;

use ddpm_diffusion::{Program, Row, Sampler, noise};
use ddpm_package::Kind;
use ddpm_proto::v1;

use super::compiled::Compiled;
use super::faults::Faults;
use super::inputs::{self, Inputs};
use super::recipe::Asked;
use super::{Serving, wire};
use crate::admission::Limits;
use crate::error::{Error, shorten};
use crate::frames::{Encoder, Encoding};
use crate::registry::Model;
use crate::request::{Deadline, Indices, Request, Watch};
use crate::scheduler::Priority;

/// A request that can be served, and how to answer it.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) request: Request,
    pub(crate) receipt: v1::Receipt,
    pub(crate) encoder: Encoder,
    pub(crate) preview_encoder: Encoder,
}

/// Times that the rows of a recipe are in memory while it is compiled: step by step, and as one
/// list that doubles.
const ROW_COPIES: u64 = 3;

/// Returns the bytes of memory that are made of a message while it is checked: rows, elements,
/// and what reading a PNG takes.
///
/// * `rows`: the estimated rows of its program.
pub(crate) fn made_bytes(serving: &Serving, message: &v1::GenerateRequest, rows: u64) -> u64 {
    let tensors = || inputs::tensors(message);
    let files = tensors().filter(|tensor| tensor.format == i32::from(v1::Format::Png));
    let file = files.map(|tensor| inputs::png_bytes(tensor.data.len())).max().unwrap_or(0);
    let model = serving.registry.find(&message.model, &message.version, &message.graph);
    let sample = model.map_or(0, |model| model.manifest.sample_len() * size_of::<f32>());
    let kind = message.sampler.as_ref().and_then(|sampler| sampler.kind.as_ref());
    let own = matches!(kind, Some(v1::sampler::Kind::Program(_)));
    let max = Program::MAX_ROWS as u64;
    // Some samplers have three rows a step, and inpainting adds two: twice the estimate.
    let rows = if own { rows.min(max) } else { rows.saturating_mul(2).min(max) * ROW_COPIES };
    let rows = rows * size_of::<Row>() as u64;
    let ranges = match &message.samples {
        Some(v1::generate_request::Samples::IndexRanges(ranges)) => {
            ranges.ranges.len() * Indices::BYTES_PER_RANGE
        }
        _ => 0,
    };
    rows + (tensors().count() * (size_of::<Vec<f32>>() + sample) + file + ranges) as u64
}

/// The parts of a request, each checked by itself.
struct Parts {
    indices: Indices,
    inputs: Inputs,
    compiled: Arc<Compiled>,
    encoder: Encoder,
    preview_encoder: Encoder,
    watch: Option<Watch>,
    priority: Priority,
    determinism: v1::Determinism,
    deadline: Option<Deadline>,
}

/// Checks a request.
///
/// # Errors
///
/// [`Error::NotFound`] for the model, [`Error::GraphUnavailable`] for its graph,
/// [`Error::Invalid`] with every invalid field, [`Error::ExpectMismatch`].
///
/// * `deadline`: the end of the time that the client allows.
pub(crate) fn check(
    serving: &Serving,
    mut message: v1::GenerateRequest,
    deadline: Option<Instant>,
) -> Result<Checked, Error> {
    let mut faults = Faults::default();
    if message.model.is_empty() {
        faults.add("model", "is required; ModelService.ListModels lists the models");
        return faults.result();
    }
    let model = serving.registry.find(&message.model, &message.version, &message.graph)?;
    let limits = serving.admission.limits();
    let parts = check_parts(&mut faults, serving, model, &mut message, deadline);
    let Some(parts) = parts.filter(|_| faults.is_empty()) else {
        return faults.result();
    };

    if parts.determinism == v1::Determinism::Strict && !model.determinism.strict {
        let (model, why) = (model.manifest.name.clone(), model.determinism.why.clone());
        return Err(Error::StrictUnavailable { model, why });
    }
    let expect = message.expect.take();
    let checked = assemble(serving, model, message, parts);
    check_expected(expect.as_ref(), &checked.receipt)?;
    check_cost(faults, &checked.request, &limits)?;
    Ok(checked)
}

/// Checks each part of a request; `None` if one cannot be made. Takes the large parts
/// out of the message.
fn check_parts(
    faults: &mut Faults,
    serving: &Serving,
    model: &Model,
    message: &mut v1::GenerateRequest,
    deadline: Option<Instant>,
) -> Option<Parts> {
    let limits = &serving.admission.limits();
    check_request_id(faults, &message.request_id);
    let indices = faults.take("samples", indices(message, limits));
    check_labels(faults, model, &message.class_labels, limits);
    let initial = message.initial.take();
    let max = limits.max_samples;
    let inputs = inputs::read(faults, &model.manifest, initial, message.inpaint.as_ref(), max);
    let asked = asked(message, &inputs);
    let compiled = serving.compiled.get(faults, model, asked);

    let sampler = compiled.as_ref().and_then(|compiled| compiled.sampler);
    let default = default_encoding(model, sampler);
    let encoder = encoder(faults, "format", model, message.format, default);
    let default = encoder.as_ref().map_or(default, Encoder::encoding);
    let (watch, preview_encoder) =
        preview(faults, model, message.preview.as_ref(), indices.as_ref(), limits, default);
    Some(Parts {
        indices: indices?,
        inputs,
        compiled: compiled?,
        encoder: encoder?,
        preview_encoder: preview_encoder?,
        watch,
        priority: priority(faults, message.priority),
        determinism: determinism(faults, message.determinism),
        deadline: check_deadline(faults, message.on_deadline, deadline),
    })
}

fn priority(faults: &mut Faults, code: i32) -> Priority {
    match faults.code("priority", code, v1::Priority::Unspecified) {
        v1::Priority::Batch => Priority::Batch,
        v1::Priority::Unspecified | v1::Priority::Normal => Priority::Normal,
        v1::Priority::Interactive => Priority::Interactive,
    }
}

fn determinism(faults: &mut Faults, code: i32) -> v1::Determinism {
    match faults.code("determinism", code, v1::Determinism::Unspecified) {
        v1::Determinism::Unspecified => v1::Determinism::Relaxed,
        chosen => chosen,
    }
}

fn check_deadline(faults: &mut Faults, code: i32, deadline: Option<Instant>) -> Option<Deadline> {
    let choice = faults.code("on_deadline", code, v1::OnDeadline::Unspecified);
    let returns_finished = choice == v1::OnDeadline::ReturnFinished;
    if returns_finished && deadline.is_none() {
        faults.add("on_deadline", "needs a deadline: set a timeout for the call");
    }
    deadline.map(|at| Deadline { at, returns_finished })
}

fn check_request_id(faults: &mut Faults, request_id: &str) {
    let bytes = request_id.len();
    if bytes > 128 {
        faults.add("request_id", format!("has {bytes} bytes; at most 128 are allowed"));
    }
}

/// Takes the parts of a message that decide its rows.
fn asked(message: &mut v1::GenerateRequest, inputs: &Inputs) -> Asked {
    Asked {
        sampler: message.sampler.take(),
        num_steps: message.num_steps,
        grid: message.grid,
        grid_options: message.grid_options.take(),
        clip: message.clip,
        dynamic_threshold: message.dynamic_threshold,
        guidance: message.guidance,
        shared_noise: message.shared_noise,
        inpaint: message.inpaint.as_ref().and_then(|inpaint| inpaint.method),
        has_known: message.inpaint.is_some(),
        initial: inputs.kind,
        labelled: !message.class_labels.is_empty(),
    }
}

/// Puts the checked parts together, with a seed and a receipt.
fn assemble(
    serving: &Serving,
    model: &Model,
    message: v1::GenerateRequest,
    parts: Parts,
) -> Checked {
    let Parts { indices, inputs, compiled, encoder, preview_encoder, watch, .. } = parts;
    let seed = message.seed.unwrap_or_else(random_seed);
    let program = Arc::clone(&compiled.program);
    let class_labels = message.class_labels;
    let receipt = v1::Receipt {
        model: model.manifest.name.clone(),
        version: model.manifest.version.clone(),
        model_digest: model.digest.clone(),
        graph: model.graph.name().into(),
        program_digest: compiled.digest.clone(),
        fingerprint: serving.fingerprint.clone(),
        noise_layout: noise::LAYOUT.into(),
        seed,
        class_labels: class_labels.clone(),
        inputs_digest: inputs.digest,
        interpolation_frames: inputs.initial.frames(),
        determinism: parts.determinism.into(),
        ..compiled.recipe.clone()
    };
    let request = Request {
        request_id: message.request_id,
        model: model.id,
        program,
        program_digest: receipt.program_digest.clone(),
        seed,
        indices,
        class_labels,
        initial: inputs.initial,
        known: inputs.known,
        watch,
        priority: parts.priority,
        deadline: parts.deadline,
    };
    Checked { request, receipt, encoder, preview_encoder }
}

/// Limits evals, and rows too: a row without an eval is cheap, not free.
fn check_cost(mut faults: Faults, request: &Request, limits: &Limits) -> Result<(), Error> {
    let rows = request.indices.len().saturating_mul(request.program.rows().len() as u64);
    let max = limits.max_evals;
    for (what, count) in [("evals", request.evals()), ("rows", rows)] {
        if count > max {
            faults
                .add("samples", format!("cost {count} {what} in total; at most {max} are allowed"));
            return faults.result();
        }
    }
    Ok(())
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
        return Err(format!("{} samples are too many: at most {max} per request", indices.len()));
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

/// Returns pixels for images, unless the sampler encodes them; elements otherwise.
fn default_encoding(model: &Model, sampler: Option<Sampler>) -> Encoding {
    match model.manifest.kind {
        Kind::Image if !sampler.is_some_and(Sampler::encodes) => Encoding::RawU8,
        Kind::Image | Kind::Points2d => Encoding::RawF32,
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
    let max = max_watched(model, limits);
    let watched = indices.map(|indices| watched(options, indices, max));
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

/// Most bytes of previews that may wait for one reader.
const WATCHED_BYTES: usize = 32 << 20;

/// Returns how many samples of a model may be watched: two previews of each may wait.
fn max_watched(model: &Model, limits: &Limits) -> u64 {
    let sample = 2 * size_of::<f32>() * model.manifest.sample_len();
    u64::from(limits.max_watched_samples).min((WATCHED_BYTES / sample).max(1) as u64)
}

/// Returns the watched indices, sorted.
fn watched(options: &v1::PreviewOptions, indices: &Indices, max: u64) -> Result<Vec<u64>, String> {
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
        Some(index) => Err(format!("sample {index} is not part of this request")),
        None => Ok(watched),
    }
}

fn check_expected(expect: Option<&v1::Expect>, receipt: &v1::Receipt) -> Result<(), Error> {
    let Some(expect) = expect else { return Ok(()) };
    let fields = [
        ("expect.model_digest", &expect.model_digest, &receipt.model_digest),
        ("expect.program_digest", &expect.program_digest, &receipt.program_digest),
        ("expect.graph", &expect.graph, &receipt.graph),
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

/// Draws a seed. It has 32 bits because people read it out and type it in.
fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}

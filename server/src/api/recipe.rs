//! How samples come to be, as a request asks for it: a recipe that is compiled, or
//! rows of the client's own.

use ddpm_diffusion::{
    Clip, Error as MathError, Evals, GridSpec, Inpaint, Program, RawVariance, Recipe, Row, Sampler,
    Start, auto,
};
use ddpm_package::Kind;
use ddpm_proto::{
    convert::{self, SamplerChoice},
    v1,
};

use super::faults::Faults;
use crate::registry::Model;

/// The parts of a request that decide its rows.
pub(super) struct Asked {
    pub(super) sampler: Option<v1::Sampler>,
    pub(super) num_steps: Option<u32>,
    pub(super) grid: i32,
    pub(super) grid_options: Option<v1::GridOptions>,
    pub(super) clip: i32,
    pub(super) dynamic_threshold: Option<v1::DynamicThreshold>,
    pub(super) guidance: Option<v1::Guidance>,
    pub(super) shared_noise: Option<v1::SharedNoise>,
    pub(super) inpaint: Option<v1::inpaint::Method>,
    /// Whether an image is known in part.
    pub(super) has_known: bool,
    pub(super) initial: Initial,
    /// Whether samples have labels.
    pub(super) labelled: bool,
}

/// What kind of `initial` a request has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Initial {
    Noise,
    States,
    Images { strength: Option<f64> },
}

/// What runs, and how a receipt says it.
pub(super) struct Compiled {
    pub(super) program: Program,
    /// The sampler that runs; absent for rows of the client's own.
    pub(super) sampler: Option<Sampler>,
    pub(super) recipe: v1::Receipt,
}

/// Reads and compiles; faults are added with their fields.
pub(super) fn compile(faults: &mut Faults, model: &Model, asked: &Asked) -> Option<Compiled> {
    let choice = match asked.sampler.clone() {
        None => SamplerChoice::Sampler(model.manifest.default_sampler.sampler),
        Some(sampler) => faults.read("sampler", convert::sampler_from_proto(sampler))?,
    };
    match choice {
        SamplerChoice::Sampler(sampler) => compile_recipe(faults, model, asked, Some(sampler)),
        SamplerChoice::Auto => compile_recipe(faults, model, asked, None),
        SamplerChoice::Program(program) => own_rows(faults, model, asked, program),
    }
}

/// * `sampler`: absent: the choice is ours.
fn compile_recipe(
    faults: &mut Faults,
    model: &Model,
    asked: &Asked,
    sampler: Option<Sampler>,
) -> Option<Compiled> {
    check_lists(faults, asked.grid_options.as_ref())?;
    let grid = faults.code("grid", asked.grid, v1::Grid::Unspecified);
    let grid = convert::grid_from_proto(grid, asked.grid_options.clone(), asked.num_steps);
    let grid = faults.read("", grid);
    let clip = faults.code("clip", asked.clip, v1::Clip::Unspecified);
    let clip = faults.read("", convert::clip_from_proto(clip, asked.dynamic_threshold));
    let guidance = asked.guidance.map(convert::guidance_from_proto);
    check_guidance(faults, model, asked.labelled, guidance.is_some());
    let inpaint = inpaint(faults, asked);
    let (grid, clip) = (grid?, clip?);

    let (sampler, grid, num_steps) = match sampler {
        Some(sampler) => with_defaults(model, sampler, grid, asked.num_steps),
        None => {
            if grid.is_some() {
                faults.add("grid", "is chosen by `auto`: leave it out, or name a sampler");
            }
            let budget = asked.num_steps.map_or(auto::DEFAULT_EVALS, |steps| steps as usize);
            let samples = samples_of(model);
            let chosen = auto::choose(&model.network, samples, budget, guidance, inpaint);
            faults.math(Sampler::Ddpm { variance: None }, &GridSpec::Trailing, chosen)?
        }
    };
    let start = start(faults, asked.initial, sampler);
    let recipe = Recipe {
        sampler,
        grid,
        num_steps,
        clip: clip.unwrap_or_else(|| default_clip(model, sampler)),
        guidance,
        start,
        shared_noise: asked.shared_noise.map(convert::shared_noise_from_proto),
        inpaint,
    };
    let program = faults.math(sampler, &recipe.grid, recipe.compile(&model.network))?;
    Some(Compiled { program, sampler: Some(sampler), recipe: describe(&recipe) })
}

/// Refuses lists that no program could visit, before anything looks at their
/// elements.
fn check_lists(faults: &mut Faults, options: Option<&v1::GridOptions>) -> Option<()> {
    let Some(options) = options else { return Some(()) };
    let max = Program::MAX_ROWS;
    let lists = [
        ("timesteps", options.timesteps.len()),
        ("sigmas", options.sigmas.len()),
        ("sections", options.sections.len()),
    ];
    let (name, got) = match lists.into_iter().find(|(_, len)| *len > max) {
        Some(found) => found,
        None => return Some(()),
    };
    faults.add(format!("grid_options.{name}"), format!("holds at most {max} numbers, got {got}"));
    None
}

/// Fills in grid and steps: the model's own steps for its default sampler, the
/// grid's where it fixes them, the sampler's otherwise.
fn with_defaults(
    model: &Model,
    sampler: Sampler,
    grid: Option<GridSpec>,
    num_steps: Option<u32>,
) -> (Sampler, GridSpec, usize) {
    let default = &model.manifest.default_sampler;
    let process = &model.network.process;
    let steps = num_steps.map(|steps| steps as usize);
    let fits = |grid: &GridSpec| grid.fixed_steps().is_none() || grid.fixed_steps() == steps;
    let grid = grid.unwrap_or_else(|| match sampler {
        Sampler::FlowEuler => GridSpec::Flow { shift: 1.0 },
        _ if steps.is_none() || fits(&default.grid) => default.grid.clone(),
        _ => GridSpec::default_of(process),
    });
    let own = std::mem::discriminant(&default.sampler) == std::mem::discriminant(&sampler);
    let otherwise = if own { default.num_steps } else { sampler.default_steps(process) };
    let num_steps = steps.or(grid.fixed_steps()).unwrap_or(otherwise);
    (sampler, grid, num_steps)
}

fn samples_of(model: &Model) -> auto::Samples {
    match model.manifest.kind {
        Kind::Image => auto::Samples::Pictures,
        Kind::Points2d => auto::Samples::Points,
    }
}

/// Images are clipped; points are not, and neither is the way back to noise,
/// which could not be undone.
fn default_clip(model: &Model, sampler: Sampler) -> Clip {
    match model.manifest.kind {
        Kind::Image if sampler != Sampler::DdimInverse => Clip::Unit,
        Kind::Image | Kind::Points2d => Clip::None,
    }
}

fn check_guidance(faults: &mut Faults, model: &Model, labelled: bool, guided: bool) {
    if !guided {
        return;
    }
    if model.manifest.classes.is_empty() {
        faults.add("guidance", "this model has no classes to be guided to");
    } else if !labelled {
        faults.add("guidance", "needs class_labels to be guided to");
    }
}

fn start(faults: &mut Faults, initial: Initial, sampler: Sampler) -> Start {
    let encodes = sampler == Sampler::DdimInverse;
    match initial {
        Initial::Noise if encodes => {
            faults.add("initial.images", "is required: ddim_inverse encodes images");
            Start::State
        }
        Initial::Noise => Start::Noise,
        Initial::States if encodes => {
            faults.add("initial", "ddim_inverse encodes images, not states: set initial.images");
            Start::State
        }
        Initial::Images { strength: Some(_) } if encodes => {
            faults.add("initial.images.strength", "means nothing to ddim_inverse: leave it out");
            Start::State
        }
        Initial::Images { strength: None } if !encodes => {
            faults.add("initial.images.strength", "is required, in [0, 1]");
            Start::State
        }
        Initial::States | Initial::Images { strength: None } => Start::State,
        Initial::Images { strength: Some(strength) } => Start::Image { strength },
    }
}

fn inpaint(faults: &mut Faults, asked: &Asked) -> Option<Inpaint> {
    let at_least_1 = |number: u32| number.max(1);
    match asked.inpaint {
        None if asked.has_known => {
            faults.add("inpaint.method", "is required: replace_x_t or replace_x_0");
            None
        }
        None => None,
        Some(v1::inpaint::Method::ReplaceX0(_)) => Some(Inpaint::ReplaceX0),
        Some(v1::inpaint::Method::ReplaceXT(repaint)) => Some(Inpaint::ReplaceXt {
            resampling: at_least_1(repaint.resampling),
            jump_length: at_least_1(repaint.jump_length),
        }),
    }
}

/// What a receipt says of a recipe.
fn describe(recipe: &Recipe) -> v1::Receipt {
    let (grid, grid_options) = convert::grid_to_proto(&recipe.grid);
    let (clip, dynamic_threshold) = convert::clip_to_proto(recipe.clip);
    use v1::receipt::Inpaint as Said;
    let inpaint = recipe.inpaint.map(|inpaint| match inpaint {
        Inpaint::ReplaceX0 => Said::ReplaceX0(v1::ReplaceX0 {}),
        Inpaint::ReplaceXt { resampling, jump_length } => {
            Said::ReplaceXT(v1::ReplaceXt { resampling, jump_length })
        }
    });
    let strength = match recipe.start {
        Start::Image { strength } => Some(strength),
        Start::Noise | Start::State => None,
    };
    v1::Receipt {
        sampler: Some(convert::sampler_to_proto(recipe.sampler)),
        num_steps: recipe.num_steps as u32,
        grid: grid.into(),
        grid_options,
        clip: clip.into(),
        dynamic_threshold,
        guidance: recipe.guidance.map(convert::guidance_to_proto),
        shared_noise: recipe.shared_noise.map(convert::shared_noise_to_proto),
        strength,
        inpaint,
        ..v1::Receipt::default()
    }
}

/// Rows of the client's own.
fn own_rows(
    faults: &mut Faults,
    model: &Model,
    asked: &Asked,
    program: v1::Program,
) -> Option<Compiled> {
    refuse_what_rows_say(faults, asked);
    let rows = match convert::rows_from_proto(program) {
        Ok(rows) => rows,
        Err(found) => {
            let add = |fault| faults.add_fault("sampler.program", fault);
            found.into_iter().for_each(add);
            return None;
        }
    };
    check_against_model(faults, model, asked, &rows);
    let tell = |fault| {
        let (field, reason) = row_field(fault);
        faults.add(field, reason);
    };
    let program = Program::checked(rows).map_err(|found| found.into_iter().for_each(tell)).ok()?;
    let kind = v1::sampler::Kind::Program(v1::Program::default());
    let recipe = v1::Receipt {
        sampler: Some(v1::Sampler { kind: Some(kind) }),
        num_steps: program.num_steps(),
        ..v1::Receipt::default()
    };
    Some(Compiled { program, sampler: None, recipe })
}

fn refuse_what_rows_say(faults: &mut Faults, asked: &Asked) {
    let strength = matches!(asked.initial, Initial::Images { strength: Some(_) });
    for (field, set) in [
        ("num_steps", asked.num_steps.is_some()),
        ("grid", asked.grid != 0),
        ("grid_options", asked.grid_options.is_some()),
        ("clip", asked.clip != 0),
        ("dynamic_threshold", asked.dynamic_threshold.is_some()),
        ("guidance", asked.guidance.is_some()),
        ("shared_noise", asked.shared_noise.is_some()),
        ("initial.images.strength", strength),
        ("inpaint.method", asked.inpaint.is_some()),
    ] {
        if set {
            faults.add(field, "is part of the rows of a program: leave it out");
        }
    }
}

/// What rows need and a model, or the request, does not have. Each is reported
/// once, at the first such row.
fn check_against_model(faults: &mut Faults, model: &Model, asked: &Asked, rows: &[Row]) {
    let first = |needs: fn(&Row) -> bool| rows.iter().position(needs);
    let learned = model.manifest.variance.is_learned();
    if let Some(row) = first(|row| row.variance != RawVariance::None).filter(|_| !learned) {
        let reason = "this model's network predicts no variance";
        faults.add(format!("sampler.program.rows[{row}].variance"), reason);
    }
    let unlabelled = |row: &Row| matches!(row.evals, Evals::Guided { .. } | Evals::Unconditional);
    let classes = !model.manifest.classes.is_empty();
    if let Some(row) = first(unlabelled).filter(|_| !classes) {
        let reason = "this model has no classes, so it has no evaluation without one";
        faults.add(format!("sampler.program.rows[{row}].evals"), reason);
    }
    match (first(Row::reads_known), asked.has_known) {
        (Some(row), false) => {
            faults.add("inpaint", format!("is required: row {row} reads the known image"));
        }
        (None, true) => faults.add("inpaint", "no row of the program reads the known image"),
        _ => {}
    }
}

/// The field of a request that a rule of programs is about.
fn row_field(fault: MathError) -> (String, String) {
    let MathError::Row { row, field, reason } = fault else {
        return ("sampler.program.rows".into(), fault.to_string());
    };
    let field = match field {
        "evals.scale" => "guidance_scale",
        "x_0.p_u" => "p_u",
        "x_0.p_f" => "p_f",
        "x_0.clip" => "dynamic_threshold",
        "variance" => "variance.range",
        "label.step" | "label.num_steps" => "step",
        "label.noise_level" => "noise_level",
        "label" => "ends_step",
        same => same,
    };
    (format!("sampler.program.rows[{row}].{field}"), reason)
}

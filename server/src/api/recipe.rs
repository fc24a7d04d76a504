//! Compiles the sampling settings of a request: a recipe, or the client's own rows.

use ddpm_diffusion::{
    Error as MathError, Evals, GridSpec, Inpaint, Program, RawVariance, Recipe, Row, Sampler, Start,
};
use ddpm_package::{Defaults, RequestedSampler, SamplingRequest};
use ddpm_proto::convert::{self, SamplerChoice};
use ddpm_proto::v1;

use super::faults::{Faults, row_field};
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
    pub(super) initial: InitialKind,
    /// Whether samples have labels.
    pub(super) labelled: bool,
}

/// The kind of `initial` that a request has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum InitialKind {
    Noise,
    States,
    Images { strength: Option<f64> },
}

/// What runs, and how a receipt describes it.
pub(super) struct Compiled {
    pub(super) program: Program,
    /// The sampler that runs; absent for the client's own rows.
    pub(super) sampler: Option<Sampler>,
    pub(super) recipe: v1::Receipt,
}

/// Reads and compiles the settings; adds faults with their fields.
pub(super) fn compile(faults: &mut Faults, model: &Model, asked: &mut Asked) -> Option<Compiled> {
    // Taken, since the rows of a program may be many.
    let choice = match asked.sampler.take() {
        None => return compile_recipe(faults, model, asked, RequestedSampler::Default),
        Some(sampler) => faults.read("sampler", convert::sampler_from_proto(sampler))?,
    };
    match choice {
        SamplerChoice::Sampler(sampler) => {
            compile_recipe(faults, model, asked, RequestedSampler::Named(sampler))
        }
        SamplerChoice::Auto => compile_recipe(faults, model, asked, RequestedSampler::Auto),
        SamplerChoice::Program(program) => own_rows(faults, model, asked, program),
    }
}

fn compile_recipe(
    faults: &mut Faults,
    model: &Model,
    asked: &Asked,
    sampler: RequestedSampler,
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

    if sampler == RequestedSampler::Auto && grid.is_some() {
        faults.add("grid", "is chosen by `auto`: leave it out, or name a sampler");
    }
    let num_steps = asked.num_steps.map(|steps| steps as usize);
    let request = SamplingRequest { sampler, num_steps, grid, clip, guidance, inpaint };
    let recipe = Defaults::from_manifest(&model.manifest, &model.network).recipe(&request);
    // Only `auto` can fail here, and it takes neither a sampler's options nor a grid's numbers.
    let recipe =
        faults.math(model.manifest.default_sampler.sampler, &GridSpec::Trailing, recipe)?;
    let sampler = recipe.sampler;
    let recipe = Recipe {
        start: start(faults, asked.initial, sampler),
        shared_noise: asked.shared_noise.map(convert::shared_noise_from_proto),
        ..recipe
    };
    let program = faults.math(sampler, &recipe.grid, recipe.compile(&model.network))?;
    Some(Compiled { program, sampler: Some(sampler), recipe: describe(&recipe) })
}

/// Refuses lists that are too long for any program, before their elements are read.
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

fn start(faults: &mut Faults, initial: InitialKind, sampler: Sampler) -> Start {
    let encodes = sampler.encodes();
    match initial {
        InitialKind::Noise if encodes => {
            faults.add("initial.images", "is required: ddim_inverse encodes images");
            Start::State
        }
        InitialKind::Noise => Start::Noise,
        InitialKind::States if encodes => {
            faults.add("initial", "ddim_inverse encodes images, not states: set initial.images");
            Start::State
        }
        InitialKind::Images { strength: Some(_) } if encodes => {
            faults.add("initial.images.strength", "means nothing to ddim_inverse: leave it out");
            Start::State
        }
        InitialKind::Images { strength: None } if !encodes => {
            faults.add("initial.images.strength", "is required, in [0, 1]");
            Start::State
        }
        InitialKind::States | InitialKind::Images { strength: None } => Start::State,
        InitialKind::Images { strength: Some(strength) } => Start::Image { strength },
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

/// Describes a recipe in a receipt.
fn describe(recipe: &Recipe) -> v1::Receipt {
    let (grid, grid_options) = convert::grid_to_proto(&recipe.grid);
    let (clip, dynamic_threshold) = convert::clip_to_proto(recipe.clip);
    use v1::receipt::Inpaint as Kept;
    let inpaint = recipe.inpaint.map(|inpaint| match inpaint {
        Inpaint::ReplaceX0 => Kept::ReplaceX0(v1::ReplaceX0 {}),
        Inpaint::ReplaceXt { resampling, jump_length } => {
            Kept::ReplaceXT(v1::ReplaceXt { resampling, jump_length })
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

/// Compiles the client's own rows.
fn own_rows(
    faults: &mut Faults,
    model: &Model,
    asked: &Asked,
    program: v1::Program,
) -> Option<Compiled> {
    refuse_what_rows_decide(faults, asked);
    let rows = match convert::rows_from_proto(program) {
        Ok(rows) => rows,
        Err(found) => {
            let add = |fault| faults.add_fault("sampler.program", fault);
            found.into_iter().for_each(add);
            return None;
        }
    };
    check_against_model(faults, model, asked, &rows);
    let program = Program::checked(rows)
        .map_err(|found| found.into_iter().for_each(|fault| add_row_fault(faults, fault)))
        .ok()?;
    let kind = v1::sampler::Kind::Program(v1::Program::default());
    let recipe = v1::Receipt {
        sampler: Some(v1::Sampler { kind: Some(kind) }),
        num_steps: program.num_steps(),
        ..v1::Receipt::default()
    };
    Some(Compiled { program, sampler: None, recipe })
}

fn refuse_what_rows_decide(faults: &mut Faults, asked: &Asked) {
    let strength = matches!(asked.initial, InitialKind::Images { strength: Some(_) });
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

/// Refuses rows that need what the model, or the request, does not have. Each need
/// is reported once, at its first row.
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

fn add_row_fault(faults: &mut Faults, fault: MathError) {
    match fault {
        MathError::Row { row, field, reason } => faults.add(row_field(row, field), reason),
        other => faults.add("sampler.program.rows", other.to_string()),
    }
}

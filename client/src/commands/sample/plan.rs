//! Flags and the model's description → one request, and what to write of its samples.
//! Pure: everything from the wire is an argument.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ddpm_client::{
    Delivery, Error, Format, Frames, Indices, Limits, Model, ModelKind, Receipt, Request, Watch,
};

use super::args::{Args, FileFormat, Output};
use crate::commands::flags::{Inputs, apply};

const DEFAULT_PICTURES: u32 = 16;
const DEFAULT_POINTS: u32 = 1000;
/// Most steps in an animation, unless `--every` is set.
const MOST_FRAMES: u32 = 60;
/// Width to which samples are enlarged in grids and animations, unless `--scale` is set.
const COMFORTABLE_WIDTH: u32 = 64;

/// All decisions of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) request: Request,
    pub(crate) indices: Indices,
    pub(crate) format: FileFormat,
    pub(crate) grid_image: bool,
    pub(crate) animation: Option<AnimationPlan>,
    pub(crate) scale: u32,
    /// What the user should know before the run starts.
    pub(crate) notes: Vec<String>,
    folder: PathBuf,
}

/// The animations of a run.
#[derive(Debug)]
pub(crate) struct AnimationPlan {
    pub(crate) gif: Option<Option<PathBuf>>,
    pub(crate) apng: Option<Option<PathBuf>>,
    pub(crate) strip: Option<Option<PathBuf>>,
    pub(crate) content: AnimationContent,
}

/// What the frames of an animation are.
#[derive(Debug)]
pub(crate) enum AnimationContent {
    /// The steps of the watched samples.
    Denoising { watched: Vec<u64>, frames: Frames },
    /// The finished samples, one after another.
    Samples,
}

/// What to write for an interpolation.
#[derive(Debug)]
pub(crate) struct InterpolationOutputs {
    pub(crate) format: FileFormat,
    pub(crate) scale: Option<NonZeroU32>,
    pub(crate) folder: PathBuf,
    pub(crate) gif: Option<Option<PathBuf>>,
    pub(crate) apng: Option<Option<PathBuf>>,
}

impl Plan {
    /// Plans everything except which steps an animation shows: see [`Plan::watch`].
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for flags that do not suit each other or the model.
    pub(crate) fn new(
        args: &Args,
        inputs: &Inputs,
        model: Model,
        limits: Limits,
    ) -> Result<Self, Error> {
        let indices = args.selection.indices(default_count(inputs, &model));
        let format = file_format(&args.output, args.sampling.encodes(), &model)?;
        let mut notes = Vec::new();
        let animation = animation(&args.output, &indices, limits, &mut notes)?;
        let request = Request::new(&model.name, indices.clone())
            .class_labels(args.selection.labels(&model)?)
            .format(wire_format(model.kind, format))
            .request_id(&args.selection.request_id);
        let request = apply(request, args.selection.seed, Request::seed);
        let request = args.serving.apply(inputs.apply(args.sampling.apply(request)?));
        let many = indices.count() > 1 || model.kind == ModelKind::Points2d;
        Ok(Self {
            request,
            format,
            grid_image: args.output.grid_image || (many && !args.output.no_grid),
            animation,
            scale: scale(args.output.scale, &model),
            notes,
            folder: args.output.out.clone(),
            indices,
            model,
        })
    }

    /// Plans an interpolation, which is shown sample by sample.
    pub(crate) fn interpolation(
        request: Request,
        indices: Indices,
        model: Model,
        outputs: InterpolationOutputs,
    ) -> Self {
        let InterpolationOutputs { format, scale: requested, folder, gif, apng } = outputs;
        let animation =
            AnimationPlan { gif, apng, strip: Some(None), content: AnimationContent::Samples };
        Self {
            request: request.format(wire_format(model.kind, format)),
            format,
            grid_image: false,
            animation: Some(animation),
            scale: scale(requested, &model),
            notes: Vec::new(),
            folder,
            indices,
            model,
        }
    }

    /// Returns whether steps will be shown.
    pub(crate) fn watches(&self) -> bool {
        let content = self.animation.as_ref().map(|animation| &animation.content);
        matches!(content, Some(AnimationContent::Denoising { .. }))
    }

    /// Requests previews of the steps that the animation shows.
    ///
    /// * `num_steps`: steps of the run.
    #[must_use]
    pub(crate) fn watch(mut self, every: Option<NonZeroU32>, num_steps: u32) -> Self {
        if let Some(AnimationPlan {
            content: AnimationContent::Denoising { watched, frames },
            ..
        }) = &self.animation
        {
            self.request = self.request.watch(watch(watched, *frames, every, num_steps));
        }
        self
    }

    pub(crate) fn request_count(&self) -> u32 {
        self.indices.count()
    }

    /// Returns whether a part of the samples can be requested, by `--indices`.
    pub(crate) fn has_parts(&self) -> bool {
        let content = self.animation.as_ref().map(|animation| &animation.content);
        !matches!(content, Some(AnimationContent::Samples))
    }

    /// Returns `FOLDER/MODEL-SEED` + `ending`. The model's name comes from outside, so
    /// it is sanitised and cannot lead to another folder.
    pub(crate) fn path(&self, receipt: &Receipt, ending: &str) -> PathBuf {
        let harmless =
            |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
        let name: String = receipt.model.chars().map(harmless).collect();
        self.folder.join(format!("{name}-{}{ending}", receipt.seed))
    }

    /// Returns the user's path, or one beside the samples.
    pub(crate) fn path_or(&self, named: Option<&Path>, receipt: &Receipt, ending: &str) -> PathBuf {
        named.map_or_else(|| self.path(receipt, ending), Path::to_owned)
    }
}

/// Returns how many samples are drawn if no flag says it.
pub(crate) fn default_count(inputs: &Inputs, model: &Model) -> u32 {
    inputs.count().unwrap_or(match model.kind {
        ModelKind::Image => DEFAULT_PICTURES,
        ModelKind::Points2d => DEFAULT_POINTS,
    })
}

fn file_format(output: &Output, encodes: bool, model: &Model) -> Result<FileFormat, Error> {
    let channels = model.shape.first().copied().unwrap_or(0);
    match (model.kind, output.format) {
        (ModelKind::Points2d, Some(FileFormat::Png | FileFormat::U8)) => Err(Error::Request(
            format!("{} makes points, not pictures: use --format npy", model.name),
        )),
        (ModelKind::Image, None) if encodes => Ok(FileFormat::Npy),
        (ModelKind::Image, Some(FileFormat::Png) | None) if ![1, 3].contains(&channels) => {
            Err(Error::Request(format!(
                "{} makes pictures of {channels} channels, which PNG cannot hold: \
                 use --format npy --no-grid",
                model.name
            )))
        }
        (_, Some(format)) => Ok(format),
        (ModelKind::Image, None) => Ok(FileFormat::Png),
        (ModelKind::Points2d, None) => Ok(FileFormat::Npy),
    }
}

fn animation(
    output: &Output,
    indices: &Indices,
    limits: Limits,
    notes: &mut Vec<String>,
) -> Result<Option<AnimationPlan>, Error> {
    if output.gif.is_none() && output.apng.is_none() && output.strip.is_none() {
        return Ok(None);
    }
    let most = limits.max_watched_samples;
    if most == 0 {
        let sentence = "this server sends no previews: omit --gif, --apng and --strip";
        return Err(Error::Request(sentence.to_owned()));
    }
    if indices.count() > most {
        notes.push(format!(
            "animating the first {most} of {} samples, the most that the server previews",
            indices.count()
        ));
    }
    let watched = indices.iter().take(most as usize).collect();
    Ok(Some(AnimationPlan {
        gif: output.gif.clone(),
        apng: output.apng.clone(),
        strip: output.strip.clone(),
        content: AnimationContent::Denoising { watched, frames: output.frames },
    }))
}

/// Requests pixels for PNG files: they are written here, because they carry the receipt.
fn wire_format(kind: ModelKind, format: FileFormat) -> Format {
    match (kind, format) {
        (ModelKind::Image, FileFormat::Png | FileFormat::U8) => Format::RawU8,
        (ModelKind::Points2d, _) | (_, FileFormat::Npy) => Format::RawF32,
    }
}

/// Requests all previews, however slow we are: an animation must not have gaps.
fn watch(watched: &[u64], frames: Frames, every: Option<NonZeroU32>, num_steps: u32) -> Watch {
    let at_most_60_frames = num_steps.div_ceil(MOST_FRAMES).max(1);
    Watch {
        indices: watched.to_vec(),
        frames,
        every_steps: every.map_or(at_most_60_frames, NonZeroU32::get),
        format: None,
        delivery: Delivery::All,
    }
}

/// Returns the enlargement of samples; scatter plots are drawn at their final size.
fn scale(requested: Option<NonZeroU32>, model: &Model) -> u32 {
    if let Some(scale) = requested {
        return scale.get();
    }
    match (model.kind, model.shape.as_slice()) {
        (ModelKind::Image, &[_, _, width]) => COMFORTABLE_WIDTH.div_ceil(width.max(1)),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ddpm_client::{Determinism, OnDeadline, Priority};

    use super::*;
    use crate::testing::model;

    fn plan(flags: &str, kind: ModelKind, shape: &[u32]) -> Result<Plan, Error> {
        let args = Args::from_flags(flags).unwrap();
        let limits = Limits { max_watched_samples: 4, ..Limits::default() };
        let model = model(kind, shape);
        let inputs = args.editing.read(&args.sampling, &model)?;
        let plan = Plan::new(&args, &inputs, model, limits)?;
        Ok(plan.watch(args.output.every, 250))
    }

    fn image(flags: &str, side: u32) -> Plan {
        plan(flags, ModelKind::Image, &[3, side, side]).unwrap()
    }

    #[test]
    fn small_pictures_are_enlarged_to_64_pixels_by_default() {
        let scales = [8, 28, 32, 64, 256].map(|side| image("", side).scale);

        assert_eq!(scales, [8, 3, 2, 1, 1]);
        assert_eq!(image("--scale 5", 32).scale, 5);
    }

    #[test]
    fn without_flags_the_defaults_of_the_model_hold() {
        let indices = Indices::first(16);
        let format = Format::RawU8;

        assert_eq!(image("", 8).request, Request::new("m", indices).format(format));
    }

    #[test]
    fn an_animation_watches_what_the_server_allows_and_takes_at_most_60_frames() {
        let watch = Watch {
            indices: vec![2, 3, 9, 10],
            frames: Frames::Xt,
            every_steps: 5,
            format: None,
            delivery: Delivery::All,
        };
        let indices: Indices = "2,3,9-20".parse().unwrap();

        let plan = image("--indices 2,3,9-20 --gif", 8);

        // 250 steps: every 4th would make 63 frames, every 5th makes 50.
        assert_eq!(plan.request, Request::new("m", indices).format(Format::RawU8).watch(watch));
        assert_eq!(plan.notes.len(), 1);
    }

    #[test]
    fn classes_go_by_name_or_number() {
        let request = Request::new("m", Indices::first(16)).format(Format::RawU8);

        assert_eq!(image("--label cross,0", 8).request, request.class_labels([1, 0]));
    }

    #[test]
    fn flags_on_how_to_serve_reach_the_request() {
        let flags =
            "--priority batch --strict --graph int8 --deadline 2.5 --partial --accept-build";
        let request = Request::new("m", Indices::first(16))
            .format(Format::RawU8)
            .priority(Priority::Batch)
            .determinism(Determinism::Strict)
            .graph("int8")
            .deadline(Duration::from_millis(2500))
            .on_deadline(OnDeadline::ReturnFinished)
            .accept_build(true);

        assert_eq!(image(flags, 8).request, request);
    }

    #[test]
    fn samples_that_png_cannot_hold_are_refused_in_advance() {
        assert!(plan("", ModelKind::Image, &[4, 8, 8]).is_err());
        assert!(plan("--format npy --no-grid", ModelKind::Image, &[4, 8, 8]).is_ok());
        assert!(plan("--format png", ModelKind::Points2d, &[2]).is_err());
        assert!(plan("--format u8", ModelKind::Points2d, &[2]).is_err());
        assert_eq!(plan("", ModelKind::Points2d, &[2]).unwrap().indices.count(), 1000);
    }
}

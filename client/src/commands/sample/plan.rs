//! Flags + what the server says of the model → one request and what to make of
//! its answer. Pure: all that depends on the wire is an argument.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use ddpm_client::{
    Delivery, Error, Format, Frames, Indices, Limits, Model, ModelKind, Receipt, Request, Watch,
};

use super::flags::{Args, FileFormat, Output};
use crate::commands::ask::{Inputs, apply};

const DEFAULT_PICTURES: u32 = 16;
const DEFAULT_POINTS: u32 = 1000;
/// Animations show at most this many steps unless told.
const MOST_FRAMES: u32 = 60;
/// Samples are enlarged to at least this width in grids and animations.
const COMFORTABLE_WIDTH: u32 = 64;

/// All decisions of a run.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) model: Model,
    pub(crate) request: Request,
    pub(crate) indices: Indices,
    pub(crate) format: FileFormat,
    pub(crate) grid_image: bool,
    pub(crate) animation: Option<Animated>,
    pub(crate) scale: u32,
    /// What the user should know before it starts.
    pub(crate) notes: Vec<String>,
    folder: PathBuf,
}

/// The animations of a run.
#[derive(Debug)]
pub(crate) struct Animated {
    pub(crate) gif: Option<Option<PathBuf>>,
    pub(crate) apng: Option<Option<PathBuf>>,
    pub(crate) strip: Option<Option<PathBuf>>,
    pub(crate) shows: Shows,
}

/// What the frames of an animation are.
#[derive(Debug)]
pub(crate) enum Shows {
    /// The steps of the watched samples.
    Denoising { watched: Vec<u64>, frames: Frames },
    /// The finished samples, one after another.
    Samples,
}

/// What to make of a way from one sample to another.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) format: FileFormat,
    pub(crate) scale: Option<NonZeroU32>,
    pub(crate) folder: PathBuf,
    pub(crate) gif: Option<Option<PathBuf>>,
    pub(crate) apng: Option<Option<PathBuf>>,
}

impl Plan {
    /// Everything but the steps that an animation shows: see [`Plan::watch`].
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for flags that do not fit together or to the model.
    pub(crate) fn new(
        args: &Args,
        inputs: &Inputs,
        model: Model,
        limits: Limits,
    ) -> Result<Self, Error> {
        let indices = args.which.indices(inputs.count().unwrap_or(match model.kind {
            ModelKind::Image => DEFAULT_PICTURES,
            ModelKind::Points2d => DEFAULT_POINTS,
        }));
        let format = file_format(&args.output, args.walk.encodes(), &model)?;
        let mut notes = Vec::new();
        let animation = animation(&args.output, &indices, limits, &mut notes)?;
        let request = Request::new(&model.name, indices.clone())
            .class_labels(args.which.labels(&model)?)
            .format(wire_format(model.kind, format))
            .request_id(&args.which.request_id);
        let request = apply(request, args.which.seed, Request::seed);
        let request = inputs.apply(args.walk.apply(request)?);
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

    /// Samples that are shown one after another: the way from one to another.
    pub(crate) fn of_a_way(request: Request, indices: Indices, model: Model, way: Way) -> Self {
        let Way { format, scale: said, folder, gif, apng } = way;
        let animation = Animated { gif, apng, strip: Some(None), shows: Shows::Samples };
        Self {
            request: request.format(wire_format(model.kind, format)),
            format,
            grid_image: false,
            animation: Some(animation),
            scale: scale(said, &model),
            notes: Vec::new(),
            folder,
            indices,
            model,
        }
    }

    /// Whether steps will be shown.
    pub(crate) fn watches(&self) -> bool {
        let shows = self.animation.as_ref().map(|animation| &animation.shows);
        matches!(shows, Some(Shows::Denoising { .. }))
    }

    /// Asks for the steps that the animation shows.
    ///
    /// * `num_steps`: of the run.
    #[must_use]
    pub(crate) fn watch(mut self, every: Option<NonZeroU32>, num_steps: u32) -> Self {
        if let Some(Animated { shows: Shows::Denoising { watched, frames }, .. }) = &self.animation
        {
            self.request = self.request.watch(watch(watched, *frames, every, num_steps));
        }
        self
    }

    pub(crate) fn request_count(&self) -> u32 {
        self.indices.count()
    }

    /// `FOLDER/MODEL-SEED` + `ending`. The model's name comes from outside, so
    /// nothing in it can lead to another folder.
    pub(crate) fn path(&self, receipt: &Receipt, ending: &str) -> PathBuf {
        let harmless =
            |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
        let name: String = receipt.model.chars().map(harmless).collect();
        self.folder.join(format!("{name}-{}{ending}", receipt.seed))
    }

    /// The path the user named, or one beside the samples.
    pub(crate) fn path_or(&self, named: Option<&Path>, receipt: &Receipt, ending: &str) -> PathBuf {
        named.map_or_else(|| self.path(receipt, ending), Path::to_owned)
    }
}

fn file_format(output: &Output, encodes: bool, model: &Model) -> Result<FileFormat, Error> {
    let channels = model.shape.first().copied().unwrap_or(0);
    match (model.kind, output.format) {
        (ModelKind::Points2d, Some(FileFormat::Png | FileFormat::U8)) => Err(Error::Request(
            format!("{} makes points, and one point is no picture: use --format npy", model.name),
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
) -> Result<Option<Animated>, Error> {
    if output.gif.is_none() && output.apng.is_none() && output.strip.is_none() {
        return Ok(None);
    }
    let most = limits.max_watched_samples;
    if most == 0 {
        let sentence = "this server shows no previews: leave out --gif, --apng and --strip";
        return Err(Error::Request(sentence.to_owned()));
    }
    if indices.count() > most {
        notes.push(format!(
            "animating the first {most} of {} samples: the server shows no more",
            indices.count()
        ));
    }
    let watched = indices.iter().take(most as usize).collect();
    Ok(Some(Animated {
        gif: output.gif.clone(),
        apng: output.apng.clone(),
        strip: output.strip.clone(),
        shows: Shows::Denoising { watched, frames: output.frames },
    }))
}

/// PNG files are made here, because they carry the receipt.
fn wire_format(kind: ModelKind, format: FileFormat) -> Format {
    match (kind, format) {
        (ModelKind::Image, FileFormat::Png | FileFormat::U8) => Format::RawU8,
        (ModelKind::Points2d, _) | (_, FileFormat::Npy) => Format::RawF32,
    }
}

/// All previews, however slow we are: an animation must not have gaps.
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

/// Scatter plots are drawn in the size they are shown in.
fn scale(said: Option<NonZeroU32>, model: &Model) -> u32 {
    if let Some(scale) = said {
        return scale.get();
    }
    match (model.kind, model.shape.as_slice()) {
        (ModelKind::Image, &[_, _, width]) => COMFORTABLE_WIDTH.div_ceil(width.max(1)),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use ddpm_client::Sampler;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn model(kind: ModelKind, shape: &[u32]) -> Model {
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
            default_sampler: Sampler::Ddpm { variance: None }.into(),
            default_num_steps: 250,
            default_grid: None,
            graph: String::new(),
        }
    }

    fn plan(flags: &str, kind: ModelKind, shape: &[u32]) -> Result<Plan, Error> {
        let words = ["ddpm", "m"].into_iter().chain(flags.split_whitespace());
        let args = Alone::try_parse_from(words).unwrap().args;
        let limits = Limits {
            max_samples: 0,
            max_evals: 0,
            max_watched_samples: 4,
            max_queued_samples: 0,
            max_requests: 0,
            max_batch: 0,
            max_request_bytes: 0,
            max_held_bytes: 1 << 30,
        };
        let model = model(kind, shape);
        let inputs = args.edit.read(&args.walk, &model)?;
        let plan = Plan::new(&args, &inputs, model, limits)?;
        Ok(plan.watch(args.output.every, 250))
    }

    fn image(flags: &str, side: u32) -> Plan {
        plan(flags, ModelKind::Image, &[3, side, side]).unwrap()
    }

    #[test]
    fn small_pictures_are_enlarged_to_64_pixels_unless_told() {
        let scales = [8, 28, 32, 64, 256].map(|side| image("", side).scale);

        assert_eq!(scales, [8, 3, 2, 1, 1]);
        assert_eq!(image("--scale 5", 32).scale, 5);
    }

    #[test]
    fn nothing_said_means_the_defaults_of_the_model() {
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
    fn what_png_cannot_hold_is_refused_before_it_is_made() {
        assert!(plan("", ModelKind::Image, &[4, 8, 8]).is_err());
        assert!(plan("--format npy --no-grid", ModelKind::Image, &[4, 8, 8]).is_ok());
        assert!(plan("--format png", ModelKind::Points2d, &[2]).is_err());
        assert!(plan("--format u8", ModelKind::Points2d, &[2]).is_err());
        assert_eq!(plan("", ModelKind::Points2d, &[2]).unwrap().indices.count(), 1000);
    }
}

//! Flags + what the server says of the model → one request and what to make of
//! its answer. Pure: all that depends on the wire is an argument.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use ddpm_client::{
    Delivery, Error, Format, Frames, Indices, Limits, Model, ModelKind, Receipt, Request, Watch,
};

use super::flags::{Args, FileFormat};

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
    pub(crate) watched: Vec<u64>,
    pub(crate) frames: Frames,
}

impl Plan {
    /// # Errors
    ///
    /// [`Error::Request`] for flags that do not fit together or to the model.
    pub(crate) fn new(args: &Args, model: Model, limits: Limits) -> Result<Self, Error> {
        let indices = indices(args, model.kind);
        let format = file_format(args, &model)?;
        let mut notes = Vec::new();
        let animation = animation(args, &indices, limits, &mut notes)?;
        let request = request(args, &model, &indices, format, animation.as_ref())?;
        let many = indices.count() > 1 || model.kind == ModelKind::Points2d;
        Ok(Self {
            request,
            format,
            grid_image: args.output.grid_image || (many && !args.output.no_grid),
            animation,
            scale: args.output.scale.map_or_else(|| default_scale(&model), NonZeroU32::get),
            notes,
            folder: args.output.out.clone(),
            indices,
            model,
        })
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

fn indices(args: &Args, kind: ModelKind) -> Indices {
    let default = match kind {
        ModelKind::Image => DEFAULT_PICTURES,
        ModelKind::Points2d => DEFAULT_POINTS,
    };
    let counted = || Indices::first(args.which.count.map_or(default, NonZeroU32::get));
    args.which.indices.clone().unwrap_or_else(counted)
}

fn file_format(args: &Args, model: &Model) -> Result<FileFormat, Error> {
    let channels = model.shape.first().copied().unwrap_or(0);
    match (model.kind, args.output.format) {
        (ModelKind::Points2d, Some(FileFormat::Png)) => Err(Error::Request(format!(
            "{} makes points, and one point is no picture: use --format npy",
            model.name
        ))),
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
    args: &Args,
    indices: &Indices,
    limits: Limits,
    notes: &mut Vec<String>,
) -> Result<Option<Animated>, Error> {
    let output = &args.output;
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
    Ok(Some(Animated {
        gif: output.gif.clone(),
        apng: output.apng.clone(),
        strip: output.strip.clone(),
        watched: indices.iter().take(most as usize).collect(),
        frames: output.frames,
    }))
}

fn request(
    args: &Args,
    model: &Model,
    indices: &Indices,
    format: FileFormat,
    animation: Option<&Animated>,
) -> Result<Request, Error> {
    let labels: Vec<u32> =
        args.which.label.iter().map(|text| model.label(text)).collect::<Result<_, _>>()?;
    let num_steps = args.walk.steps.unwrap_or(model.default_num_steps);
    let mut request = Request::new(&model.name, indices.clone())
        .class_labels(labels)
        .format(wire_format(model.kind, format))
        .request_id(&args.which.request_id);
    request = apply(request, args.which.seed, Request::seed);
    request = apply(request, args.walk.sampler()?, Request::sampler);
    request = apply(request, args.walk.steps, Request::num_steps);
    request = apply(request, args.walk.grid, Request::grid);
    request = apply(request, args.walk.clip, Request::clip);
    Ok(apply(request, animation.map(|animation| watch(args, animation, num_steps)), Request::watch))
}

/// Sets what was said and leaves the rest to the model.
fn apply<T>(request: Request, value: Option<T>, set: impl Fn(Request, T) -> Request) -> Request {
    match value {
        Some(value) => set(request, value),
        None => request,
    }
}

/// PNG files are made here, because they carry the receipt.
fn wire_format(kind: ModelKind, format: FileFormat) -> Format {
    match (kind, format) {
        (ModelKind::Image, FileFormat::Png | FileFormat::Raw) => Format::RawU8,
        (ModelKind::Points2d, _) | (_, FileFormat::Npy) => Format::RawF32,
    }
}

/// All previews, however slow we are: an animation must not have gaps.
fn watch(args: &Args, animation: &Animated, num_steps: u32) -> Watch {
    let at_most_60_frames = num_steps.div_ceil(MOST_FRAMES).max(1);
    Watch {
        indices: animation.watched.clone(),
        frames: animation.frames,
        every_steps: args.output.every.map_or(at_most_60_frames, NonZeroU32::get),
        format: None,
        delivery: Delivery::All,
    }
}

/// Scatter plots are drawn in the size they are shown in.
fn default_scale(model: &Model) -> u32 {
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
            default_sampler: Sampler::Ddpm { variance: None },
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
        };
        Plan::new(&args, model(kind, shape), limits)
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
        assert_eq!(plan("", ModelKind::Points2d, &[2]).unwrap().indices.count(), 1000);
    }
}

//! The two inputs of `eval`, samples and reference: what their names mean, and what they hold.

use std::path::{Path, PathBuf};

use ddpm_console::note;
use ddpm_data::{ItemShape, LoadOptions, OnBroken, Source, ToyKind};
use ddpm_evaluation::arrays::{self, Array};
use ddpm_evaluation::cache::{self, is_from_another_extractor, is_from_extractor};
use ddpm_evaluation::extractor::Extractor;
use ddpm_evaluation::feature_set::FeatureSet;
use ddpm_evaluation::pictures::PictureSet;
use ddpm_evaluation::points;
use ddpm_evaluation::report::{SamplingReport, SetReport};
use ddpm_measures::{Features, StatisticsFile};
use ddpm_package::{MANIFEST_FILE, Package};
use ddpm_training::Checkpoint;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Failure, within};

/// What a name on the command line stands for.
#[derive(Debug)]
pub(super) enum Input {
    /// A model to draw samples from.
    Model(Box<ModelSource>),
    /// A data source, which may be a folder of pictures.
    Data(Source),
    /// An array file.
    Array(PathBuf),
}

/// Where a model is stored.
#[derive(Debug)]
pub(super) enum ModelSource {
    Package(PathBuf, Box<Package>),
    Checkpoint(Box<Checkpoint>),
}

/// An input in memory.
#[derive(Debug)]
pub(super) struct LoadedInput {
    pub(super) name: String,
    /// What its items are, in the plural.
    pub(super) kind: &'static str,
    pub(super) content: Content,
    /// Set for toy sets.
    pub(super) toy: Option<ToyKind>,
    /// How samples were drawn; absent for other inputs.
    pub(super) drawn: Option<SamplingReport>,
}

#[derive(Debug)]
pub(super) enum Content {
    Pictures(PictureSet),
    /// Features, or points of the plane.
    Rows(Features),
    Statistics(StatisticsFile),
}

impl Input {
    /// Detects whether `path` holds a model, a folder of pictures or an array.
    pub(super) fn from_samples(path: &Path) -> Result<Self, Failure> {
        if arrays::is_array(path) && !path.is_dir() {
            return Ok(Self::Array(path.to_owned()));
        }
        if !path.is_dir() {
            let reason = "no such folder or array (.npy, .npz, .safetensors)";
            return Err(Failure::Refused(format!("{}: {reason}", path.display()).into()));
        }
        if path.join(MANIFEST_FILE).is_file() {
            let package = Package::open(path).map_err(within(path))?;
            let source = ModelSource::Package(path.to_owned(), Box::new(package));
            return Ok(Self::Model(Box::new(source)));
        }
        if path.join("state.json").is_file() || path.join("checkpoints").is_dir() {
            let checkpoint = Checkpoint::find(path)?;
            return Ok(Self::Model(Box::new(ModelSource::Checkpoint(Box::new(checkpoint)))));
        }
        Ok(Self::Data(Source::Folder(path.to_owned())))
    }

    /// Detects whether `text` names an array, a folder of pictures or a data source.
    pub(super) fn from_reference(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Data(Source::Folder(path.to_owned())));
        }
        if arrays::is_array(path) {
            return Ok(Self::Array(path.to_owned()));
        }
        let source = text.parse().map_err(|error: ddpm_data::DataError| {
            let help = "or a folder, or an array (.npy, .npz, .safetensors)";
            Failure::Refused(format!("--against: {error}, {help}").into())
        })?;
        Ok(Self::Data(source))
    }

    /// Loads it into memory.
    ///
    /// # Panics
    ///
    /// For a model, which holds no samples.
    pub(super) fn load(&self, options: &LoadOptions) -> Result<LoadedInput, Failure> {
        match self {
            Self::Model(_) => unreachable!("samples of models are drawn"),
            Self::Array(path) => Ok(LoadedInput::read_array(path)?),
            Self::Data(source) => {
                let dataset = ddpm_data::load(source, options)?;
                for note in dataset.notes() {
                    note!("note: {note}");
                }
                for line in dataset.left_out_lines() {
                    note!("left out {line}");
                }
                Ok(LoadedInput::from_dataset(source, dataset)?)
            }
        }
    }
}

impl ModelSource {
    /// Returns the data that the model was trained on, and how to load it.
    ///
    /// * `requested`: its image size and `skip` override those of the run.
    pub(super) fn training_data(
        &self,
        requested: &LoadOptions,
    ) -> Result<(Input, LoadOptions), Failure> {
        let Self::Checkpoint(checkpoint) = self else {
            let reason = "a package does not include its training data: name it with --against";
            return Err(Failure::Refused(reason.into()));
        };
        let config = checkpoint.config();
        let own = config.load_options();
        let image_size = requested.image_size.or(own.image_size);
        let on_broken = match requested.on_broken {
            OnBroken::Skip => OnBroken::Skip,
            OnBroken::Refuse => own.on_broken,
        };
        let options = LoadOptions { image_size, on_broken, ..own };
        Ok((Input::Data(config.data.source()?), options))
    }

    /// Returns the path of the model, and what to call samples from it.
    pub(super) fn describe(&self) -> (String, &'static str) {
        match self {
            Self::Package(path, _) => (path.display().to_string(), "samples of a package"),
            Self::Checkpoint(checkpoint) => {
                (checkpoint.folder().display().to_string(), "samples of a checkpoint")
            }
        }
    }

    /// Returns options that load other data in the shape of the model's samples.
    pub(super) fn load_options(&self, requested: &LoadOptions) -> LoadOptions {
        let (shape, seed, background) = match self {
            Self::Package(_, package) => {
                let shape = package.manifest().sample_shape.clone();
                (shape, requested.seed, requested.background)
            }
            Self::Checkpoint(checkpoint) => {
                let config = checkpoint.config();
                let shape = config.model.sample_shape();
                let shape = shape.into_iter().map(|extent| extent as usize).collect();
                (shape, config.seed, config.data.background)
            }
        };
        match shape[..] {
            [channels, height, width] => LoadOptions {
                image_size: requested.image_size.or((height == width).then_some(height)),
                greyscale: channels == 1,
                background,
                seed,
                ..requested.clone()
            },
            _ => LoadOptions { seed, ..requested.clone() },
        }
    }
}

impl LoadedInput {
    fn read_array(path: &Path) -> Result<Self, Failure> {
        let (kind, content) = match arrays::read(path)? {
            Array::Pictures(pictures) => ("pictures", Content::Pictures(pictures)),
            Array::Features(rows) if rows.dim() == 2 => ("points", Content::Rows(rows)),
            Array::Features(rows) => ("rows of features", Content::Rows(rows)),
            Array::Statistics(file) => {
                ("rows, of which mean and covariance are known", Content::Statistics(file))
            }
        };
        Ok(Self { name: path.display().to_string(), kind, content, toy: None, drawn: None })
    }

    fn from_dataset(source: &Source, dataset: ddpm_data::Dataset) -> Result<Self, Failure> {
        let name = source.to_string();
        let toy = match source {
            Source::Toy { kind, .. } => Some(*kind),
            _ => None,
        };
        let (kind, content) = match dataset.kind() {
            ItemShape::Images { .. } => {
                let pictures = PictureSet::from_dataset(dataset).expect("its items are pictures");
                ("pictures", Content::Pictures(pictures))
            }
            ItemShape::Points2d => ("points", Content::Rows(points::from_dataset(&dataset)?)),
        };
        Ok(Self { name, kind, content, toy, drawn: None })
    }

    /// Refuses to compare pictures of different sizes: the measures would include the effect of
    /// resizing.
    pub(super) fn check_beside(&self, reference: &Self) -> Result<(), Failure> {
        let Content::Pictures(samples) = &self.content else { return Ok(()) };
        reference.check_shape(samples.shape())
    }

    /// Does the same for samples of this shape that are not drawn yet.
    pub(super) fn check_shape(&self, shape: [usize; 3]) -> Result<(), Failure> {
        let Content::Pictures(reference) = &self.content else { return Ok(()) };
        let found = reference.shape();
        // Grey pictures get three equal channels, so colour need not match.
        if shape[1..] == found[1..] {
            return Ok(());
        }
        let text = |[channels, height, width]: [usize; 3]| format!("{channels}x{height}x{width}");
        let reason = format!(
            "samples are {} pictures, the reference has {}: bring both to one size \
             (--image-size resizes folders and data sources)",
            text(shape),
            text(found)
        );
        Err(Failure::Refused(reason.into()))
    }

    /// Returns its features, and its description for the report.
    ///
    /// * `extractor`: required for pictures.
    /// * `folder`: cache of features; absent, nothing is cached.
    pub(super) fn into_side(
        self,
        extractor: Option<&mut Extractor>,
        folder: Option<&Path>,
    ) -> Result<(FeatureSet, SetReport), Failure> {
        let Self { name, kind, content, drawn, .. } = self;
        let extractor_unknown = match (&content, &extractor) {
            (Content::Rows(_), Some(_)) => true,
            (Content::Statistics(file), Some(extractor)) => !is_from_extractor(file, extractor),
            _ => false,
        };
        let (side, shape, cached) = match (content, extractor) {
            (Content::Rows(rows), _) => (FeatureSet::from_rows(rows), None, None),
            (Content::Statistics(file), extractor) => {
                if extractor.is_some_and(|extractor| is_from_another_extractor(&file, extractor)) {
                    let reason = "these statistics are of another extractor or preprocessing";
                    return Err(Failure::Refused(format!("{name}: {reason}").into()));
                }
                (FeatureSet::from_statistics(file), None, None)
            }
            (Content::Pictures(pictures), extractor) => {
                let extractor = extractor.expect("pictures come with an extractor");
                let bar = progress(pictures.len() as u64, "features");
                let (side, cached) = cache::features(folder, &pictures, extractor, |done| {
                    bar.set_position(done as u64);
                })?;
                bar.finish_and_clear();
                (side, Some(pictures.shape()), folder.map(|_| cached))
            }
        };
        let (kind, count) = (kind.to_owned(), side.count());
        let sampling = drawn;
        let report = SetReport { name, kind, count, shape, sampling, cached, extractor_unknown };
        Ok((side, report))
    }
}

/// Shows a progress bar on stderr if that is a terminal.
pub(super) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(total).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

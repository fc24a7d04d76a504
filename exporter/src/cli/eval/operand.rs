//! What a name on the command line means, and what it holds.

use std::path::{Path, PathBuf};

use ddpm_evaluation::{Features, StatisticsFile};
use ddpm_package::{MANIFEST_FILE, Package};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;
use crate::data::{self, Kind, LoadOptions, OnBroken, Source, ToyKind};
use crate::evaluate::arrays::{self, Array};
use crate::evaluate::cache::{self, is_of, is_of_another};
use crate::evaluate::extractor::Extractor;
use crate::evaluate::pictures::PictureSet;
use crate::evaluate::points;
use crate::evaluate::report::{Described, Drawn};
use crate::evaluate::side::Side;
use crate::train::{Checkpoint, TrainError};

/// What a name means.
#[derive(Debug)]
pub(super) enum Operand {
    /// Samples are drawn from it.
    Model(Box<ModelSource>),
    /// Pictures or points of a data source, a folder of pictures among them.
    Data(Source),
    /// An array.
    Array(PathBuf),
}

/// Where a model is.
#[derive(Debug)]
pub(super) enum ModelSource {
    /// In a package.
    Package(PathBuf, Box<Package>),
    /// In a checkpoint.
    Checkpoint(Box<Checkpoint>),
}

/// What a name holds.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: String,
    /// What there is, in the plural.
    pub(super) kind: &'static str,
    pub(super) content: Content,
    /// The toy set, if it is one.
    pub(super) toy: Option<ToyKind>,
    /// How samples were drawn.
    pub(super) drawn: Option<Drawn>,
}

#[derive(Debug)]
pub(super) enum Content {
    Pictures(PictureSet),
    /// Features, or points of the plane.
    Rows(Features),
    Statistics(StatisticsFile),
}

impl Operand {
    /// What is judged: a model, a folder of pictures, or an array.
    pub(super) fn of_samples(path: &Path) -> Result<Self, Failure> {
        if arrays::is_array(path) && !path.is_dir() {
            return Ok(Self::Array(path.to_owned()));
        }
        if !path.is_dir() {
            let reason = "there is no such folder, and no array (.npy, .npz, .safetensors) either";
            return Err(Failure::Refused(format!("{}: {reason}", path.display()).into()));
        }
        if path.join(MANIFEST_FILE).is_file() {
            let source = ModelSource::Package(path.to_owned(), Box::new(Package::open(path)?));
            return Ok(Self::Model(Box::new(source)));
        }
        if path.join("state.json").is_file() || path.join("checkpoints").is_dir() {
            let checkpoint = Checkpoint::find(path)?;
            return Ok(Self::Model(Box::new(ModelSource::Checkpoint(Box::new(checkpoint)))));
        }
        Ok(Self::Data(Source::Folder(path.to_owned())))
    }

    /// What samples are judged by: an array, a folder of pictures, or a data source.
    pub(super) fn of_reference(text: &str) -> Result<Self, Failure> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Data(Source::Folder(path.to_owned())));
        }
        if arrays::is_array(path) {
            return Ok(Self::Array(path.to_owned()));
        }
        let source = text.parse().map_err(|error: data::DataError| {
            let help = "or a folder, or an array (.npy, .npz, .safetensors)";
            Failure::Refused(format!("--against: {error}, {help}").into())
        })?;
        Ok(Self::Data(source))
    }

    /// Reads it.
    ///
    /// # Panics
    ///
    /// For a model, which holds no samples yet.
    pub(super) fn load(&self, options: &LoadOptions) -> Result<Loaded, Failure> {
        match self {
            Self::Model(_) => unreachable!("samples of models are drawn"),
            Self::Array(path) => Ok(Loaded::of_array(path)?),
            Self::Data(source) => {
                let dataset = data::load(source, options).map_err(TrainError::from)?;
                for (path, reason) in dataset.skipped() {
                    eprintln!("left out {}: {reason}", path.display());
                }
                Ok(Loaded::of_dataset(source, dataset)?)
            }
        }
    }
}

impl ModelSource {
    /// The data that the model was trained on, and how it is loaded.
    pub(super) fn own_data(&self, given: &LoadOptions) -> Result<(Operand, LoadOptions), Failure> {
        let Self::Checkpoint(checkpoint) = self else {
            let reason =
                "a package does not hold the data it was trained on: name it with --against";
            return Err(Failure::Refused(reason.into()));
        };
        let config = checkpoint.config();
        let own = config.data.load_options(config.seed);
        let image_size = given.image_size.or(own.image_size);
        let on_broken = match given.on_broken {
            OnBroken::Skip => OnBroken::Skip,
            OnBroken::Refuse => own.on_broken,
        };
        let options = LoadOptions { image_size, on_broken, ..own };
        Ok((Operand::Data(config.data.source()?), options))
    }

    /// Where it is, and what samples of it are.
    pub(super) fn describe(&self) -> (String, &'static str) {
        match self {
            Self::Package(path, _) => (path.display().to_string(), "samples of a package"),
            Self::Checkpoint(checkpoint) => {
                (checkpoint.folder().display().to_string(), "samples of a checkpoint")
            }
        }
    }

    /// Options that bring other data to the shape of the model's samples.
    pub(super) fn load_options(&self, given: &LoadOptions) -> LoadOptions {
        let (shape, seed) = match self {
            Self::Package(_, package) => (package.manifest().sample_shape.clone(), given.seed),
            Self::Checkpoint(checkpoint) => {
                let shape = checkpoint.config().model.sample_shape();
                let shape = shape.into_iter().map(|extent| extent as usize).collect();
                (shape, checkpoint.config().seed)
            }
        };
        match shape[..] {
            [channels, height, width] => LoadOptions {
                image_size: given.image_size.or((height == width).then_some(height)),
                greyscale: channels == 1,
                seed,
                ..given.clone()
            },
            _ => LoadOptions { seed, ..given.clone() },
        }
    }
}

impl Loaded {
    fn of_array(path: &Path) -> Result<Self, Failure> {
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

    fn of_dataset(source: &Source, dataset: data::Dataset) -> Result<Self, Failure> {
        let name = source.to_string();
        let toy = match source {
            Source::Toy { kind, .. } => Some(*kind),
            _ => None,
        };
        let (kind, content) = match dataset.kind() {
            Kind::Images { .. } => {
                let pictures = PictureSet::of_dataset(dataset).expect("its items are pictures");
                ("pictures", Content::Pictures(pictures))
            }
            Kind::Points2d => ("points", Content::Rows(points::of_dataset(&dataset)?)),
        };
        Ok(Self { name, kind, content, toy, drawn: None })
    }

    /// Refuses to compare pictures of different sizes: what resizing does to them would be measured too.
    pub(super) fn check_beside(&self, reference: &Self) -> Result<(), Failure> {
        let Content::Pictures(samples) = &self.content else { return Ok(()) };
        reference.check_shape(samples.shape())
    }

    /// The same for pictures that are not there yet.
    pub(super) fn check_shape(&self, shape: [usize; 3]) -> Result<(), Failure> {
        let Content::Pictures(reference) = &self.content else { return Ok(()) };
        let found = reference.shape();
        // Grey pictures are given three equal channels, so colour is no hindrance.
        if shape[1..] == found[1..] {
            return Ok(());
        }
        let text = |[channels, height, width]: [usize; 3]| format!("{channels}x{height}x{width}");
        let reason = format!(
            "samples are pictures of {}, the reference is of {}: bring both to one size \
             (--image-size does it to folders and data sources)",
            text(shape),
            text(found)
        );
        Err(Failure::Refused(reason.into()))
    }

    /// Its features, and what the report says of it.
    ///
    /// * `extractor`: there, if it is pictures.
    /// * `folder`: where features are remembered.
    pub(super) fn into_side(
        self,
        extractor: Option<&mut Extractor>,
        folder: Option<&Path>,
    ) -> Result<(Side, Described), Failure> {
        let Self { name, kind, content, drawn, .. } = self;
        let extractor_unknown = match (&content, &extractor) {
            (Content::Rows(_), Some(_)) => true,
            (Content::Statistics(file), Some(extractor)) => !is_of(file, extractor),
            _ => false,
        };
        let (side, shape, cached) = match (content, extractor) {
            (Content::Rows(rows), _) => (Side::of_rows(rows), None, None),
            (Content::Statistics(file), extractor) => {
                if extractor.is_some_and(|extractor| is_of_another(&file, extractor)) {
                    let reason = "these statistics are of another extractor or preprocessing";
                    return Err(Failure::Refused(format!("{name}: {reason}").into()));
                }
                (Side::of_statistics(file), None, None)
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
        let described = Described { name, kind, count, shape, drawn, cached, extractor_unknown };
        Ok((side, described))
    }
}

/// A bar on stderr, if somebody watches.
pub(super) fn progress(total: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {eta}");
    let bar = ProgressBar::new(total).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

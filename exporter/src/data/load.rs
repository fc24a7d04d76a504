//! From a name and options to a [`Dataset`]: checks what fits together, then asks the format.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::dataset::Items;
use super::gather::{Gathered, Preparation};
use super::labels::Labels;
use super::picture::Form;
use super::pictures::Pictures;
use super::{
    DataError, Dataset, Source, ToyKind, celeba, celebahq, cifar10, folder, glyphs, idx, lsun,
    parquet, toy,
};

/// Largest side of a picture that a network is trained on here.
const MAX_IMAGE_SIZE: usize = 4096;

/// Which part of a data set; [`Source::splits`] says which there are.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What models are trained on.
    #[default]
    Train,
    /// What was held out to choose between models; for procedural sets, other draws of the same distribution.
    Valid,
    /// What was held out; for procedural sets, other draws of the same distribution.
    Test,
    /// Everything that there is.
    All,
}

/// What to do with a picture that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBroken {
    /// Refuse the whole data set and name the picture.
    #[default]
    Refuse,
    /// Leave it out and list it in [`Dataset::skipped`].
    Skip,
}

/// Where the labels of a folder, an archive or a table of pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FolderLabels {
    /// Sub-folders are classes if there are two or more and every picture lies directly in one; a table has a column of
    /// labels. No labels otherwise.
    #[default]
    Auto,
    /// No labels, whatever the folders or columns are called.
    None,
}

/// How to load a [`Source`]. The default is the train split as it lies on disk.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Side of the square that pictures are brought to; `None` keeps their size.
    pub image_size: Option<usize>,
    /// Reduces colour to one channel.
    pub greyscale: bool,
    /// What to do with a picture that cannot be decoded. Where a format has no files or rows of single pictures (IDX,
    /// CIFAR-10), a damaged file is always refused.
    pub on_broken: OnBroken,
    /// Folders, archives and tables: where labels come from.
    pub folder_labels: FolderLabels,
    /// Overrides whether pictures may be mirrored; `None`: no for digits and glyphs, yes for others.
    pub flips: Option<bool>,
    /// Seed of the procedural sets.
    pub seed: u64,
    /// Which part of the data.
    pub split: Split,
}

/// Loads a data set into memory.
///
/// # Errors
///
/// [`DataError`], with the file or the option to change; see its variants.
pub fn load(source: &Source, options: &LoadOptions) -> Result<Dataset, DataError> {
    check(source, options)?;
    match source {
        Source::Toy { kind, size, labels } => {
            let points =
                (0..*size).map(|i| toy::point(*kind, options.seed, options.split, i)).collect();
            let labels = labels.then(|| labels_of_modes(*kind, *size));
            Ok(dataset(source, Items::Points(points), labels, false))
        }
        Source::Glyphs { size } => Ok(load_glyphs(source, *size, options)),
        Source::Idx(dir) => {
            let (pictures, labels) = idx::load(dir, options.split)?;
            Ok(dataset_of_pictures(source, pictures, labels, options, false))
        }
        Source::Cifar10(path) => {
            let (pictures, labels) = cifar10::load(path, options.split)?;
            Ok(dataset_of_pictures(source, pictures, labels, options, true))
        }
        Source::CelebA(path) => {
            Ok(dataset_of_files(source, celeba::load(path, options)?, None, options))
        }
        Source::CelebAHq(path) => {
            Ok(dataset_of_files(source, celebahq::load(path, options)?, None, options))
        }
        Source::Lsun(path) => {
            let (gathered, labels) = lsun::load(path, options)?;
            Ok(dataset_of_files(source, gathered, labels, options))
        }
        Source::Parquet(path) => {
            let (gathered, labels) = parquet::load(path, options)?;
            Ok(dataset_of_files(source, gathered, labels, options))
        }
        Source::Folder(path) => {
            let (gathered, labels) = folder::load(path, options)?;
            Ok(dataset_of_files(source, gathered, labels, options))
        }
    }
}

fn check(source: &Source, options: &LoadOptions) -> Result<(), DataError> {
    let refuse = |problem: String| Err(DataError::Option { data_set: source.to_string(), problem });
    if let Some(size) = options.image_size
        && !(1..=MAX_IMAGE_SIZE).contains(&size)
    {
        return refuse(format!("image_size must be in 1..={MAX_IMAGE_SIZE}, got {size}"));
    }
    match source {
        Source::Toy { .. }
            if options.image_size.is_some() || options.greyscale || options.flips == Some(true) =>
        {
            refuse(
                "points have no size, colour or mirror image; leave those options out".to_owned(),
            )
        }
        _ if !source.splits().contains(&options.split) => refuse(format!(
            "it has no split {}, only {}; if other pictures are meant, name their folder",
            name_of(options.split),
            source.splits().iter().copied().map(name_of).collect::<Vec<_>>().join(", ")
        )),
        _ => Ok(()),
    }
}

fn name_of(split: Split) -> &'static str {
    match split {
        Split::Train => "train",
        Split::Valid => "valid",
        Split::Test => "test",
        Split::All => "all",
    }
}

/// Modes as classes, named by their numbers: all of them, even if there are fewer points.
fn labels_of_modes(kind: ToyKind, count: usize) -> Labels {
    let names = (0..kind.mode_centres().len()).map(|mode| mode.to_string()).collect();
    Labels { names, of: (0..count).filter_map(|i| toy::mode(kind, i)).collect() }
}

/// Glyphs are drawn at the size that is asked for, so nothing is lost to resizing.
fn load_glyphs(source: &Source, count: usize, options: &LoadOptions) -> Dataset {
    let size = options.image_size.unwrap_or(glyphs::SIZE);
    let draw = |i| glyphs::draw(options.seed, options.split, i, size);
    let drawn: Vec<_> = (0..count).into_par_iter().map(draw).collect();
    let names = glyphs::CLASS_NAMES.map(str::to_owned).to_vec();
    let labels = Labels { names, of: drawn.iter().map(|glyph| glyph.class).collect() };
    let pixels = drawn.into_iter().flat_map(|glyph| glyph.pixels).collect();
    let pictures = Pictures { channels: 3, height: size, width: size, pixels };
    dataset_of_pictures(source, pictures, Some(labels), options, false)
}

fn dataset_of_pictures(
    source: &Source,
    pictures: Pictures,
    labels: Option<Labels>,
    options: &LoadOptions,
    flips: bool,
) -> Dataset {
    let form = Form {
        width: pictures.width as u32,
        height: pictures.height as u32,
        colour: if pictures.channels == 1 { "grey" } else { "RGB" },
    };
    let forms = BTreeMap::from([(form, pictures.len())]);
    let items = Items::Pictures(Preparation::asked(options).apply(pictures));
    Dataset { forms, ..dataset(source, items, labels, options.flips.unwrap_or(flips)) }
}

fn dataset_of_files(
    source: &Source,
    gathered: Gathered,
    labels: Option<Labels>,
    options: &LoadOptions,
) -> Dataset {
    let Gathered { pictures, paths, skipped, forms, .. } = gathered;
    let flips = options.flips.unwrap_or(true);
    let items = Items::Pictures(pictures);
    Dataset { paths, skipped, forms, ..dataset(source, items, labels, flips) }
}

fn dataset(source: &Source, items: Items, labels: Option<Labels>, flips: bool) -> Dataset {
    Dataset {
        name: source.to_string(),
        items,
        labels,
        flips,
        skipped: Vec::new(),
        forms: BTreeMap::new(),
        paths: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Kind;

    const TOY: Source = Source::Toy { kind: ToyKind::Gaussian8, size: 32, labels: false };

    #[test]
    fn a_toy_set_has_the_points_of_its_formula() {
        let set =
            load(&TOY, &LoadOptions { seed: 5, split: Split::Test, ..Default::default() }).unwrap();
        assert_eq!(
            (set.len(), set.kind(), set.label(3), set.flips()),
            (32, Kind::Points2d, None, false)
        );
        let mut x_0 = [0.0; 2];
        set.x_0(31, false, &mut x_0);
        assert_eq!(x_0, toy::point(ToyKind::Gaussian8, 5, Split::Test, 31));
        assert_eq!(set.summary(), "gaussian8:32: 32 points");
    }

    #[test]
    fn a_labelled_toy_set_has_the_same_points_and_the_number_of_their_modes() {
        let labelled = Source::Toy { kind: ToyKind::Gaussian25, size: 7, labels: true };
        let plain = Source::Toy { kind: ToyKind::Gaussian25, size: 7, labels: false };
        let [labelled, plain] =
            [labelled, plain].map(|source| load(&source, &LoadOptions::default()).unwrap());
        assert_eq!(labelled.class_names().unwrap().len(), 25);
        assert_eq!(plain.class_names(), None);
        for i in 0..7 {
            let (mut x_0, mut same) = ([0.0; 2], [0.0; 2]);
            labelled.x_0(i, false, &mut x_0);
            plain.x_0(i, false, &mut same);
            assert_eq!(x_0, same);
            let distance =
                |&[x, y]: &[f64; 2]| (f64::from(x_0[0]) - x).hypot(f64::from(x_0[1]) - y);
            let centres = ToyKind::Gaussian25.mode_centres();
            let near =
                |a: &usize, b: &usize| distance(&centres[*a]).total_cmp(&distance(&centres[*b]));
            assert_eq!(labelled.label(i), (0..25).min_by(near));
        }
    }

    #[test]
    fn glyphs_come_with_names_at_any_size_in_colour_or_grey() {
        let source = Source::Glyphs { size: 8 };
        let set = load(&source, &LoadOptions { seed: 1, ..Default::default() }).unwrap();
        assert_eq!(set.kind(), Kind::Images { channels: 3, height: 16, width: 16 });
        assert_eq!(set.class_names().unwrap().len(), 16);
        let drawn = glyphs::draw(1, Split::Train, 7, 16);
        assert_eq!(
            (set.label(7), set.pixels(7)),
            (Some(drawn.class), Some(drawn.pixels.as_slice()))
        );

        let options = LoadOptions { image_size: Some(24), greyscale: true, ..Default::default() };
        let set = load(&source, &options).unwrap();
        assert_eq!(set.kind(), Kind::Images { channels: 1, height: 24, width: 24 });
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let folder = Source::Folder("anywhere".into());
        let cases = [
            (&TOY, LoadOptions { image_size: Some(8), ..Default::default() }),
            (&TOY, LoadOptions { greyscale: true, ..Default::default() }),
            (&TOY, LoadOptions { flips: Some(true), ..Default::default() }),
            (&folder, LoadOptions { split: Split::Test, ..Default::default() }),
            (&folder, LoadOptions { image_size: Some(0), ..Default::default() }),
        ];
        for (source, options) in cases {
            assert!(
                matches!(load(source, &options), Err(DataError::Option { .. })),
                "{source} {options:?}"
            );
        }
    }
}

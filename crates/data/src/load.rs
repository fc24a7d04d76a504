//! Loads a [`Dataset`]: checks that source and options fit, then calls the format's loader.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::dataset::Items;
use crate::gather::{Gathered, Preparation};
use crate::labelling::Labelled;
use crate::labels::Labels;
use crate::picture::Form;
use crate::pictures::Pictures;
use crate::remarks::Remarks;
use crate::{
    DataError, Dataset, LabelSource, LoadOptions, Source, ToyKind, celeba, celebahq, cifar10,
    folder, glyphs, idx, lsun, parquet, toy,
};

/// Largest supported side of a picture, in pixels.
const MAX_IMAGE_SIZE: usize = 4096;

/// Loads a data set into memory.
///
/// # Errors
///
/// [`DataError`] names the file or the option to change; see its variants.
pub fn load(source: &Source, options: &LoadOptions) -> Result<Dataset, DataError> {
    check(source, options)?;
    let mut set = load_all(source, options)?;
    if options.labels == LabelSource::None {
        set.labelled = Labelled { notes: set.labelled.notes, ..Labelled::unwanted() };
    }
    Ok(set)
}

/// Loads a data set with the labels that its format has.
fn load_all(source: &Source, options: &LoadOptions) -> Result<Dataset, DataError> {
    match source {
        Source::Toy { kind, size, labels } => {
            let points =
                (0..*size).map(|i| toy::point(*kind, options.seed, options.split, i)).collect();
            let labelled = match labels {
                true => Labelled::from("the modes of the points", mode_labels(*kind, *size)),
                false => Labelled::none(toy_without_labels(*kind)),
            };
            Ok(dataset(source, Items::Points(points), labelled, false))
        }
        Source::Glyphs { size } => Ok(load_glyphs(source, *size, options)),
        Source::Idx(dir) => {
            let (pictures, labels) = idx::load(dir, options.split)?;
            let labelled = Labelled::from("the labels file", labels).with_empty_classes();
            Ok(dataset_of_pictures(source, pictures, labelled, options, false))
        }
        Source::Cifar10(path) => {
            let (pictures, labels) = cifar10::load(path, options.split)?;
            let labelled = Labelled::from("the batch files", labels);
            Ok(dataset_of_pictures(source, pictures, labelled, options, true))
        }
        Source::CelebA(path) => {
            let labelled = Labelled::none("CelebA's attributes are no classes");
            Ok(dataset_of_files(source, celeba::load(path, options)?, labelled, options))
        }
        Source::CelebAHq(path) => {
            let labelled = Labelled::none("CelebA-HQ has none");
            Ok(dataset_of_files(source, celebahq::load(path, options)?, labelled, options))
        }
        Source::Lsun(path) => {
            let (gathered, labelled) = lsun::load(path, options)?;
            Ok(dataset_of_files(source, gathered, labelled, options))
        }
        Source::Parquet(path) => {
            let (gathered, labelled) = parquet::load(path, options)?;
            Ok(dataset_of_files(source, gathered, labelled, options))
        }
        Source::Folder(path) => {
            let (gathered, labelled) = folder::load(path, options)?;
            Ok(dataset_of_files(source, gathered, labelled, options))
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
            "it has no split {}, only {}; for other pictures, name their folder",
            options.split.name(),
            source.splits().iter().map(|split| split.name()).collect::<Vec<_>>().join(", ")
        )),
        _ => check_labels(source, options),
    }
}

/// Checks that labels can come from where the options say.
fn check_labels(source: &Source, options: &LoadOptions) -> Result<(), DataError> {
    let (possible, advice) = match (source, &options.labels) {
        (_, LabelSource::Auto | LabelSource::None) => (true, ""),
        (Source::Folder(_), _) => (true, ""),
        (Source::Parquet(_), LabelSource::Column(_)) => (true, ""),
        (Source::Parquet(_), _) => (false, "a table has columns: use `--labels column:NAME`"),
        (Source::Lsun(_), LabelSource::Folders) => (true, ""),
        (Source::Lsun(_), _) => (false, "its classes are folders: use `--labels folders`"),
        _ => (false, "it has its own labels, or none: use `--labels auto` or `--labels none`"),
    };
    if possible {
        return Ok(());
    }
    let problem = format!("labels cannot come from {}: {advice}", options.labels);
    Err(DataError::Option { data_set: source.to_string(), problem })
}

/// Says why points have no labels, and how to get them.
fn toy_without_labels(kind: ToyKind) -> String {
    match kind {
        ToyKind::SwissRoll => "the Swiss roll has no modes that could be classes".to_owned(),
        kind => format!("`--data {kind}-labels` makes each mode a class"),
    }
}

/// Makes each mode a class named by its number, even if there are fewer points than modes.
fn mode_labels(kind: ToyKind, count: usize) -> Labels {
    let names = (0..kind.mode_centres().len()).map(|mode| mode.to_string()).collect();
    Labels { names, per_item: (0..count).filter_map(|i| toy::mode(kind, i)).collect() }
}

/// Draws glyphs at the requested size, so that nothing is lost to resizing.
fn load_glyphs(source: &Source, count: usize, options: &LoadOptions) -> Dataset {
    let size = options.image_size.unwrap_or(glyphs::SIZE);
    let draw = |i| glyphs::draw(options.seed, options.split, i, size);
    let drawn: Vec<_> = (0..count).into_par_iter().map(draw).collect();
    let names = glyphs::CLASS_NAMES.map(str::to_owned).to_vec();
    let labels = Labels { names, per_item: drawn.iter().map(|glyph| glyph.class).collect() };
    let pixels = drawn.into_iter().flat_map(|glyph| glyph.pixels).collect();
    let pictures = Pictures { channels: 3, height: size, width: size, pixels };
    let labelled = Labelled::from("the glyphs drawn", labels);
    dataset_of_pictures(source, pictures, labelled, options, false)
}

fn dataset_of_pictures(
    source: &Source,
    pictures: Pictures,
    labelled: Labelled,
    options: &LoadOptions,
    flips: bool,
) -> Dataset {
    let form = Form {
        width: pictures.width as u32,
        height: pictures.height as u32,
        colour: if pictures.channels == 1 { "grey" } else { "RGB" },
    };
    let forms = BTreeMap::from([(form, pictures.len())]);
    let items = Items::Pictures(Preparation::from_options(options).apply(pictures));
    Dataset { forms, ..dataset(source, items, labelled, options.flips.unwrap_or(flips)) }
}

fn dataset_of_files(
    source: &Source,
    gathered: Gathered,
    labelled: Labelled,
    options: &LoadOptions,
) -> Dataset {
    let Gathered { pictures, paths, skipped, forms, mut remarks, .. } = gathered;
    remarks.background = options.background;
    let flips = options.flips.unwrap_or(true);
    let items = Items::Pictures(pictures);
    Dataset { paths, skipped, forms, remarks, ..dataset(source, items, labelled, flips) }
}

fn dataset(source: &Source, items: Items, labelled: Labelled, flips: bool) -> Dataset {
    Dataset {
        name: source.to_string(),
        items,
        labelled,
        flips,
        skipped: Vec::new(),
        forms: BTreeMap::new(),
        paths: Vec::new(),
        remarks: Remarks::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ItemShape, Split};

    const TOY: Source = Source::Toy { kind: ToyKind::Gaussian8, size: 32, labels: false };

    #[test]
    fn a_toy_set_has_the_points_of_its_formula() {
        let set =
            load(&TOY, &LoadOptions { seed: 5, split: Split::Test, ..Default::default() }).unwrap();
        assert_eq!(
            (set.len(), set.kind(), set.label(3), set.flips()),
            (32, ItemShape::Points2d, None, false)
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
        assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 16, width: 16 });
        assert_eq!(set.class_names().unwrap().len(), 16);
        let drawn = glyphs::draw(1, Split::Train, 7, 16);
        assert_eq!(
            (set.label(7), set.pixels(7)),
            (Some(drawn.class), Some(drawn.pixels.as_slice()))
        );

        let options = LoadOptions { image_size: Some(24), greyscale: true, ..Default::default() };
        let set = load(&source, &options).unwrap();
        assert_eq!(set.kind(), ItemShape::Images { channels: 1, height: 24, width: 24 });
    }

    #[test]
    fn options_that_do_not_fit_are_refused() {
        let folder = Source::Folder("anywhere".into());
        let faces = Source::CelebAHq("anywhere".into());
        let (table, lsun) = (Source::Parquet("any".into()), Source::Lsun("anywhere".into()));
        let cases = [
            (&TOY, LoadOptions { image_size: Some(8), ..Default::default() }),
            (&TOY, LoadOptions { greyscale: true, ..Default::default() }),
            (&TOY, LoadOptions { flips: Some(true), ..Default::default() }),
            (&faces, LoadOptions { split: Split::Test, ..Default::default() }),
            (&TOY, LoadOptions { labels: LabelSource::Folders, ..Default::default() }),
            (&faces, LoadOptions { labels: LabelSource::FileNames, ..Default::default() }),
            (&table, LoadOptions { labels: LabelSource::Folders, ..Default::default() }),
            (&lsun, LoadOptions { labels: LabelSource::DatasetJson, ..Default::default() }),
            (&folder, LoadOptions { image_size: Some(0), ..Default::default() }),
        ];
        for (source, options) in cases {
            assert!(
                matches!(load(source, &options), Err(DataError::Option { .. })),
                "{source} {options:?}"
            );
        }
    }

    #[test]
    fn labels_that_are_not_wanted_are_ignored_in_every_format() {
        let modes = Source::Toy { kind: ToyKind::Gaussian8, size: 8, labels: true };
        for source in [modes, Source::Glyphs { size: 8 }] {
            let options = LoadOptions { labels: LabelSource::None, ..Default::default() };
            let set = load(&source, &options).unwrap();
            assert_eq!((set.class_names(), set.label(0)), (None, None));
            assert!(set.label_summary().contains("--no-labels"), "{}", set.label_summary());
        }
        let set = load(&TOY, &LoadOptions::default()).unwrap();
        assert_eq!(set.label_summary(), "none: `--data gaussian8-labels` makes each mode a class");
    }
}

//! From a name and options to a [`Dataset`]: checks what fits together, then asks the format.

use super::dataset::Items;
use super::folder::FolderOptions;
use super::labels::Labels;
use super::pictures::Pictures;
use super::{DataError, Dataset, Source, cifar10, folder, glyphs, idx, parallel, toy};

/// Largest side of a picture that a network is trained on here.
const MAX_IMAGE_SIZE: usize = 4096;

/// Which part of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Split {
    /// What the model is trained on.
    #[default]
    Train,
    /// What was held out; for procedural sets, other draws of the same distribution.
    Test,
}

/// What to do with a picture that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBroken {
    /// Refuse the whole folder and name the picture.
    #[default]
    Refuse,
    /// Leave it out and list it in [`Dataset::skipped`].
    Skip,
}

/// Where the labels of a folder of pictures come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FolderLabels {
    /// Sub-folders are classes if there are two or more and every picture lies directly in one; no labels otherwise.
    #[default]
    Auto,
    /// No labels, whatever the folders are called.
    None,
}

/// How to load a [`Source`]. The default is the train split as it lies on disk.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Side of the square that pictures are brought to; `None` keeps their size.
    pub image_size: Option<usize>,
    /// Reduces colour to one channel.
    pub greyscale: bool,
    /// Folders only: what to do with a picture that cannot be decoded.
    pub on_broken: OnBroken,
    /// Folders only: where labels come from.
    pub folder_labels: FolderLabels,
    /// Overrides whether pictures may be mirrored; `None`: yes for CIFAR-10 and folders, no for digits and glyphs.
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
        Source::Toy { kind, size } => {
            let points =
                (0..*size).map(|i| toy::point(*kind, options.seed, options.split, i)).collect();
            Ok(dataset(source, Items::Points(points), None, false))
        }
        Source::Glyphs { size } => Ok(load_glyphs(source, *size, options)),
        Source::Idx(dir) => {
            let (pictures, labels) = idx::load(dir, options.split)?;
            Ok(dataset_of_pictures(source, pictures, labels, options, false))
        }
        Source::Cifar10(dir) => {
            let (pictures, labels) = cifar10::load(dir, options.split)?;
            Ok(dataset_of_pictures(source, pictures, labels, options, true))
        }
        Source::Folder(dir) => {
            let LoadOptions { image_size, greyscale, on_broken, folder_labels, .. } = *options;
            let found = folder::load(
                dir,
                &FolderOptions { image_size, greyscale, on_broken, folder_labels },
            )?;
            let flips = options.flips.unwrap_or(true);
            let loaded = dataset(source, Items::Pictures(found.pictures), found.labels, flips);
            Ok(Dataset { skipped: found.skipped, ..loaded })
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
        Source::Folder(_) if options.split == Split::Test => refuse(
            "a folder of pictures has no test split; name the folder that holds the test pictures"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

/// Glyphs are drawn at the size that is asked for, so nothing is lost to resizing.
fn load_glyphs(source: &Source, count: usize, options: &LoadOptions) -> Dataset {
    let size = options.image_size.unwrap_or(glyphs::SIZE);
    let drawn = parallel::map(count, |i| glyphs::draw(options.seed, options.split, i, size));
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
    let pictures = if options.greyscale { pictures.into_greyscale() } else { pictures };
    let pictures = match options.image_size {
        Some(size) => pictures.fitted(size),
        None => pictures,
    };
    dataset(source, Items::Pictures(pictures), labels, options.flips.unwrap_or(flips))
}

fn dataset(source: &Source, items: Items, labels: Option<Labels>, flips: bool) -> Dataset {
    Dataset { name: source.to_string(), items, labels, flips, skipped: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Kind, ToyKind};

    const TOY: Source = Source::Toy { kind: ToyKind::Gaussian8, size: 32 };

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

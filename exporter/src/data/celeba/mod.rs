//! CelebA: the aligned faces, cropped and resized as the reference does, and the official partition.
//!
//! Layout: `img_align_celeba/*.jpg`, or the `img_align_celeba.zip` that is downloaded, and `list_eval_partition.txt`
//! beside it, <https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html>; or `img_align_celeba/img_align_celeba/*.jpg` and
//! `list_eval_partition.csv`, as Kaggle has them.

mod partition;

use std::path::{Path, PathBuf};

use super::gather::{Gather, Gathered, Preparation};
use super::picture::Decoded;
use super::picture_files::PictureFiles;
use super::{DataError, LoadOptions};
use partition::Partition;

/// Side that faces are brought to when none is asked for.
const SIZE: usize = 64;
/// Columns and rows of an aligned picture, and the square of it that the reference uses.
const ALIGNED: [usize; 2] = [178, 218];
const TOP: usize = 40;
const LEFT: usize = 15;
const SIDE: usize = 148;

const PICTURES: [&str; 4] = [
    "img_align_celeba",
    "img_align_celeba.zip",
    "celeba/img_align_celeba",
    "celeba/img_align_celeba.zip",
];

/// Loads one split. [`Split::All`](super::Split::All), which is what the reference trains on, needs no partition.
///
/// A picture that the partition does not name counts as broken, and so does a name of the split without its picture.
///
/// * `path`: the folder of `img_align_celeba`, the one above it, that folder itself, or the zip archive.
///
/// # Errors
///
/// [`DataError::Missing`] if pictures or the partition are not there, [`DataError::Format`] if the partition is
/// damaged, [`DataError::Broken`] if a picture cannot be used and `on_broken` is to refuse, [`DataError::Read`] if
/// the system refuses.
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Gathered, DataError> {
    let below = PICTURES.map(|name| path.join(name)).into_iter().find(|place| place.exists());
    let mut files = PictureFiles::find(&below.unwrap_or_else(|| path.to_path_buf()))?;
    let mut broken = Vec::new();
    match Partition::beside(files.root())? {
        Some(partition) => {
            broken = partition.disagreements(&files, options.split);
            files.retain(|name| partition.has(name, options.split));
        }
        None => partition::refuse_split_without_it(files.root(), options.split)?,
    }
    gather(&files, broken, options)
}

fn gather(
    files: &PictureFiles,
    broken: Vec<(PathBuf, &'static str)>,
    options: &LoadOptions,
) -> Result<Gathered, DataError> {
    let image_size = options.image_size.or(Some(SIZE));
    let preparation = Preparation { image_size, ..Preparation::asked(options) };
    let mut gather = Gather::new(files.root(), files.len(), options.on_broken);
    for (path, reason) in broken {
        gather.skip(path, reason);
    }
    let face = |i| face(files.decode(i)?, preparation);
    gather.add(files.len(), |i| files.path(i), face)?;
    gather.finish()
}

fn face(decoded: Decoded, preparation: Preparation) -> Result<Decoded, String> {
    let [width, height] = [decoded.picture.width, decoded.picture.height];
    if [width, height] != ALIGNED {
        return Err(format!("it is {width}x{height} pixels, and aligned faces are 178x218"));
    }
    Ok(decoded.map(|picture| preparation.apply(picture.cropped(TOP, LEFT, SIDE))))
}

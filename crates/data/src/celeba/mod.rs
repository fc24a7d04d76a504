//! CelebA: the aligned faces, cropped and resized like the reference's, and the official split.
//!
//! Layout: `img_align_celeba/*.jpg`, or the downloaded `img_align_celeba.zip`, with
//! `list_eval_partition.txt` beside it, <https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html>; or
//! Kaggle's `img_align_celeba/img_align_celeba/*.jpg` and `list_eval_partition.csv`.

mod partition;

use std::path::{Path, PathBuf};

use crate::gather::{Gathered, Preparation};
use crate::picture::Decoded;
use crate::picture_files::PictureFiles;
use crate::{DataError, LoadOptions};
use partition::Partition;

/// Default side of a face in pixels.
const SIZE: usize = 64;
/// Width and height of an aligned picture; then the square that the reference crops from it.
const ALIGNED: [usize; 2] = [178, 218];
const TOP: usize = 40;
const LEFT: usize = 15;
const SIDE: usize = 148;

/// Where the pictures may lie: as the authors, torchvision and Kaggle name them.
const PICTURES: [&str; 10] = [
    "img_align_celeba",
    "img_align_celeba.zip",
    "celeba/img_align_celeba",
    "celeba/img_align_celeba.zip",
    "Img/img_align_celeba",
    "Img/img_align_celeba.zip",
    "CelebA/Img/img_align_celeba",
    "CelebA/Img/img_align_celeba.zip",
    "celeba-dataset.zip",
    "archive.zip",
];

/// Loads one split. [`Split::All`](crate::Split::All), which the reference trains on, needs no
/// partition.
///
/// A picture that the partition does not name counts as broken, and so does a name of this split
/// without its picture.
///
/// * `path`: the folder `img_align_celeba`, its parent or grandparent, or the zip archive.
///
/// # Errors
///
/// [`DataError::Missing`] if pictures or the partition are missing, [`DataError::Format`] if the
/// partition is damaged, [`DataError::Broken`] if a picture cannot be used and `on_broken` is
/// [`Refuse`](crate::OnBroken::Refuse), [`DataError::Read`] if the system fails to read.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<Gathered, DataError> {
    let mut files = PictureFiles::find_below(path, &PICTURES)?;
    let mut broken = Vec::new();
    match Partition::find(&files)? {
        Some(partition) => {
            files.ignore_other_names();
            broken = partition.disagreements(&files, options.split);
            files.retain(|name| partition.contains(name, options.split));
        }
        None => partition::require_whole(files.root(), options.split)?,
    }
    gather(&files, broken, options)
}

fn gather(
    files: &PictureFiles,
    broken: Vec<(PathBuf, &'static str)>,
    options: &LoadOptions,
) -> Result<Gathered, DataError> {
    let image_size = options.image_size.or(Some(SIZE));
    let preparation = Preparation { image_size, ..Preparation::from_options(options) };
    let mut gather = files.gather(options.on_broken);
    for (path, reason) in broken {
        gather.skip(path, reason);
    }
    let face = |i| Ok(face(files.decode(i, preparation.background)?, preparation)?);
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

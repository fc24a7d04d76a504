//! CelebA-HQ: the folder `img_celeba_hq` of numbered pictures, or an archive of them.

use std::path::Path;

use crate::gather::Gathered;
use crate::picture_files::PictureFiles;
use crate::{DataError, LoadOptions, folder};

/// Where the pictures may lie: as the reference, CelebAMask-HQ and Kaggle name them.
const PICTURES: [&str; 9] = [
    "img_celeba_hq",
    "img_celeba_hq.zip",
    "celeba_hq/img_celeba_hq",
    "celeba_hq/img_celeba_hq.zip",
    "CelebA-HQ-img",
    "CelebAMask-HQ/CelebA-HQ-img",
    "celeba_hq_256",
    "celebahq_256",
    "data1024x1024",
];

/// Loads all pictures in the order of their numbers. They keep their size, as in the reference,
/// unless the options set one.
///
/// * `path`: the folder `img_celeba_hq`, its parent or grandparent, or a zip archive.
///
/// # Errors
///
/// As [`folder::load`].
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<Gathered, DataError> {
    let mut files = PictureFiles::find_below(path, &PICTURES)?;
    // Names that are not numbers come last, by name.
    files.sort_by_key(|name| number(name).unwrap_or(u64::MAX));
    folder::gather(&files, options)
}

fn number(name: &Path) -> Option<u64> {
    name.file_stem()?.to_str()?.parse().ok()
}

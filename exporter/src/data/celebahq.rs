//! CelebA-HQ: the folder `img_celeba_hq` of numbered pictures, or an archive of them.

use std::path::Path;

use super::gather::Gathered;
use super::picture_files::PictureFiles;
use super::{DataError, LoadOptions, folder};

const PICTURES: [&str; 4] = [
    "img_celeba_hq",
    "img_celeba_hq.zip",
    "celeba_hq/img_celeba_hq",
    "celeba_hq/img_celeba_hq.zip",
];

/// Loads all pictures in the order of their numbers. They keep their size, as in the reference, unless one is asked
/// for.
///
/// * `path`: the folder of `img_celeba_hq`, the one above it, that folder itself, or a zip archive.
///
/// # Errors
///
/// As [`folder::load`].
pub(super) fn load(path: &Path, options: &LoadOptions) -> Result<Gathered, DataError> {
    let below = PICTURES.map(|name| path.join(name)).into_iter().find(|place| place.exists());
    let mut files = PictureFiles::find(&below.unwrap_or_else(|| path.to_path_buf()))?;
    // Names that are no numbers come last, by name.
    files.sort_by_key(|name| number(name).unwrap_or(u64::MAX));
    folder::gather(&files, options)
}

fn number(name: &Path) -> Option<u64> {
    name.file_stem()?.to_str()?.parse().ok()
}

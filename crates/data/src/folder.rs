//! A folder or a zip archive of pictures, in any common format and size.

use std::path::Path;

use crate::gather::{Gathered, Preparation};
use crate::labelling::{self, Labelled};
use crate::picture_files::PictureFiles;
use crate::{DataError, LoadOptions};

/// Loads the pictures of one split in `root`, cropped to their centre square and resized to
/// `image_size`, with their labels.
///
/// Without `image_size` the pictures must all be squares of one size.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no folder or archive, or no usable picture in it,
/// [`DataError::Broken`] if one cannot be decoded and `on_broken` is
/// [`Refuse`](crate::OnBroken::Refuse), [`DataError::Format`] if `image_size` is needed,
/// [`DataError::Read`] if the system fails to read, [`DataError::Unclear`] if there is no such
/// split, or labels can be meant in two ways.
pub(crate) fn load(root: &Path, options: &LoadOptions) -> Result<(Gathered, Labelled), DataError> {
    let mut files = PictureFiles::find(root)?;
    let assignment = labelling::assign(&mut files, options)?;
    let gathered = gather(&files, options)?;
    let labelled = assignment.finish(&gathered.kept);
    Ok((gathered, labelled))
}

/// Loads pictures in the order of `files`.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn gather(files: &PictureFiles, options: &LoadOptions) -> Result<Gathered, DataError> {
    let preparation = Preparation::from_options(options);
    let mut gather = files.gather(options.on_broken);
    let decode = |i| files.decode(i, preparation.background);
    gather.add(
        files.len(),
        |i| files.path(i),
        |i| Ok(decode(i)?.map(|picture| preparation.apply(picture))),
    )?;
    gather.finish()
}

//! CIFAR-10 in both official versions, from a folder or straight from the `.tar.gz`.
//!
//! Layout: <https://www.cs.toronto.edu/~kriz/cifar.html>. An incomplete batch is refused even if
//! broken pictures are to be skipped: its good records cannot be distinguished from damaged ones.

mod batch_files;
mod batches;
mod binary;
mod python;

use std::path::Path;

use crate::labels::Labels;
use crate::pictures::Pictures;
use crate::{DataError, Split};
use batch_files::{BatchFiles, Version};
use batches::{Batches, CLASS_NAMES, SIZE};

/// Loads one split: pictures `[3, 32, 32]` and their labels, named by the meta file if it exists.
///
/// * `path`: the folder of the batches or its parent, or the downloaded archive.
///
/// # Errors
///
/// [`DataError::Missing`] if a file is missing, [`DataError::Format`] if one is damaged or has a
/// label above 9, [`DataError::Read`] if the system fails to read.
pub(crate) fn load(path: &Path, split: Split) -> Result<(Pictures, Labels), DataError> {
    let files = BatchFiles::find(path, split)?;
    let add_batch = match files.version() {
        Version::Binary => binary::add_batch,
        Version::Python => python::add_batch,
    };
    let mut batches = Batches::default();
    for name in files.version().batches(split) {
        let path = files.path_of(name);
        add_batch(&files.read(name)?, &mut batches)
            .map_err(|problem| DataError::format(&path, problem))?;
    }
    let names = class_names(&files)?;
    let pictures = Pictures { channels: 3, height: SIZE, width: SIZE, pixels: batches.pixels };
    Ok((pictures, Labels { names, per_item: batches.labels }))
}

fn class_names(files: &BatchFiles) -> Result<Vec<String>, DataError> {
    let meta = files.version().meta();
    let Some(bytes) = files.read_optional(meta)? else {
        return Ok(CLASS_NAMES.map(str::to_owned).to_vec());
    };
    let names = match files.version() {
        Version::Binary => binary::class_names(&bytes),
        Version::Python => python::class_names(&bytes),
    };
    let counted = names.and_then(|names| match names.len() {
        10 => Ok(names),
        count => Err(format!("it names {count} classes instead of ten")),
    });
    counted.map_err(|problem| DataError::format(&files.path_of(meta), problem))
}

//! CIFAR-10 in both versions of its authors, from the folder or straight from the `.tar.gz`.
//!
//! Layout: <https://www.cs.toronto.edu/~kriz/cifar.html>. A batch that is not whole is refused whatever the user says
//! of broken pictures: what is left of it cannot be told from what is damaged.

mod binary;
mod place;
mod python;

use std::path::Path;

use super::labels::Labels;
use super::pictures::Pictures;
use super::{DataError, Split};
use place::{Place, Version};

const SIZE: usize = 32;
const PICTURE_LEN: usize = 3 * SIZE * SIZE;
const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// Pictures `[3, 32, 32]` one after another, and the class of each.
#[derive(Default)]
struct Batches {
    pixels: Vec<u8>,
    labels: Vec<usize>,
}

/// Loads one split: pictures `[3, 32, 32]` and their labels, named by the meta file if it is there.
///
/// * `path`: the folder of the batches or the one above it, or the archive as it was fetched.
///
/// # Errors
///
/// [`DataError::Missing`] if a file is not there, [`DataError::Format`] if one is damaged or has a label above 9,
/// [`DataError::Read`] if the system refuses.
pub(super) fn load(path: &Path, split: Split) -> Result<(Pictures, Option<Labels>), DataError> {
    let place = Place::find(path, split)?;
    let add_batch = match place.version() {
        Version::Binary => binary::add_batch,
        Version::Python => python::add_batch,
    };
    let mut batches = Batches::default();
    for name in place.version().batches(split) {
        let path = place.path_of(name);
        add_batch(&place.read(name)?, &mut batches)
            .map_err(|problem| DataError::format(&path, problem))?;
    }
    let names = class_names(&place)?;
    let pictures = Pictures { channels: 3, height: SIZE, width: SIZE, pixels: batches.pixels };
    Ok((pictures, Some(Labels { names, of: batches.labels })))
}

fn class_names(place: &Place) -> Result<Vec<String>, DataError> {
    let file = place.version().meta();
    let Some(bytes) = place.read_if_there(file)? else {
        return Ok(CLASS_NAMES.map(str::to_owned).to_vec());
    };
    let names = match place.version() {
        Version::Binary => binary::class_names(&bytes),
        Version::Python => python::class_names(&bytes),
    };
    let counted = names.and_then(|names| match names.len() {
        10 => Ok(names),
        count => Err(format!("it names {count} classes, and there are ten")),
    });
    counted.map_err(|problem| DataError::format(&place.path_of(file), problem))
}

impl Batches {
    /// Adds the class of the next picture, which is number `record` of its batch.
    fn add_label(&mut self, record: usize, label: i64) -> Result<(), String> {
        match usize::try_from(label) {
            Ok(label) if label < CLASS_NAMES.len() => self.labels.push(label),
            _ => {
                return Err(format!(
                    "record {record} has label {label}, and there are ten classes, 0 to 9"
                ));
            }
        }
        Ok(())
    }
}

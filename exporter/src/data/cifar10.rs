//! CIFAR-10, binary version: records of one label byte and 3×32×32 bytes in CHW order.
//!
//! Layout: <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::labels::Labels;
use super::pictures::Pictures;
use super::{DataError, Split};

const SIZE: usize = 32;
const PICTURE_LEN: usize = 3 * SIZE * SIZE;
const RECORD_LEN: usize = 1 + PICTURE_LEN;
const TRAIN_FILES: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];
const TEST_FILES: [&str; 1] = ["test_batch.bin"];
const NAMES_FILE: &str = "batches.meta.txt";
const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
/// Where the files lie: as given, or as the archive unpacks.
const FOLDERS: [&str; 2] = ["", "cifar-10-batches-bin"];

/// Loads one split: pictures `[3, 32, 32]` and their labels, named by `batches.meta.txt` if it is there.
///
/// # Errors
///
/// [`DataError::Missing`] if a file is not there, [`DataError::Format`] if one has no whole number of records or
/// a label above 9, [`DataError::Read`] if the system refuses.
pub(super) fn load(dir: &Path, split: Split) -> Result<(Pictures, Option<Labels>), DataError> {
    let files: &[&str] = match split {
        Split::Train => &TRAIN_FILES,
        Split::Test => &TEST_FILES,
    };
    let folder = find(dir, files[0])?;
    let (mut pixels, mut of) = (Vec::new(), Vec::new());
    for file in files {
        read_batch(&folder.join(file), &mut pixels, &mut of)?;
    }
    let labels = Labels { names: class_names(&folder.join(NAMES_FILE))?, of };
    Ok((Pictures { channels: 3, height: SIZE, width: SIZE, pixels }, Some(labels)))
}

fn find(dir: &Path, file: &str) -> Result<PathBuf, DataError> {
    let mut folders = FOLDERS.iter().map(|folder| dir.join(folder));
    folders.find(|folder| folder.join(file).is_file()).ok_or_else(|| {
        let looked = format!("there is no {file}, nor in cifar-10-batches-bin below it");
        DataError::missing(dir, looked + "; get the binary version, not the Python one")
    })
}

fn read_batch(path: &Path, pixels: &mut Vec<u8>, labels: &mut Vec<usize>) -> Result<(), DataError> {
    let bytes = fs::read(path).map_err(DataError::read(path))?;
    if bytes.is_empty() || bytes.len() % RECORD_LEN != 0 {
        let problem = format!(
            "its {} bytes are not a whole number of records of {RECORD_LEN} bytes; fetch it again",
            bytes.len()
        );
        return Err(DataError::format(path, problem));
    }
    for (record, bytes) in bytes.chunks_exact(RECORD_LEN).enumerate() {
        let label = usize::from(bytes[0]);
        if label >= CLASS_NAMES.len() {
            let problem =
                format!("record {record} has label {label}, and there are ten classes, 0 to 9");
            return Err(DataError::format(path, problem));
        }
        labels.push(label);
        pixels.extend_from_slice(&bytes[1..]);
    }
    Ok(())
}

fn class_names(path: &Path) -> Result<Vec<String>, DataError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return Ok(CLASS_NAMES.map(str::to_owned).to_vec());
        }
        Err(cause) => return Err(DataError::read(path)(cause)),
    };
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() != CLASS_NAMES.len() {
        return Err(DataError::format(
            path,
            format!("it names {} classes, and there are ten", names.len()),
        ));
    }
    Ok(names)
}

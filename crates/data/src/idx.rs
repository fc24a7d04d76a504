//! IDX, the file format of MNIST and its relatives, gzipped or not.
//!
//! A header (magic, then the size of each dimension, u32 big-endian), then the bytes in row-major
//! order. Sizes come from the header, so pictures need not be 28×28. Layout:
//! <http://yann.lecun.com/exdb/mnist/>.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::labels::Labels;
use crate::pictures::Pictures;
use crate::places::{absent, found_in};
use crate::{DataError, Split, gzip};

/// Two zero bytes, the type (8: unsigned byte), the number of dimensions.
const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
/// Where the files may lie: in the folder itself, or as torchvision lays out MNIST.
const FOLDERS: [&str; 4] = ["", "MNIST/raw", "raw", "MNIST"];
/// Where torchvision puts relatives of MNIST. Only one of them may be there.
const RELATIVES: [&str; 2] = ["FashionMNIST/raw", "KMNIST/raw"];

/// Loads one split: pictures `[1, height, width]` and their labels; class k is named "k".
///
/// # Errors
///
/// [`DataError::Missing`] if a file is missing, [`DataError::Format`] if one is incomplete, not
/// IDX, or does not match the other, [`DataError::Read`] if the system fails to read.
pub(crate) fn load(dir: &Path, split: Split) -> Result<(Pictures, Labels), DataError> {
    let prefix = match split {
        Split::Test => "t10k",
        // Loading refuses the other splits.
        Split::Train | Split::Valid | Split::All => "train",
    };
    let images = [format!("{prefix}-images-idx3-ubyte"), format!("{prefix}-images.idx3-ubyte")];
    let labels = [format!("{prefix}-labels-idx1-ubyte"), format!("{prefix}-labels.idx1-ubyte")];
    let (folder, images_path) = find(dir, &images)?;
    let labels_path = in_folder(&folder, &labels).ok_or_else(|| {
        let problem = format!("no {}; {}", names(&labels), found_in(&folder));
        DataError::missing(&folder, problem)
    })?;

    let ([count, height, width], pixels) = read(&images_path, IMAGES_MAGIC)?;
    let ([labels_count], labels) = read(&labels_path, LABELS_MAGIC)?;
    if labels_count != count {
        let problem =
            format!("{labels_count} labels for the {count} pictures in {}", images_path.display());
        return Err(DataError::format(&labels_path, problem));
    }
    let pictures = Pictures { channels: 1, height, width, pixels };
    Ok((pictures, Labels::numbered(labels.into_iter().map(usize::from).collect())))
}

/// Finds the folder that holds a file with one of the names, and the file.
fn find(dir: &Path, names: &[String]) -> Result<(PathBuf, PathBuf), DataError> {
    if !dir.is_dir() {
        return Err(absent(dir, "folder"));
    }
    let holds = |folder: &&str| {
        let folder = dir.join(folder);
        in_folder(&folder, names).map(|file| (folder, file))
    };
    if let Some(found) = FOLDERS.iter().find_map(holds) {
        return Ok(found);
    }
    let mut relatives: Vec<_> = RELATIVES.iter().filter_map(holds).collect();
    match (relatives.pop(), relatives.len()) {
        (Some(found), 0) => Ok(found),
        (Some(_), _) => Err(DataError::missing(
            dir,
            format!("it holds several data sets; name one of {} below it", RELATIVES.join(", ")),
        )),
        (None, _) => {
            let places = [&FOLDERS[1..], &RELATIVES[..]].concat().join(", ");
            let problem = format!(
                "no {} in it, nor in {places} below it; {}",
                self::names(names),
                found_in(dir)
            );
            Err(DataError::missing(dir, problem))
        }
    }
}

/// Finds a file with one of the names, gzipped or not, in a folder. Kaggle's copy of MNIST puts
/// each file into a folder of its own name.
fn in_folder(folder: &Path, names: &[String]) -> Option<PathBuf> {
    let plain = names.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    let nested = names.iter().map(|name| format!("{name}/{name}"));
    plain.chain(nested).map(|name| folder.join(name)).find(|path| path.is_file())
}

fn names(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}, {name}.gz")).collect::<Vec<_>>().join(", ")
}

/// Reads a file of `D` dimensions: their sizes, all at least 1, and exactly the bytes they
/// announce.
fn read<const D: usize>(path: &Path, magic: u32) -> Result<([usize; D], Vec<u8>), DataError> {
    let mut file = gzip::open(path)?;
    let found = read_u32(&mut file, path)?;
    if found != magic {
        let problem = format!(
            "its magic number is {found:#010x}; an IDX file of {D} dimensions has {magic:#010x}"
        );
        return Err(DataError::format(path, problem));
    }
    let mut sizes = [0_usize; D];
    for size in &mut sizes {
        *size = read_u32(&mut file, path)? as usize;
    }
    match sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size)) {
        Some(announced @ 1..) => Ok((sizes, read_body(file, path, announced)?)),
        _ => Err(DataError::format(
            path,
            format!("its header announces impossible sizes: {sizes:?}"),
        )),
    }
}

fn read_u32(file: &mut impl Read, path: &Path) -> Result<u32, DataError> {
    let mut bytes = [0; 4];
    file.read_exact(&mut bytes)
        .map_err(|cause| DataError::format(path, format!("its header is cut short: {cause}")))?;
    Ok(u32::from_be_bytes(bytes))
}

/// Reads the bytes; memory grows with what the file really holds, whatever its header claims.
fn read_body(file: impl Read, path: &Path, announced: usize) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let outcome = file.take(announced as u64 + 1).read_to_end(&mut bytes);
    let problem = match (outcome, bytes.len()) {
        (Ok(_), length) if length == announced => return Ok(bytes),
        (Ok(_), length) if length > announced => {
            format!("there are bytes after the {announced} that its header announces")
        }
        (Ok(_), length) => {
            format!("it is truncated: {length} bytes of the {announced} that its header announces")
        }
        (Err(cause), length) => {
            format!("cannot be unpacked after {length} of {announced} bytes: {cause}")
        }
    };
    Err(DataError::format(path, problem + "; fetch it again"))
}

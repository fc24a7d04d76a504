//! IDX, the file format of MNIST and its relatives, gzipped or not.
//!
//! A header (magic, then the size of each dimension, u32 big-endian), then the bytes in row-major
//! order. Sizes come from the header, so pictures need not be 28×28. Layout:
//! <http://yann.lecun.com/exdb/mnist/>.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::labels::Labels;
use crate::pictures::Pictures;
use crate::{DataError, Split, gzip};

/// Two zero bytes, the type (8: unsigned byte), the number of dimensions.
const IMAGES_MAGIC: u32 = 0x0000_0803;
const LABELS_MAGIC: u32 = 0x0000_0801;
/// Where the files may lie: in the folder itself, or as torchvision lays them out.
const FOLDERS: [&str; 3] = ["", "MNIST/raw", "raw"];

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
    let images_path = find(dir, &format!("{prefix}-images-idx3-ubyte"))?;
    let labels_path = find(dir, &format!("{prefix}-labels-idx1-ubyte"))?;

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

fn find(dir: &Path, name: &str) -> Result<PathBuf, DataError> {
    let folders = FOLDERS.iter().map(|folder| dir.join(folder));
    let mut candidates =
        folders.flat_map(|folder| [folder.join(name), folder.join(format!("{name}.gz"))]);
    candidates.find(|path| path.is_file()).ok_or_else(|| {
        DataError::missing(
            dir,
            format!("no {name} or {name}.gz in it, nor in MNIST/raw or raw below it"),
        )
    })
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

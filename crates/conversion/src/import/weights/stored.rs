//! Tensors in a file of safetensors, read one by one, so that a file of any size can be looked
//! into.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;

use safetensors::Dtype;
use safetensors::tensor::Metadata;

/// Largest header that the format allows, in bytes.
const MAX_HEADER: u64 = 100_000_000;
/// Bytes of the header's length.
const LENGTH: u64 = 8;

/// A tensor that is still on disk.
#[derive(Debug)]
pub(super) struct Stored {
    path: Arc<Path>,
    start: u64,
    bytes: usize,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
}

impl Stored {
    /// Lists the tensors of a file by name.
    ///
    /// # Errors
    ///
    /// Describes what is wrong with the file.
    pub(super) fn list(path: &Path) -> Result<Vec<(String, Self)>, String> {
        let cut = || "it is cut short; copy it again".to_owned();
        let mut file = File::open(path).map_err(|error| error.to_string())?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        let mut length = [0; LENGTH as usize];
        file.read_exact(&mut length).map_err(|_| cut())?;
        let length = u64::from_le_bytes(length);
        if length > MAX_HEADER {
            return Err("it does not begin with the length of a header".to_owned());
        }
        if LENGTH + length > size {
            return Err(cut());
        }
        let mut header = vec![0; length as usize];
        file.read_exact(&mut header).map_err(|error| error.to_string())?;
        let header: Metadata =
            serde_json::from_slice(&header).map_err(|error| format!("its header: {error}"))?;
        if LENGTH + length + header.data_len() as u64 != size {
            return Err(cut());
        }
        let path: Arc<Path> = path.into();
        let stored = |(name, info): (String, &safetensors::tensor::TensorInfo)| {
            let (start, end) = info.data_offsets;
            let stored = Self {
                path: Arc::clone(&path),
                start: LENGTH + length + start as u64,
                bytes: end - start,
                dtype: info.dtype,
                shape: info.shape.clone(),
            };
            (name, stored)
        };
        Ok(header.tensors().into_iter().map(stored).collect())
    }

    /// Returns the number of elements.
    pub(super) fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Reads the elements, little-endian, in row-major order.
    ///
    /// # Errors
    ///
    /// Those of the operating system.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.start))?;
        let mut bytes = vec![0; self.bytes];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

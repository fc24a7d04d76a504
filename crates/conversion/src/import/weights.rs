//! Named tensors of a file: safetensors, or the output of PyTorch's `torch.save`.
//!
//! A `.pt` file is a pickle, a program for Python to run. Here it is only parsed: anything but
//! tensors, numbers and text stays a name, and nothing is called.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader};
use tch::{Kind, Tensor};

use super::ImportError;

/// Limit for the weights of a network as f32, in bytes: more do not fit into an ONNX file.
const MAX_BYTES: usize = i32::MAX as usize;

/// The tensors of a file, by name; values are read on demand.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    Pytorch(pytorch_reader::Tensor),
    Loaded(Tensor),
}

impl Weights {
    /// Opens a file of safetensors (`.safetensors`) or of PyTorch (any other name).
    ///
    /// # Errors
    ///
    /// [`ImportError::Read`] if the operating system refuses, [`ImportError::Format`] if it is not
    /// such a file.
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        // The errors of the libraries do not name the file.
        std::fs::File::open(path).map_err(ImportError::read(path))?;
        let entries = if path.extension().is_some_and(|end| end == "safetensors") {
            let tensors = Tensor::read_safetensors(path).map_err(|error| {
                ImportError::format(path, &format!("no safetensors file: {error}"))
            })?;
            tensors.into_iter().map(|(name, tensor)| (name, Entry::Loaded(tensor))).collect()
        } else {
            let reader = PytorchReader::new(path)
                .map_err(|error| ImportError::format(path, &format!("no PyTorch file: {error}")))?;
            let entries = reader.into_tensors().into_iter();
            entries.map(|(name, tensor)| (name, Entry::Pytorch(tensor))).collect()
        };
        Ok(Self { path: path.into(), entries })
    }

    /// Returns the names, sorted. Keys of nested dictionaries are joined by dots:
    /// `ema.shadow.in_conv.weight`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Reads tensors as f32 on the CPU, under new names.
    ///
    /// * `rename`: returns the new name of a tensor, or `None` to leave it out.
    ///
    /// # Errors
    ///
    /// [`ImportError::Format`] if a tensor is cut short or not real, or if all together are too
    /// large for a network that can be exported; [`ImportError::Torch`] if memory is short.
    pub(crate) fn read(
        &self,
        rename: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<(String, Tensor)>, ImportError> {
        let mut bytes = 0usize;
        let mut tensors = Vec::new();
        for (name, entry) in &self.entries {
            let Some(new_name) = rename(name) else { continue };
            bytes = bytes.saturating_add(entry.elements().saturating_mul(4));
            if bytes > MAX_BYTES {
                let problem = format!("its weights take more than {MAX_BYTES} bytes");
                return Err(ImportError::format(&self.path, &problem));
            }
            tensors.push((new_name, self.tensor(name, entry)?));
        }
        Ok(tensors)
    }

    fn tensor(&self, name: &str, entry: &Entry) -> Result<Tensor, ImportError> {
        let fault =
            |problem: String| ImportError::format(&self.path, &format!("{name}: {problem}"));
        let tensor = match entry {
            Entry::Loaded(tensor) => tensor.shallow_clone(),
            Entry::Pytorch(entry) => {
                let kind = kind(entry.dtype())
                    .ok_or_else(|| fault(format!("weights of type {:?}", entry.dtype())))?;
                let bytes = entry.read().map_err(|error| fault(error.to_string()))?;
                let shape: Vec<i64> = entry.shape().iter().map(|&extent| extent as i64).collect();
                Tensor::f_from_data_size(&bytes, &shape, kind)?
            }
        };
        if !tensor.is_floating_point() {
            return Err(fault(format!("weights of type {:?}", tensor.kind())));
        }
        Ok(tensor.f_to_kind(Kind::Float)?.f_contiguous()?)
    }
}

impl Entry {
    fn elements(&self) -> usize {
        match self {
            Self::Pytorch(tensor) => tensor.num_elements(),
            Self::Loaded(tensor) => tensor.numel(),
        }
    }
}

fn kind(dtype: DType) -> Option<Kind> {
    Some(match dtype {
        DType::F64 => Kind::Double,
        DType::F32 => Kind::Float,
        DType::F16 => Kind::Half,
        DType::BF16 => Kind::BFloat16,
        _ => return None,
    })
}

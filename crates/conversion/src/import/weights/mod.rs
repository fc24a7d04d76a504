//! Named tensors of a file: safetensors, or the output of PyTorch's `torch.save`, whole or in
//! several files with an index.
//!
//! A `.pt` file is a pickle, a program for Python to run. Here it is only parsed: anything but
//! tensors, numbers and text stays a name, and nothing is called.

mod sections;
pub(crate) use sections::choose;

mod shards;

mod stored;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PytorchReader};
use safetensors::Dtype;
use tch::{Kind, Tensor};

use super::{ImportError, foreign};
use shards::Shards;
use stored::Stored;

/// Limit for the weights of a network as f32, in bytes: more do not fit into an ONNX file.
const MAX_BYTES: usize = i32::MAX as usize;
/// Names to quote in a message.
const QUOTED: usize = 3;

/// The tensors of a file, by name; values are read on demand.
#[derive(Debug)]
pub(crate) struct Weights {
    path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug)]
enum Entry {
    Pytorch(pytorch_reader::Tensor),
    Safetensors(Stored),
}

/// Tensors as f32 on the CPU, and what to say about them.
#[derive(Debug)]
pub(crate) struct State {
    /// The tensors, under their new names.
    pub(crate) tensors: Vec<(String, Tensor)>,
    /// A sentence for each thing that the user may not expect.
    pub(crate) notes: Vec<String>,
}

impl Weights {
    /// Opens a file of safetensors or of PyTorch, told by its content, or an index of several
    /// (`.index.json`).
    ///
    /// # Errors
    ///
    /// [`ImportError::Read`] if the operating system refuses, [`ImportError::Format`] if it is not
    /// such a file.
    pub(crate) fn open(path: &Path) -> Result<Self, ImportError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let entries = match name.contains(".index.") && name.ends_with(".json") {
            true => sharded(path)?,
            false => entries(path)?,
        };
        Ok(Self { path: path.into(), entries: entries.into_iter().collect() })
    }

    /// Returns the file, or the index of several.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the names, sorted. Keys of nested dictionaries are joined by dots:
    /// `ema.shadow.in_conv.weight`.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// Returns the error of a file that holds another network.
    pub(crate) fn foreign(&self, expected: &str) -> ImportError {
        let names: Vec<&str> = self.names().collect();
        let told = foreign::by_names(&self.path, &names).or_else(|| foreign::by_pickle(&self.path));
        told.unwrap_or_else(|| {
            let quoted = names.iter().take(QUOTED).copied().collect::<Vec<_>>().join(", ");
            let held = match names.len() {
                0 => "no tensors".to_owned(),
                count if count <= QUOTED => quoted,
                count => format!("{count} tensors, such as {quoted}"),
            };
            ImportError::format(&self.path, &format!("{expected}; it holds {held}"))
        })
    }

    /// Reads tensors as f32 on the CPU, under new names.
    ///
    /// * `rename`: returns the new name of a tensor, or `None` to leave it out.
    ///
    /// # Errors
    ///
    /// [`ImportError::Format`] if a tensor is cut short, not real, or has a value that is not
    /// finite, if all are zeros, or if all together are too large for a network that can be
    /// exported; [`ImportError::Torch`] if memory is short.
    pub(crate) fn read(
        &self,
        rename: impl Fn(&str) -> Option<String>,
    ) -> Result<State, ImportError> {
        let mut bytes = 0usize;
        let mut tensors = Vec::new();
        let mut types = BTreeSet::new();
        for (name, entry) in &self.entries {
            let Some(new_name) = rename(name) else { continue };
            bytes = bytes.saturating_add(entry.elements().saturating_mul(4));
            if bytes > MAX_BYTES {
                let problem = format!("its weights take more than {MAX_BYTES} bytes");
                return Err(ImportError::format(&self.path, &problem));
            }
            types.insert(entry.type_name());
            tensors.push((new_name, self.tensor(name, entry)?));
        }
        let mut notes = Vec::new();
        let narrow: Vec<String> =
            types.into_iter().filter(|name| !["F32", "F64"].contains(&name.as_str())).collect();
        if !narrow.is_empty() {
            notes.push(format!("weights of type {} are converted to fp32", narrow.join(" and ")));
        }
        notes.extend(self.zeros(&tensors)?);
        Ok(State { tensors, notes })
    }

    fn tensor(&self, name: &str, entry: &Entry) -> Result<Tensor, ImportError> {
        let fault =
            |problem: String| ImportError::format(&self.path, &format!("{name}: {problem}"));
        let kind = entry.kind().ok_or_else(|| {
            let name = entry.type_name();
            fault(format!("weights of type {name} are not supported; save them as float32"))
        })?;
        let bytes = entry.read().map_err(|error| fault(error.to_string()))?;
        let tensor = Tensor::f_from_data_size(&bytes, &entry.shape(), kind)?;
        let tensor = tensor.f_to_kind(Kind::Float)?.f_contiguous()?;
        let finite = tensor.f_isfinite()?.f_all()?;
        if bool::try_from(finite)? {
            return Ok(tensor);
        }
        let count = i64::try_from(tensor.f_isfinite()?.f_logical_not()?.f_sum(Kind::Int64)?)?;
        let all = tensor.numel();
        Err(fault(format!(
            "{count} of its {all} numbers are NaN or infinite: the training diverged, or the file \
             is damaged; take an earlier checkpoint"
        )))
    }

    /// Refuses weights that are all zeros, and names the tables that are.
    fn zeros(&self, tensors: &[(String, Tensor)]) -> Result<Option<String>, ImportError> {
        let mut zeros = Vec::new();
        for (name, tensor) in tensors {
            if !bool::try_from(tensor.f_count_nonzero(None)?.f_gt(0)?)? {
                zeros.push((name, tensor.dim()));
            }
        }
        if !tensors.is_empty() && zeros.len() == tensors.len() {
            let problem = "all its weights are zeros: the network was never trained, or saved \
                           before its weights were gathered";
            return Err(ImportError::format(&self.path, &problem));
        }
        // Biases and the shifts of norms often begin as zeros, and may stay so.
        let tables: Vec<&str> =
            zeros.iter().filter(|(_, axes)| *axes > 1).map(|(name, _)| name.as_str()).collect();
        Ok((!tables.is_empty()).then(|| {
            let quoted = tables.iter().take(QUOTED).copied().collect::<Vec<_>>().join(", ");
            let more = if tables.len() > QUOTED { ", …" } else { "" };
            format!(
                "{} of {} weights are all zeros ({quoted}{more}), as in a network that was hardly \
                 trained",
                tables.len(),
                tensors.len()
            )
        }))
    }
}

/// Lists the tensors of one file.
fn entries(path: &Path) -> Result<Vec<(String, Entry)>, ImportError> {
    foreign::by_content(path)?;
    if foreign::is_safetensors(path)? {
        let tensors = Stored::list(path).map_err(|problem| {
            ImportError::format(path, &format!("no safetensors file: {problem}"))
        })?;
        return Ok(tensors.into_iter().map(|(name, at)| (name, Entry::Safetensors(at))).collect());
    }
    let reader = PytorchReader::new(path).map_err(|error| {
        foreign::by_pickle(path)
            .unwrap_or_else(|| ImportError::format(path, &format!("no PyTorch file: {error}")))
    })?;
    let tensors = reader.into_tensors().into_iter();
    Ok(tensors.map(|(name, tensor)| (name, Entry::Pytorch(tensor))).collect())
}

/// Lists the tensors of the files that an index names.
fn sharded(index: &Path) -> Result<Vec<(String, Entry)>, ImportError> {
    let shards = Shards::open(index)?;
    let folder = index.parent().unwrap_or(Path::new("."));
    let mut all = Vec::new();
    for file in shards.files() {
        let found = entries(&folder.join(file))?;
        let names = found.iter().map(|(name, _)| name.as_str()).collect();
        shards.check(file, &names).map_err(|problem| ImportError::format(index, &problem))?;
        all.extend(found);
    }
    Ok(all)
}

impl Entry {
    fn elements(&self) -> usize {
        match self {
            Self::Pytorch(tensor) => tensor.num_elements(),
            Self::Safetensors(stored) => stored.elements(),
        }
    }

    fn shape(&self) -> Vec<i64> {
        let shape = match self {
            Self::Pytorch(tensor) => tensor.shape(),
            Self::Safetensors(stored) => &stored.shape,
        };
        shape.iter().map(|&extent| extent as i64).collect()
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Pytorch(tensor) => tensor.read(),
            Self::Safetensors(stored) => stored.read(),
        }
    }

    fn type_name(&self) -> String {
        match self {
            Self::Pytorch(tensor) => format!("{:?}", tensor.dtype()),
            Self::Safetensors(stored) => format!("{:?}", stored.dtype),
        }
    }

    /// Returns libtorch's name of a type of real numbers.
    fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Pytorch(tensor) => match tensor.dtype() {
                DType::F64 => Kind::Double,
                DType::F32 => Kind::Float,
                DType::F16 => Kind::Half,
                DType::BF16 => Kind::BFloat16,
                _ => return None,
            },
            Self::Safetensors(stored) => match stored.dtype {
                Dtype::F64 => Kind::Double,
                Dtype::F32 => Kind::Float,
                Dtype::F16 => Kind::Half,
                Dtype::BF16 => Kind::BFloat16,
                _ => return None,
            },
        })
    }
}

//! Outputs of the original program, to compare with.

use std::path::{Path, PathBuf};

use ddpm_network::Network;
use ddpm_network::sample::forward;
use tch::{Device, Kind, Tensor};

use super::ImportError;

/// The largest difference allowed, relative to the largest output, or absolute if that is below 1.
const TOLERANCE: f64 = 1e-4;

/// Inputs, and the outputs of the original program for them.
#[derive(Debug)]
pub struct ReferenceOutputs {
    path: PathBuf,
    /// `[N, …sample shape]`, flat.
    pub sample: Vec<f32>,
    /// `[N]`.
    pub timestep: Vec<f32>,
    /// `[N]`, for conditional networks.
    pub class_labels: Option<Vec<i64>>,
    /// `[N, …output shape]`, flat.
    pub out_sample: Vec<f32>,
}

/// The difference between a network and the original program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The largest difference between two outputs.
    pub largest: f64,
    /// The largest difference allowed.
    pub allowed: f64,
}

impl Difference {
    /// Returns whether rounding explains it.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.largest <= self.allowed
    }
}

impl ReferenceOutputs {
    /// Reads a safetensors file with `sample`, `timestep`, `out_sample` and, for conditional
    /// networks, `class_labels`.
    ///
    /// # Errors
    ///
    /// [`ImportError::Format`] if it is not such a file or lacks one of them.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        let fault = |problem: String| ImportError::format(path, &problem);
        let tensors = Tensor::read_safetensors(path).map_err(|error| fault(error.to_string()))?;
        let find =
            |name: &str| tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor);
        let floats = |name: &str| {
            let tensor =
                find(name).ok_or_else(|| fault(format!("the tensor {name} is missing")))?;
            let tensor = tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(0, -1)?;
            Ok::<_, ImportError>(Vec::<f32>::try_from(tensor)?)
        };
        let labels =
            find("class_labels").map(|labels| Vec::<i64>::try_from(labels.to_kind(Kind::Int64)));
        Ok(Self {
            path: path.into(),
            sample: floats("sample")?,
            timestep: floats("timestep")?,
            class_labels: labels.transpose()?,
            out_sample: floats("out_sample")?,
        })
    }

    /// Compares a network, on the CPU, with the original program.
    ///
    /// # Errors
    ///
    /// [`ImportError::Format`] if the inputs do not fit the network; [`ImportError::Torch`] if
    /// memory is short.
    pub fn compare(&self, network: &Network) -> Result<Difference, ImportError> {
        self.check(network).map_err(|problem| ImportError::format(&self.path, &problem))?;
        let labels = self.class_labels.as_deref();
        let outputs = forward(network, Device::Cpu, &self.sample, &self.timestep, labels)?;
        Ok(self.difference(&outputs))
    }

    fn check(&self, network: &Network) -> Result<(), String> {
        let (config, rows) = (network.config(), self.timestep.len());
        let len = config.sample_shape().iter().product::<i64>() as usize;
        if rows == 0 || self.sample.len() != rows * len {
            let got = self.sample.len();
            return Err(format!("sample has {got} numbers instead of {rows} rows of {len}"));
        }
        let labels = self.class_labels.as_deref().unwrap_or_default();
        let (wanted, classes) = match config.num_classes() {
            Some(classes) => (rows, classes),
            None => (0, 0),
        };
        if labels.len() != wanted || labels.iter().any(|label| !(0..=classes).contains(label)) {
            return Err(format!("class_labels must be {wanted} numbers of 0..={classes}"));
        }
        Ok(())
    }

    /// Returns the largest difference from the original outputs; infinite if their number differs.
    #[must_use]
    pub fn difference(&self, outputs: &[f32]) -> Difference {
        let largest = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let size = largest(&mut self.out_sample.iter().map(|value| f64::from(value.abs())));
        let distance = |(a, b): (&f32, &f32)| {
            let distance = f64::from((a - b).abs());
            if distance.is_finite() { distance } else { f64::INFINITY }
        };
        let found = largest(&mut outputs.iter().zip(&self.out_sample).map(distance));
        let same_number = outputs.len() == self.out_sample.len();
        Difference {
            largest: if same_number { found } else { f64::INFINITY },
            allowed: TOLERANCE * size.max(1.0),
        }
    }
}

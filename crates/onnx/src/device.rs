//! Chooses the device on which graphs run, with the reason.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use ort::ep::{self, ExecutionProvider};
use ort::session::Session;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use tracing::warn;

use crate::{Error, Runtime, gpu};

/// The requested device: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// CUDA where it works, otherwise the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, or an error.
    Cuda(u32),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("device must be auto, cpu, cuda or cuda:N, got {text:?}");
        match text.split_once(':') {
            None if text == "auto" => Ok(Self::Auto),
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", number)) => number.parse().map(Self::Cuda).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// Where graphs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    cuda: Option<u32>,
    /// The GPU with its driver and cuDNN; none on the CPU.
    gpu: Option<String>,
    reason: String,
}

impl Device {
    /// Returns the requested device, or for `auto` the best that works.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if CUDA is requested but does not work, with what is missing.
    pub fn choose(runtime: &Runtime, choice: DeviceChoice) -> Result<Self, Error> {
        let cpu = |reason: String| Self { cuda: None, gpu: None, reason };
        let cuda = |number, gpu, reason: &str| Self {
            cuda: Some(number),
            gpu: Some(gpu),
            reason: reason.to_owned(),
        };
        match choice {
            DeviceChoice::Cpu => Ok(cpu("requested".into())),
            DeviceChoice::Cuda(number) => match probe(runtime, number) {
                Ok(gpu) => Ok(cuda(number, gpu, "requested")),
                Err(reason) => Err(Error::Device { device: choice.to_string(), reason }),
            },
            DeviceChoice::Auto => match probe(runtime, 0) {
                Ok(gpu) => Ok(cuda(0, gpu, "CUDA works")),
                Err(reason) => {
                    if has_cuda_compiled_in() {
                        warn!(%reason, "CUDA is not used");
                    }
                    Ok(cpu(format!("no CUDA: {reason}")))
                }
            },
        }
    }

    /// Returns `cpu` or `cuda:N`.
    #[must_use]
    pub fn name(&self) -> String {
        self.cuda.map_or_else(|| "cpu".into(), |number| format!("cuda:{number}"))
    }

    /// Returns the GPU, its driver and cuDNN, on which the last bits of results depend; `None` on
    /// the CPU.
    #[must_use]
    pub fn gpu(&self) -> Option<&str> {
        self.gpu.as_deref()
    }

    /// Returns the execution provider: `cpu` or `cuda`.
    #[must_use]
    pub fn provider(&self) -> &'static str {
        if self.cuda.is_some() { "cuda" } else { "cpu" }
    }

    /// Returns why this device was chosen.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the number of the GPU; `None` on the CPU.
    pub(crate) fn cuda(&self) -> Option<u32> {
        self.cuda
    }

    /// Returns whether this is the CPU.
    pub(crate) fn is_cpu(&self) -> bool {
        self.cuda.is_none()
    }

    /// Creates a session builder whose graphs run on the CPU, and only in the thread that calls
    /// them.
    pub(crate) fn single_thread(runtime: &Runtime) -> Result<SessionBuilder, String> {
        let builder = Session::builder(runtime.environment()).map_err(|error| error.to_string())?;
        let builder = builder.with_independent_thread_pool().map_err(|error| error.to_string())?;
        builder.with_intra_threads(1).map_err(|error| error.to_string())
    }

    /// Creates a session builder whose graphs run on the CPU.
    pub(crate) fn on_cpu(runtime: &Runtime) -> Result<SessionBuilder, String> {
        Session::builder(runtime.environment()).map_err(|error| error.to_string())
    }

    /// Creates a session builder whose graphs run on the CPU without any optimisation.
    pub(crate) fn on_cpu_as_written(runtime: &Runtime) -> Result<SessionBuilder, String> {
        let level = GraphOptimizationLevel::Disable;
        Self::on_cpu(runtime)?.with_optimization_level(level).map_err(|error| error.to_string())
    }

    /// Creates a session builder that refuses graphs of which any part would run on the CPU
    /// instead of this device.
    pub(crate) fn session_without_fallback(
        &self,
        runtime: &Runtime,
    ) -> Result<SessionBuilder, String> {
        let builder = self.session(runtime)?;
        builder.with_disable_cpu_fallback().map_err(|error| error.to_string())
    }

    /// Creates a session builder whose graphs run only on this device.
    pub(crate) fn session(&self, runtime: &Runtime) -> Result<SessionBuilder, String> {
        let builder = Session::builder(runtime.environment()).map_err(|error| error.to_string())?;
        match self.cuda {
            None => Ok(builder),
            Some(number) => with_cuda(builder, number),
        }
    }
}

/// Returns whether the library has CUDA compiled in, regardless of the machine.
fn has_cuda_compiled_in() -> bool {
    ep::CUDA::is_available().unwrap_or(false)
}

/// Checks that CUDA works, and returns the GPU with its driver and cuDNN, or says what is missing.
fn probe(runtime: &Runtime, number: u32) -> Result<String, String> {
    if !has_cuda_compiled_in() {
        return Err("this ONNX Runtime is built without it (`make setup DEVICE=cuda` fetches one \
                    with it)"
            .into());
    }
    preload(runtime.path());
    let builder = Session::builder(runtime.environment()).map_err(|error| error.to_string())?;
    with_cuda(builder, number)?;
    gpu::identity(number)
}

fn with_cuda(builder: SessionBuilder, number: u32) -> Result<SessionBuilder, String> {
    let number = i32::try_from(number).map_err(|_| "there is no such GPU".to_owned())?;
    // TF32 would round fp32 convolutions to 10 bits of mantissa.
    let cuda = ep::CUDA::default().with_device_id(number).with_tf32(false).build();
    builder.with_execution_providers([cuda.error_on_failure()]).map_err(|error| error.to_string())
}

/// Loads CUDA's libraries from the wheels beside ONNX Runtime's, if present; otherwise the system's
/// loader finds them, or reports what is missing.
fn preload(library: &Path) {
    let Some(nvidia) = library.ancestors().nth(3).map(|root| root.join("nvidia")) else { return };
    let (cuda, cudnn) = (nvidia.join("cu13/lib"), nvidia.join("cudnn/lib"));
    if cuda.is_dir()
        && cudnn.is_dir()
        && let Err(error) = ep::cuda::preload_dylibs(Some(&cuda), Some(&cudnn))
    {
        warn!(%error, "CUDA's libraries beside ONNX Runtime cannot be loaded");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_parse_as_they_are_written() {
        for (text, want) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse(), Ok(want));
            assert_eq!(want.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        for text in ["gpu", "cuda:", "cuda:-1", "cpu:0", ""] {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text:?}");
        }
    }
}

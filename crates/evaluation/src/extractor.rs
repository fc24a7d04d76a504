//! From pictures to features, by a network that others trained or by the small one that we ship.

use std::fs;
use std::path::Path;

use ddpm_measures::Features;
use ddpm_onnx::{DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::Sha256Hex;
use tch::{CModule, Device, IValue, Tensor};

use super::pictures::PictureSet;
use super::preprocessing::Preprocessing;
use super::{EvaluateError, small};

/// Pictures that go through an extractor together.
const BATCH: usize = 64;

/// The ONNX Runtime library, and the device it computes on.
#[derive(Debug, Clone, Default)]
pub struct OnnxOptions {
    /// The library and its number of threads.
    pub runtime: RuntimeOptions,
    /// The device.
    pub device: DeviceChoice,
}

impl OnnxOptions {
    /// Loads the library and chooses the device.
    ///
    /// # Errors
    ///
    /// ONNX Runtime's, if the library or the device is missing.
    pub fn open(&self) -> Result<(&'static Runtime, ddpm_onnx::Device), ddpm_onnx::Error> {
        let runtime = Runtime::load(&self.runtime)?;
        Ok((runtime, ddpm_onnx::Device::choose(runtime, self.device)?))
    }
}

/// A network that turns each picture into a row of features.
#[derive(Debug)]
pub struct Extractor {
    name: String,
    sha256: Sha256Hex,
    preprocessing: Preprocessing,
    network: Network,
}

#[derive(Debug)]
enum Network {
    Onnx(ddpm_onnx::Extractor),
    Script(CModule, Device),
}

impl Extractor {
    /// Opens the small network that we ship, see [`small`].
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Onnx`] if ONNX Runtime is missing.
    pub fn shipped(onnx: &OnnxOptions) -> Result<Self, EvaluateError> {
        let (graph, preprocessing) = (small::GRAPH, small::preprocessing());
        Self::from_onnx(small::NAME.to_owned(), graph, preprocessing, onnx)
    }

    /// Opens an ONNX file (`.onnx`) or a TorchScript module (any other name).
    ///
    /// * `device`: the device of a TorchScript module.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::File`] if it cannot be read; [`EvaluateError::Onnx`] if it is not a graph
    /// from pictures to features.
    pub fn open(
        path: &Path,
        preprocessing: Preprocessing,
        onnx: &OnnxOptions,
        device: Device,
    ) -> Result<Self, EvaluateError> {
        let unreadable = |cause| EvaluateError::file(path, format!("cannot be read: {cause}"));
        let bytes = fs::read(path).map_err(unreadable)?;
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("onnx")) {
            return Self::from_onnx(name, &bytes, preprocessing, onnx);
        }
        let mut module =
            CModule::load_data_on_device(&mut &bytes[..], device).map_err(|cause| {
                let cause = cause.to_string();
                let first = cause.lines().next().unwrap_or_default();
                let help = "save it with torch.jit.save, or name an .onnx file";
                EvaluateError::file(path, format!("is not a TorchScript module ({first}): {help}"))
            })?;
        module.f_set_eval()?;
        let network = Network::Script(module, device);
        Ok(Self { name, sha256: Sha256Hex::of(&bytes), preprocessing, network })
    }

    fn from_onnx(
        name: String,
        bytes: &[u8],
        preprocessing: Preprocessing,
        onnx: &OnnxOptions,
    ) -> Result<Self, EvaluateError> {
        let (runtime, device) = onnx.open()?;
        let output = preprocessing.output.as_deref();
        let network = ddpm_onnx::Extractor::open(runtime, &device, bytes, output)?;
        let sha256 = Sha256Hex::of(bytes);
        Ok(Self { name, sha256, preprocessing, network: Network::Onnx(network) })
    }

    /// Returns the name of its file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the digest of its file.
    #[must_use]
    pub fn sha256(&self) -> &Sha256Hex {
        &self.sha256
    }

    /// Returns the preprocessing of its input.
    #[must_use]
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Computes the features of all pictures, `[N, D]`.
    ///
    /// * `progress`: called with the number of pictures done.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Mismatch`] if its number of features differs from its description;
    /// [`EvaluateError::Onnx`] or [`EvaluateError::Torch`] if it cannot be run on them;
    /// [`EvaluateError::Measure`] if a feature is not finite.
    pub fn features(
        &mut self,
        pictures: &PictureSet,
        mut progress: impl FnMut(usize),
    ) -> Result<Features, EvaluateError> {
        let mut features = Features::new(self.preprocessing.dimension)?;
        let mut rows = Vec::new();
        for start in (0..pictures.len()).step_by(BATCH) {
            let range = start..(start + BATCH).min(pictures.len());
            let count = range.len();
            let input = self.preprocessing.apply(pictures.shape(), &pictures.pixels(range))?;
            self.evaluate(&input, &mut rows)?;
            if rows.len() != count * features.dim() {
                return Err(EvaluateError::Mismatch(format!(
                    "{} gives {} features per picture, but its description says dimension {}",
                    self.name,
                    rows.len() / count,
                    features.dim()
                )));
            }
            features.push(&rows)?;
            progress(start + count);
        }
        Ok(features)
    }

    /// Writes the rows of features to `rows`, one after another.
    fn evaluate(&mut self, input: &Tensor, rows: &mut Vec<f32>) -> Result<(), EvaluateError> {
        match &mut self.network {
            Network::Onnx(graph) => {
                let mut shape = [0; 4];
                shape.iter_mut().zip(input.size()).for_each(|(to, from)| *to = from as usize);
                let values = Vec::<f32>::try_from(input.f_reshape([-1])?)?;
                Ok(graph.evaluate(shape, &values, rows)?)
            }
            Network::Script(module, device) => {
                let input = IValue::Tensor(input.f_to_device(*device)?);
                let arguments = self.preprocessing.arguments.iter().copied().map(IValue::Bool);
                let inputs: Vec<IValue> = std::iter::once(input).chain(arguments).collect();
                let output = tch::no_grad(|| module.forward_is(&inputs))?;
                let IValue::Tensor(output) = output else {
                    return Err(EvaluateError::Mismatch(format!(
                        "{} does not give one tensor; wrap the module so that it does",
                        self.name
                    )));
                };
                let output = output.f_to_device(Device::Cpu)?.f_to_kind(tch::Kind::Float)?;
                *rows = Vec::try_from(output.f_reshape([-1])?)?;
                Ok(())
            }
        }
    }
}

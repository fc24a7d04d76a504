//! Makes the int8 graph of a package, and judges it by its samples.
//!
//! One evaluation of an int8 graph may differ from the portable graph's by a tenth, and the
//! samples may be as good all the same, or not. So both graphs draw samples of the same seeds with
//! the model's default sampler, and the Fréchet distances of both from the data are compared.

use ddpm_conversion::export::graph::{GraphError, MODEL_CONFIG_KEY};
use ddpm_conversion::export::int8::{CalibrateError, calibrate, int8};
use ddpm_conversion::export::read::{self, ReadError};
use ddpm_conversion::export::variants::{Addition, INT8_GOLDEN, int8_tolerance, int8_variant};
use ddpm_conversion::export::{ExportError, to_json};
use ddpm_evaluation::EvaluateError;
use ddpm_evaluation::extractor::Extractor;
use ddpm_evaluation::pictures::PictureSet;
use ddpm_measures::{Features, FrechetRatio, Gaussian, frechet_ratio};
use ddpm_network::sample::{DrawRequest, compile, draw_with, labels_in_turn};
use ddpm_onnx::{Batch, Denoiser, Optimisation, Runtime};
use ddpm_package::{Comparison, Golden, GraphName, Package, Quality};
use tch::Device;

/// Largest ratio of Fréchet distances that passes, at the upper end of its 95 % interval.
pub const LIMIT: f64 = 1.05;
/// Samples that each graph draws unless told otherwise.
pub const SAMPLES: usize = 2000;
/// Resamples of small features, and of those whose covariances take long.
const RESAMPLES: usize = 200;
const FEW_RESAMPLES: usize = 40;
/// Features up to which the larger number is quick.
const SMALL: usize = 256;
/// Pictures that are drawn before their features are computed.
const CHUNK: usize = 256;
/// Seed of the samples that are judged; calibration has another.
const SEED: u64 = 1;

/// The reason why an int8 graph cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Int8Error {
    /// The package cannot be read.
    #[error(transparent)]
    Package(#[from] ddpm_package::Error),
    /// Its graph was not written here.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The network has no int8 graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The ranges cannot be found.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// The settings cannot be written.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// ONNX Runtime cannot run the graph.
    #[error(transparent)]
    Onnx(#[from] ddpm_onnx::Error),
    /// The processor's instructions for 8-bit integers saturate.
    #[error(
        "this processor computes int8 graphs wrongly (off by {:.0} %): make and serve them on one \
         with dot products of 8-bit integers, such as VNNI",
        100.0 * found
    )]
    Processor {
        /// Root mean square of the difference, relative to the outputs'.
        found: f64,
    },
    /// There are too few samples for so many features.
    #[error(
        "{features} features need at least {least} samples, not {samples}: draw more \
         (--int8-samples), or use an extractor of fewer features"
    )]
    TooFewSamples {
        /// Features of the extractor.
        features: usize,
        /// Samples that each graph drew.
        samples: usize,
        /// Samples that are needed.
        least: usize,
    },
    /// There is no distance to compare with.
    #[error(
        "the portable graph's samples are no further from the data than rounding: the data are \
         these samples; name other data (--data)"
    )]
    NoDistance,
    /// The samples cannot be judged.
    #[error(transparent)]
    Evaluate(#[from] EvaluateError),
    /// Their statistics cannot be computed.
    #[error(transparent)]
    Measure(#[from] ddpm_measures::Error),
    /// The default sampler does not suit the network.
    #[error(transparent)]
    Diffusion(#[from] ddpm_diffusion::Error),
}

/// What the samples are judged against, and how many there are.
#[derive(Debug)]
pub struct Gate<'a> {
    /// Features of the data.
    pub data: &'a Gaussian,
    /// Shape `[C, H, W]` of a picture.
    pub shape: [usize; 3],
    /// The extractor that made them.
    pub extractor: &'a mut Extractor,
    /// Samples that each graph draws.
    pub samples: usize,
}

/// An int8 graph with its golden vectors, ready to be added to its package.
#[derive(Debug)]
pub struct Int8Graph {
    /// The graph, and its entry in the manifest.
    pub addition: Addition,
    /// The golden vectors, a safetensors file.
    pub golden: (&'static str, Vec<u8>),
}

/// The int8 graph of a package, which may or may not draw good samples.
#[derive(Debug)]
pub struct Quantised<'a> {
    package: &'a Package,
    runtime: &'a Runtime,
    bytes: Vec<u8>,
    golden: Golden,
    /// Its outputs beside those of the portable graph.
    error: Comparison,
    denoiser: Denoiser,
}

impl<'a> Quantised<'a> {
    /// Makes the int8 graph of a package, with ranges from the model at work.
    ///
    /// # Errors
    ///
    /// [`Int8Error`].
    pub fn new(package: &'a Package, runtime: &'a Runtime) -> Result<Self, Int8Error> {
        let manifest = package.manifest();
        let network = read::network(&package.portable_graph()?, Device::Cpu)?;
        let metadata = [(MODEL_CONFIG_KEY, to_json(network.config())?)];
        let bytes = int8(&network, calibrate(&network, manifest)?, &metadata)?;
        let open = |optimisation| {
            Denoiser::open_bytes(runtime, package, GraphName::Int8, &bytes, optimisation)
        };
        // Exact, whatever this processor's instructions for integers do.
        let (golden, error) = golden(package, &mut open(Optimisation::None)?)?;
        let mut denoiser = open(Optimisation::AsServed)?;
        check_processor(&golden, int8_tolerance(error.median_row), &mut denoiser)?;
        Ok(Self { package, runtime, bytes, golden, error, denoiser })
    }

    /// Compares its samples with those of the portable graph.
    ///
    /// * `progress`: called with the number of samples drawn, of both graphs together.
    ///
    /// # Errors
    ///
    /// [`Int8Error`]; samples that are worse are no error, see [`Quality::passed`].
    pub fn judge(
        &mut self,
        gate: Gate<'_>,
        mut progress: impl FnMut(usize),
    ) -> Result<Quality, Int8Error> {
        let Gate { data, shape, extractor, samples } = gate;
        // With fewer, covariances have no full rank, and both distances are mostly the error of
        // that.
        let least = data.dim() + data.dim() / 2;
        if samples < least {
            return Err(Int8Error::TooFewSamples { features: data.dim(), samples, least });
        }
        let package = self.package;
        let portable = package.portable_graph()?;
        let (graph, optimisation) = (GraphName::Portable, Optimisation::AsServed);
        let mut portable =
            Denoiser::open_bytes(self.runtime, package, graph, &portable, optimisation)?;
        let mut features = |denoiser: &mut Denoiser, before: usize| {
            let mut judged = Judged { extractor: &mut *extractor, shape, rows: None };
            judged.draw(package, denoiser, samples, |done| progress(before + done))
        };
        let baseline = features(&mut portable, 0)?;
        let ours = features(&mut self.denoiser, samples)?;
        let resamples = if baseline.dim() <= SMALL { RESAMPLES } else { FEW_RESAMPLES };
        let FrechetRatio { ratio, upper } = frechet_ratio(data, &ours, &baseline, resamples, SEED)?;
        if !(ratio.is_finite() && upper.is_finite()) {
            return Err(Int8Error::NoDistance);
        }
        let sampler = &package.manifest().default_sampler;
        Ok(Quality {
            frechet_ratio: ratio,
            upper,
            limit: LIMIT,
            passed: upper <= LIMIT,
            samples,
            sampler: format!(
                "{} in {} steps on {}",
                sampler.sampler, sampler.num_steps, sampler.grid
            ),
            extractor: format!("{} {}", extractor.name(), &extractor.sha256().as_str()[..12]),
            relative_error: self.error.rms_error / self.error.rms,
        })
    }

    /// Returns what to add to the package.
    ///
    /// * `quality`: that of its samples, if they were judged.
    ///
    /// # Errors
    ///
    /// [`Int8Error::Package`] if the golden vectors cannot be written.
    pub fn finish(self, quality: Option<Quality>) -> Result<Int8Graph, Int8Error> {
        let golden = self.golden.to_safetensors(self.package.manifest())?;
        let tolerance = int8_tolerance(self.error.median_row);
        let addition = Addition { bytes: self.bytes, variant: int8_variant(tolerance, quality) };
        Ok(Int8Graph { addition, golden: (INT8_GOLDEN, golden) })
    }
}

/// Checks that this processor computes what the graph says.
fn check_processor(
    golden: &Golden,
    tolerance: f64,
    denoiser: &mut Denoiser,
) -> Result<(), Int8Error> {
    let found = golden.compare(&outputs(golden, denoiser)?).relative(GraphName::Int8);
    match found <= tolerance {
        true => Ok(()),
        false => Err(Int8Error::Processor { found }),
    }
}

fn outputs(golden: &Golden, denoiser: &mut Denoiser) -> Result<Vec<f32>, ddpm_onnx::Error> {
    let mut out_sample = Vec::new();
    let batch = Batch {
        sample: &golden.sample,
        timestep: &golden.timestep,
        class_labels: golden.class_labels.as_deref().unwrap_or_default(),
    };
    denoiser.evaluate(batch, &mut out_sample)?;
    Ok(out_sample)
}

/// Returns the golden inputs with the int8 graph's outputs, and these beside the portable ones.
fn golden(package: &Package, denoiser: &mut Denoiser) -> Result<(Golden, Comparison), Int8Error> {
    let portable = package.golden()?;
    let out_sample = outputs(&portable, denoiser)?;
    let error = portable.compare(&out_sample);
    Ok((Golden { out_sample, ..portable }, error))
}

/// Draws samples and keeps their features.
struct Judged<'a> {
    extractor: &'a mut Extractor,
    shape: [usize; 3],
    rows: Option<Features>,
}

impl Judged<'_> {
    fn draw(
        &mut self,
        package: &Package,
        denoiser: &mut Denoiser,
        count: usize,
        mut progress: impl FnMut(usize),
    ) -> Result<Features, Int8Error> {
        let manifest = package.manifest();
        let network = manifest.parameterisation()?;
        let program = compile(&network, manifest.kind, &manifest.default_sampler)?;
        let labels = labels_in_turn(manifest.classes.len(), count);
        let labels = labels.as_deref();
        let request = DrawRequest { program: &program, seed: SEED, count, labels, initial: None };
        let none = (!manifest.classes.is_empty()).then_some(manifest.classes.len() as i64);
        for first in (0..count).step_by(CHUNK) {
            let indices = first..(first + CHUNK).min(count);
            let done = indices.end;
            let mut pictures = Vec::new();
            let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
                let mut out = Vec::new();
                let class_labels = labels.unwrap_or_default();
                denoiser.evaluate(Batch { sample, timestep, class_labels }, &mut out)?;
                Ok::<_, ddpm_onnx::Error>(out)
            };
            let len = manifest.sample_len();
            draw_with(len, none, &request, indices, evaluate, |part| pictures.extend(part))?;
            let set = PictureSet::from_samples(self.shape, &pictures);
            let features = self.extractor.features(&set, |_| ())?;
            match &mut self.rows {
                Some(rows) => rows.push(features.values())?,
                None => self.rows = Some(features),
            }
            progress(done);
        }
        self.rows.take().ok_or_else(|| {
            ddpm_measures::Error::TooFew { measure: "the int8 check", least: 2, got: 0 }.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ddpm_onnx::RuntimeOptions;

    use super::*;

    #[test]
    fn a_processor_that_computes_otherwise_is_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/glyphs");
        let package = Package::open(&folder).unwrap();
        let runtime = Runtime::load(&RuntimeOptions::default()).unwrap();
        let mut denoiser = Denoiser::open_bytes(
            runtime,
            &package,
            GraphName::Portable,
            &package.portable_graph().unwrap(),
            Optimisation::AsServed,
        )
        .unwrap();
        // Off by a share of each output, as a processor that saturates is.
        let off_by = |share: f32| {
            let golden = package.golden().unwrap();
            let out_sample = golden.out_sample.iter().map(|value| value * (1.0 + share)).collect();
            Golden { out_sample, ..golden }
        };
        check_processor(&off_by(0.04), 0.05, &mut denoiser).unwrap();
        let error = check_processor(&off_by(0.1), 0.05, &mut denoiser).unwrap_err();
        assert!(matches!(error, Int8Error::Processor { .. }), "{error}");
        assert!(error.to_string().contains("off by 9 %"), "{error}");
    }
}

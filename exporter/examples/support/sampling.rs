//! Draws samples of a package with the server's program, kernel, noise and runtime: bit for bit.

use std::ops::Range;

use ddpm_diffusion::{Kernel, Noise, Program, Row, State};
use ddpm_onnx::{Batch, Denoiser, Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::{Manifest, Package};

/// Numbers per network call: 64 pictures of 3×16×16. Samples do not depend on it.
const BATCH_ELEMENTS: usize = 64 * 3 * 16 * 16;
/// Largest number of samples per call.
const MAX_BATCH: usize = 2048;

/// The network of a package on the CPU, checked against its golden vectors.
#[derive(Debug)]
pub(crate) struct Sampling<'a> {
    denoiser: Denoiser,
    manifest: &'a Manifest,
}

/// Samples that advance together.
struct Part<'a> {
    noise: &'a Noise,
    indices: Range<u64>,
    /// One per sample: its index mod the number of classes; empty without classes.
    labels: Vec<i64>,
}

impl<'a> Sampling<'a> {
    /// Opens a package.
    ///
    /// # Errors
    ///
    /// If ONNX Runtime is missing or the graph does not return the golden outputs.
    pub(crate) fn open(package: &'a Package) -> Result<Self, ddpm_onnx::Error> {
        let runtime = Runtime::load(&RuntimeOptions::default())?;
        let device = Device::choose(runtime, DeviceChoice::Cpu)?;
        let mut denoiser = Denoiser::open(runtime, &device, package)?;
        denoiser.check_golden(package)?;
        Ok(Self { denoiser, manifest: package.manifest() })
    }

    /// Draws samples 0 to `count` − 1, `[count, …sample shape]`; in a conditional model, sample i
    /// has the label i mod the number of classes.
    ///
    /// # Errors
    ///
    /// If ONNX Runtime fails.
    pub(crate) fn draw(
        &mut self,
        program: &Program,
        seed: u64,
        count: usize,
    ) -> Result<Vec<f32>, ddpm_onnx::Error> {
        let len = self.manifest.sample_len();
        let (batch, noise) = ((BATCH_ELEMENTS / len).clamp(1, MAX_BATCH), Noise::new(seed));
        let mut values = Vec::with_capacity(count * len);
        for first in (0..count).step_by(batch) {
            let indices = first as u64..(first + batch).min(count) as u64;
            let labels = self.labels(indices.clone());
            values.extend(self.advance(program, &Part { noise: &noise, indices, labels })?);
        }
        Ok(values)
    }

    fn labels(&self, indices: Range<u64>) -> Vec<i64> {
        match self.manifest.classes.len() as u64 {
            0 => Vec::new(),
            classes => indices.map(|index| (index % classes) as i64).collect(),
        }
    }

    fn advance(
        &mut self,
        program: &Program,
        part: &Part<'_>,
    ) -> Result<Vec<f32>, ddpm_onnx::Error> {
        let (noise, indices) = (part.noise, &part.indices);
        let (len, output_len) = (self.manifest.sample_len(), self.manifest.output_len());
        let start = |index| State::start(program, noise, index, len);
        let mut states: Vec<State<f32>> = indices.clone().map(start).collect();
        let mut kernel = Kernel::new(len);
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = self.evaluate(row, &states, &part.labels)?;
            for (i, (state, index)) in states.iter_mut().zip(indices.clone()).enumerate() {
                let own: Vec<&[f32]> =
                    outputs.iter().map(|output| &output[i * output_len..][..output_len]).collect();
                kernel.advance(row, position, state, &own, noise, index, None);
            }
        }
        Ok(states.iter().flat_map(State::u).copied().collect())
    }

    /// Returns the network's outputs on all samples, `[samples, …output shape]`, for each eval.
    fn evaluate(
        &mut self,
        row: &Row,
        states: &[State<f32>],
        labels: &[i64],
    ) -> Result<Vec<Vec<f32>>, ddpm_onnx::Error> {
        let none = vec![self.manifest.classes.len() as i64; labels.len()];
        let c_in = row.c_in as f32;
        let sample: Vec<f32> = states.iter().flat_map(State::u).map(|u| c_in * u).collect();
        let timestep = vec![row.t as f32; states.len()];
        let mut output = |own: &bool| {
            let class_labels = if *own { labels } else { &none };
            let mut out = Vec::new();
            let batch = Batch { sample: &sample, timestep: &timestep, class_labels };
            self.denoiser.evaluate(batch, &mut out).map(|()| out)
        };
        row.evals.with_label().iter().map(&mut output).collect()
    }
}

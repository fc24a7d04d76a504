//! Samples of a package: the server's program, kernel, noise and runtime, so the server's bits.

use anyhow::ensure;
use ddpm_diffusion::{Evals, Kernel, Noise, Program, Row, State};
use ddpm_exporter::sample::compile;
use ddpm_onnx::{Batch, Denoiser, Device, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::{DefaultSampler, Manifest, Package};

/// Samples that share a call of the network. It changes no bit.
const BATCH: usize = 64;

/// What was drawn, and how.
#[derive(Debug)]
pub(crate) struct Samples {
    /// `[count, …sample shape]`, at model scale.
    pub(crate) values: Vec<f32>,
    /// The class that each was asked to show: the index mod the number of classes.
    pub(crate) asked: Vec<usize>,
    pub(crate) seed: u64,
    pub(crate) sampler: DefaultSampler,
}

impl Samples {
    /// Draws samples 0 to `count` − 1 of a conditional model on the CPU.
    ///
    /// * `steps`: of the package's default sampler, in 1..=T; absent, as many as it says.
    ///
    /// # Errors
    ///
    /// If the number of steps is out of range, or ONNX Runtime is missing or fails.
    pub(crate) fn draw(
        package: &Package,
        count: usize,
        seed: u64,
        steps: Option<usize>,
    ) -> anyhow::Result<Self> {
        let manifest = package.manifest();
        let mut sampler = manifest.default_sampler.clone();
        sampler.num_steps = steps.unwrap_or(sampler.num_steps);
        let program = compile(&manifest.network()?, manifest.kind, &sampler)?;

        let asked: Vec<usize> = (0..count).map(|i| i % manifest.classes.len()).collect();
        let mut values = Vec::with_capacity(count * manifest.sample_len());
        let mut run = Run::open(package, &program, seed)?;
        for (chunk, labels) in asked.chunks(BATCH).enumerate() {
            values.extend(run.draw((chunk * BATCH) as u64, labels)?);
            eprintln!("sampled {} of {count}", chunk * BATCH + labels.len());
        }
        Ok(Self { values, asked, seed, sampler })
    }
}

/// One program on one package.
struct Run<'a> {
    denoiser: Denoiser,
    manifest: &'a Manifest,
    program: &'a Program,
    noise: Noise,
}

impl<'a> Run<'a> {
    fn open(package: &'a Package, program: &'a Program, seed: u64) -> anyhow::Result<Self> {
        let runtime = Runtime::load(&RuntimeOptions::default())?;
        let device = Device::choose(runtime, DeviceChoice::Cpu)?;
        let mut denoiser = Denoiser::open(runtime, &device, package)?;
        denoiser.check_golden(package)?;
        Ok(Self { denoiser, manifest: package.manifest(), program, noise: Noise::new(seed) })
    }

    /// The samples `first`, `first` + 1, …, one a label; all advance together.
    fn draw(&mut self, first: u64, labels: &[usize]) -> anyhow::Result<Vec<f32>> {
        let len = self.manifest.sample_len();
        let labels: Vec<i64> = labels.iter().map(|&label| label as i64).collect();
        let indices = first..first + labels.len() as u64;
        let mut states: Vec<State<f32>> = indices
            .clone()
            .map(|index| State::start(self.program, &self.noise, index, len))
            .collect();
        let mut kernel = Kernel::new(len);
        for (position, row) in self.program.rows().iter().enumerate() {
            let outputs = self.evaluate(row, &states, &labels)?;
            let outputs = outputs.chunks_exact(self.manifest.output_len());
            for ((state, index), output) in states.iter_mut().zip(indices.clone()).zip(outputs) {
                kernel.advance(row, position, state, &[output], &self.noise, index, None);
            }
        }
        Ok(states.iter().flat_map(State::u).copied().collect())
    }

    /// The network's outputs, `[samples, …output shape]`.
    fn evaluate(
        &mut self,
        row: &Row,
        states: &[State<f32>],
        class_labels: &[i64],
    ) -> anyhow::Result<Vec<f32>> {
        ensure!(row.evals == Evals::One, "default samplers evaluate the network once a row");
        let c_in = row.c_in as f32;
        let sample: Vec<f32> = states.iter().flat_map(State::u).map(|u| c_in * u).collect();
        let timestep = vec![row.t as f32; states.len()];
        let mut outputs = Vec::new();
        let batch = Batch { sample: &sample, timestep: &timestep, class_labels };
        self.denoiser.evaluate(batch, &mut outputs)?;
        Ok(outputs)
    }
}

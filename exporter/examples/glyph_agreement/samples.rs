//! The samples to judge, and how they were drawn.

use ddpm_network::sample::compile;
use ddpm_package::{DefaultSampler, Package};

use crate::support::sampling::Sampling;

/// Samples, and how they were drawn.
#[derive(Debug)]
pub(crate) struct Samples {
    /// `[count, …sample shape]`, at model scale.
    pub(crate) values: Vec<f32>,
    /// Requested class of each sample: its index mod the number of classes.
    pub(crate) requested: Vec<usize>,
    pub(crate) seed: u64,
    pub(crate) sampler: DefaultSampler,
}

impl Samples {
    /// Draws samples 0 to `count` − 1 of a conditional model on the CPU.
    ///
    /// * `steps`: overrides the steps of the package's default sampler, in 1..=T.
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
        let program = compile(&manifest.parameterisation()?, manifest.kind, &sampler)?;
        let values = Sampling::open(package)?.draw(&program, seed, count)?;
        let requested = (0..count).map(|i| i % manifest.classes.len()).collect();
        Ok(Self { values, requested, seed, sampler })
    }
}

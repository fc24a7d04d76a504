//! The samples that are judged, and how they were drawn.

use ddpm_exporter::sample::compile;
use ddpm_package::{DefaultSampler, Package};

use crate::support::sampling::Sampling;

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
        let values = Sampling::open(package)?.draw(&program, seed, count)?;
        let asked = (0..count).map(|i| i % manifest.classes.len()).collect();
        Ok(Self { values, asked, seed, sampler })
    }
}

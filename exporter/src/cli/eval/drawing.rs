//! Draws the samples of a model that `eval` judges.

use std::num::NonZeroU32;

use ddpm_diffusion::pixels::to_pixel;
use ddpm_evaluation::EvaluateError;
use ddpm_evaluation::extractor::OnnxOptions;
use ddpm_evaluation::pictures::PictureSet;
use ddpm_evaluation::report::SamplingReport;
use ddpm_measures::Features;
use ddpm_network::sample::{DrawRequest, batch_size, draw_with, labels_in_turn};
use tch::Device;

use super::engine::Engine;
use super::input::{Content, LoadedInput, ModelSource, progress};
use crate::cli::Failure;
use crate::cli::sampling::SamplingFlags;

/// Samples drawn without `--count`.
const DEFAULT_PICTURES: u32 = 10_000;
const DEFAULT_POINTS: u32 = 30_000;

/// How to draw samples.
pub(super) struct Drawing<'a> {
    pub(super) count: Option<NonZeroU32>,
    pub(super) seed: u64,
    pub(super) engine: Engine,
    pub(super) sampling: &'a SamplingFlags,
    pub(super) device: Device,
    pub(super) onnx: OnnxOptions,
}

impl Drawing<'_> {
    /// Draws samples of a model.
    ///
    /// * `reference`: the input they will be compared with; its pictures must have their size.
    pub(super) fn draw(
        &self,
        source: &ModelSource,
        reference: &LoadedInput,
    ) -> Result<LoadedInput, Failure> {
        let model = source.model(self.device)?;
        let shape: Vec<usize> =
            model.network.config().sample_shape().iter().map(|&extent| extent as usize).collect();
        if let Ok(picture) = <[usize; 3]>::try_from(&shape[..]) {
            reference.check_shape(picture)?;
        }
        let default = if shape.len() == 3 { DEFAULT_PICTURES } else { DEFAULT_POINTS };
        let count = self.count.map_or(default, NonZeroU32::get) as usize;
        let labels = labels_in_turn(model.classes.len(), count);

        let recipe = self.sampling.recipe(&model, false, labels.is_some())?;
        let program = recipe.compile(&model.parameterisation)?;
        let mut evaluator = source.evaluator(&model, self.engine, self.device, &self.onnx)?;
        let (labels, seed) = (labels.as_deref(), self.seed);
        let request = DrawRequest { program: &program, seed, count, labels, initial: None };
        let mut drawn = SampleBuffer::new(&shape, count);
        let calls = count.div_ceil(batch_size(drawn.len)) as u64 * program.evals();
        let bar = progress(calls, "samples");
        let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
            bar.inc(1);
            evaluator.evaluate(sample, timestep, labels)
        };
        let none = model.network.config().num_classes();
        draw_with(drawn.len, none, &request, 0..request.count, evaluate, |part| drawn.add(&part))?;
        bar.finish_and_clear();

        let report = SamplingReport {
            model: model.name.clone(),
            seed,
            sampler: recipe.sampler.to_string(),
            num_steps: recipe.num_steps,
            grid: recipe.grid.to_string(),
            clip: recipe.clip.to_string(),
            guidance_scale: recipe.guidance.map(|guidance| guidance.scale),
            evals: program.evals(),
            program: program.digest(),
            engine: evaluator.name,
        };
        let (name, kind) = source.describe();
        Ok(LoadedInput {
            name,
            kind,
            content: drawn.into_content()?,
            toy: None,
            drawn: Some(report),
        })
    }
}

/// Collects samples as they are drawn, pictures as bytes to take a quarter of the memory.
struct SampleBuffer {
    picture: Option<[usize; 3]>,
    len: usize,
    pixels: Vec<u8>,
    points: Vec<f32>,
    not_finite: usize,
}

impl SampleBuffer {
    fn new(shape: &[usize], count: usize) -> Self {
        let picture = <[usize; 3]>::try_from(shape).ok();
        let len = shape.iter().product::<usize>();
        let capacity = |used: bool| if used { count * len } else { 0 };
        Self {
            picture,
            len,
            pixels: Vec::with_capacity(capacity(picture.is_some())),
            points: Vec::with_capacity(capacity(picture.is_none())),
            not_finite: 0,
        }
    }

    fn add(&mut self, part: &[f32]) {
        self.not_finite += part.iter().filter(|value| !value.is_finite()).count();
        match self.picture {
            Some(_) => self.pixels.extend(part.iter().copied().map(to_pixel)),
            None => self.points.extend_from_slice(part),
        }
    }

    fn into_content(self) -> Result<Content, Failure> {
        if self.not_finite > 0 {
            let reason = format!(
                "{} values of the samples are infinite or not a number: the model diverged",
                self.not_finite
            );
            return Err(Failure::Failed(reason.into()));
        }
        Ok(match self.picture {
            Some(shape) => Content::Pictures(PictureSet::from_pixels(shape, self.pixels)),
            None => {
                let rows = Features::from_rows(self.len, self.points);
                Content::Rows(rows.map_err(EvaluateError::from)?)
            }
        })
    }
}

//! Samples of a model.

use std::num::NonZeroU32;

use ddpm_diffusion::pixels::to_pixel;
use ddpm_evaluation::Features;
use tch::Device;

use super::engine::Engine;
use super::operand::{Content, Loaded, ModelSource, progress};
use super::{Failure, How};
use crate::evaluate::EvaluateError;
use crate::evaluate::extractor::OnnxOptions;
use crate::evaluate::pictures::PictureSet;
use crate::evaluate::report::Drawn;
use crate::sample::{Request, batch_size, draw_with};
use crate::train::TrainError;

/// Samples unless a number is asked for.
const PICTURES: u32 = 10_000;
const POINTS: u32 = 30_000;

/// How samples are drawn.
pub(super) struct Drawing<'a> {
    pub(super) count: Option<NonZeroU32>,
    pub(super) seed: u64,
    pub(super) engine: Engine,
    pub(super) how: &'a How,
    pub(super) device: Device,
    pub(super) onnx: OnnxOptions,
}

impl Drawing<'_> {
    /// Draws samples of a model.
    ///
    /// * `reference`: what they will be compared with; their shape must suit it.
    pub(super) fn draw(&self, source: &ModelSource, reference: &Loaded) -> Result<Loaded, Failure> {
        let model = source.model(self.device)?;
        let shape: Vec<usize> =
            model.network.config().sample_shape().iter().map(|&extent| extent as usize).collect();
        if let Ok(picture) = <[usize; 3]>::try_from(&shape[..]) {
            reference.check_shape(picture)?;
        }
        let default = if shape.len() == 3 { PICTURES } else { POINTS };
        let count = self.count.map_or(default, NonZeroU32::get) as usize;
        let classes = model.classes.len();
        let labels: Option<Vec<i64>> =
            (classes > 0).then(|| (0..count).map(|i| (i % classes) as i64).collect());

        let recipe = self.how.recipe(&model, false, labels.is_some())?;
        let program = recipe.compile(&model.meaning).map_err(TrainError::from)?;
        let mut evaluator = source.evaluator(&model, self.engine, self.device, &self.onnx)?;
        let (labels, seed) = (labels.as_deref(), self.seed);
        let request = Request { program: &program, seed, count, labels, initial: None };
        let mut drawn = Samples::new(&shape, count);
        let calls = count.div_ceil(batch_size(drawn.len)) as u64 * program.evals();
        let bar = progress(calls, "samples");
        let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
            bar.inc(1);
            evaluator.evaluate(sample, timestep, labels)
        };
        let none = model.network.config().num_classes();
        draw_with(drawn.len, none, &request, 0..request.count, evaluate, |part| drawn.add(&part))?;
        bar.finish_and_clear();

        let report = Drawn {
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
        Ok(Loaded { name, kind, content: drawn.content()?, toy: None, drawn: Some(report) })
    }
}

/// Samples as they come: pictures are rounded at once, which takes a quarter of the room.
struct Samples {
    picture: Option<[usize; 3]>,
    len: usize,
    pixels: Vec<u8>,
    points: Vec<f32>,
    not_finite: usize,
}

impl Samples {
    fn new(shape: &[usize], count: usize) -> Self {
        let picture = <[usize; 3]>::try_from(shape).ok();
        let len = shape.iter().product::<usize>();
        let room = |wanted: bool| if wanted { count * len } else { 0 };
        Self {
            picture,
            len,
            pixels: Vec::with_capacity(room(picture.is_some())),
            points: Vec::with_capacity(room(picture.is_none())),
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

    fn content(self) -> Result<Content, Failure> {
        if self.not_finite > 0 {
            let reason = format!(
                "{} numbers of the samples are infinite or not a number: the model diverged",
                self.not_finite
            );
            return Err(Failure::Failed(reason.into()));
        }
        Ok(match self.picture {
            Some(shape) => Content::Pictures(PictureSet::of_pixels(shape, self.pixels)),
            None => {
                let rows = Features::from_rows(self.len, self.points);
                Content::Rows(rows.map_err(EvaluateError::from)?)
            }
        })
    }
}

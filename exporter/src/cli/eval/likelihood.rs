//! Bits per dimension of data under a model.

use std::fmt;
use std::num::NonZeroU32;

use ddpm_diffusion::Process;
use serde::Serialize;
use tch::Device;

use super::Failure;
use super::engine::Engine;
use super::operand::{ModelSource, Operand, progress};
use crate::cli::model::Model;
use crate::data::{self, Dataset, FolderLabels, LoadOptions};
use crate::evaluate::bound::{Bound, Items, Point, bound};
use crate::evaluate::extractor::OnnxOptions;
use crate::sample::batch_size;
use crate::train::TrainError;

/// Points of the curve that are shown to people; machines get all.
const SHOWN: usize = 8;

/// What is counted, and how.
pub(super) struct Likelihood {
    pub(super) items: NonZeroU32,
    pub(super) seed: u64,
    pub(super) engine: Engine,
    pub(super) device: Device,
    pub(super) onnx: OnnxOptions,
}

/// What was counted, with its conditions.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    model: String,
    path: String,
    data: String,
    seed: u64,
    engine: String,
    bits_per_dim: Bound,
}

impl Likelihood {
    /// Counts the bits of items spread evenly over a data source.
    pub(super) fn count(
        &self,
        source: &ModelSource,
        data: &Operand,
        options: &LoadOptions,
    ) -> Result<Report, Failure> {
        let refuse = |reason: String| Err(Failure::Refused(reason.into()));
        let Operand::Data(data) = data else {
            return refuse(
                "--bits-per-dim counts the bits of a data source or folder, not of an array".into(),
            );
        };
        let model = source.model(self.device)?;
        let Process::Discrete(schedule) = &model.meaning.process else {
            return refuse(format!(
                "--bits-per-dim is of networks on timesteps, not of {}",
                model.name
            ));
        };
        let timesteps = schedule.timesteps() as u64;
        let options = LoadOptions { folder_labels: FolderLabels::Auto, ..options.clone() };
        let dataset = data::load(data, &options).map_err(TrainError::from)?;
        let chosen = Chosen::of(&dataset, &model, self.items.get() as usize)?;
        let shape = model.network.config().sample_shape();
        let len = shape.iter().product::<i64>() as usize;
        let items = Items {
            x_0: &chosen.x_0,
            shape: &shape,
            labels: chosen.labels.as_deref(),
            kind: model.kind,
            seed: self.seed,
            batch: batch_size(len),
        };
        let mut evaluator = source.evaluator(&model, self.engine, self.device, &self.onnx)?;
        let calls = (chosen.x_0.len() / len).div_ceil(items.batch) as u64 * timesteps;
        let bar = progress(calls, "terms");
        let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
            evaluator.evaluate(sample, timestep, labels)
        };
        let bits_per_dim = bound(&model.meaning, &items, evaluate, || bar.inc(1))?;
        bar.finish_and_clear();
        Ok(Report {
            model: model.name.clone(),
            path: source.describe().0,
            data: dataset.summary(),
            seed: self.seed,
            engine: evaluator.name,
            bits_per_dim,
        })
    }
}

/// Items spread evenly over a data set: a folder lists one class after another.
struct Chosen {
    x_0: Vec<f32>,
    labels: Option<Vec<i64>>,
}

impl Chosen {
    fn of(dataset: &Dataset, model: &Model, wanted: usize) -> Result<Self, Failure> {
        let shape = model.network.config().sample_shape();
        let found: Vec<i64> = match dataset.kind() {
            data::Kind::Images { channels, height, width } => {
                [channels, height, width].map(|extent| extent as i64).to_vec()
            }
            data::Kind::Points2d => vec![2],
        };
        if found != shape {
            let reason =
                format!("the model is of {shape:?}, the data of {found:?}: use --image-size");
            return Err(Failure::Refused(reason.into()));
        }
        let conditional = !model.classes.is_empty();
        if conditional && dataset.class_names() != Some(&model.classes[..]) {
            let reason = format!(
                "{} has other classes than the model, which knows {}",
                dataset.summary(),
                model.classes.join(", ")
            );
            return Err(Failure::Refused(reason.into()));
        }
        let count = wanted.min(dataset.len());
        let at = |i: usize| i * dataset.len() / count;
        let mut x_0 = vec![0.0; count * dataset.kind().num_elements()];
        for (i, item) in x_0.chunks_exact_mut(dataset.kind().num_elements()).enumerate() {
            dataset.x_0(at(i), false, item);
        }
        let label = |i: usize| dataset.label(at(i)).map(|label| label as i64);
        let labels = if conditional { (0..count).map(label).collect() } else { None };
        Ok(Self { x_0, labels })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, path, data, seed, engine, bits_per_dim } = self;
        let Bound { items, total, standard_error, prior, terms, curve, .. } = bits_per_dim;
        writeln!(f, "model              {path}: {model}, {engine}")?;
        writeln!(f, "data               {items} items of {data}; noise of seed {seed}")?;
        let error = standard_error.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
        writeln!(f, "bits per dimension {total:.4}{error}")?;
        let (first, rest) = (terms[0], terms[1..].iter().sum::<f64>());
        writeln!(f, "  prior            {prior:.6}")?;
        writeln!(f, "  t > 0            {rest:.4}")?;
        writeln!(f, "  t = 0            {first:.4}")?;
        writeln!(f, "rate, distortion   (after x_t has arrived)")?;
        let stride = (curve.len() - 1).div_ceil(SHOWN).max(1);
        for Point { t, rate, distortion } in curve.iter().rev().step_by(stride).rev() {
            let t = t.map_or_else(|| "x_0".to_owned(), |t| format!("t = {t}"));
            writeln!(f, "  {t:16} {rate:.4}, {distortion:.4}")?;
        }
        Ok(())
    }
}

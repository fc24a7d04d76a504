//! `eval --bits-per-dim`: bits per dimension of data under a model.

use std::fmt;
use std::num::NonZeroU32;

use ddpm_data::{Dataset, LabelSource, LoadOptions};
use ddpm_diffusion::Process;
use ddpm_evaluation::bound::{Bound, BoundItems, RatePoint, bound};
use ddpm_evaluation::extractor::OnnxOptions;
use ddpm_network::sample::batch_size;
use serde::Serialize;
use tch::Device;

use super::engine::Engine;
use super::input::{Input, ModelSource, progress};
use crate::cli::Failure;
use crate::cli::model::Model;

/// Points of the curve in the printed report; `--json` has all of them.
const PRINTED_POINTS: usize = 8;

/// How to compute the bits.
pub(super) struct Likelihood {
    pub(super) items: NonZeroU32,
    pub(super) seed: u64,
    pub(super) engine: Engine,
    pub(super) device: Device,
    pub(super) onnx: OnnxOptions,
    /// Where labels come from; `None` if the options say so already.
    pub(super) labels: Option<LabelSource>,
}

/// The bits, and the conditions under which they were computed.
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
    /// Computes the bits of items spread evenly over a data source.
    pub(super) fn compute(
        &self,
        source: &ModelSource,
        data: &Input,
        options: &LoadOptions,
    ) -> Result<Report, Failure> {
        let refuse = |reason: String| Err(Failure::Refused(reason.into()));
        let Input::Data(data) = data else {
            return refuse("--bits-per-dim needs a data source or folder, not an array".into());
        };
        let model = source.model(self.device)?;
        let Process::Discrete(schedule) = &model.parameterisation.process else {
            return refuse(format!(
                "--bits-per-dim needs a network trained on timesteps; {} has none",
                model.name
            ));
        };
        let timesteps = schedule.timesteps() as u64;
        let labels = match &self.labels {
            _ if model.classes.is_empty() => LabelSource::None,
            Some(source) => source.clone(),
            None => options.labels.clone(),
        };
        let mut dataset = ddpm_data::load(data, &LoadOptions { labels, ..options.clone() })?;
        dataset.reorder_classes(&model.classes);
        let selection = Selection::evenly_spaced(&dataset, &model, self.items.get() as usize)?;
        let shape = model.network.config().sample_shape();
        let len = shape.iter().product::<i64>() as usize;
        let items = BoundItems {
            x_0: &selection.x_0,
            shape: &shape,
            labels: selection.labels.as_deref(),
            kind: model.kind,
            seed: self.seed,
            batch: batch_size(len),
        };
        let mut evaluator = source.evaluator(&model, self.engine, self.device, &self.onnx)?;
        let calls = (selection.x_0.len() / len).div_ceil(items.batch) as u64 * timesteps;
        let bar = progress(calls, "terms");
        let evaluate = |sample: &[f32], timestep: &[f32], labels: Option<&[i64]>| {
            evaluator.evaluate(sample, timestep, labels)
        };
        let bits_per_dim = bound(&model.parameterisation, &items, evaluate, || bar.inc(1))?;
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

/// The items to compute bits for.
struct Selection {
    x_0: Vec<f32>,
    labels: Option<Vec<i64>>,
}

impl Selection {
    /// Takes items evenly spaced over a data set, since folders list one class after another.
    fn evenly_spaced(dataset: &Dataset, model: &Model, count: usize) -> Result<Self, Failure> {
        let shape = model.network.config().sample_shape();
        let found: Vec<i64> = match dataset.kind() {
            ddpm_data::ItemShape::Images { channels, height, width } => {
                [channels, height, width].map(|extent| extent as i64).to_vec()
            }
            ddpm_data::ItemShape::Points2d => vec![2],
        };
        if found != shape {
            let reason =
                format!("the model takes {shape:?}, the data is {found:?}: use --image-size");
            return Err(Failure::Refused(reason.into()));
        }
        let conditional = !model.classes.is_empty();
        if conditional && dataset.class_names() != Some(&model.classes[..]) {
            let reason = format!(
                "{} has other classes than the model, whose classes are {}",
                dataset.summary(),
                model.classes.join(", ")
            );
            return Err(Failure::Refused(reason.into()));
        }
        let count = count.min(dataset.len());
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
        let stride = (curve.len() - 1).div_ceil(PRINTED_POINTS).max(1);
        for RatePoint { t, rate, distortion } in curve.iter().rev().step_by(stride).rev() {
            let t = t.map_or_else(|| "x_0".to_owned(), |t| format!("t = {t}"));
            writeln!(f, "  {t:16} {rate:.4}, {distortion:.4}")?;
        }
        Ok(())
    }
}

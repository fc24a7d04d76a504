//! Compares samples with held-out data of the model's data set, and lets a judge classify glyphs.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use ddpm_data::{Dataset, LoadOptions, Source, Split};
use ddpm_measures::{Features, Order, SlicedOptions, sliced_wasserstein};
use ddpm_package::Manifest;
use tch::{Device, Kind, Tensor};

use crate::support::classifier::Classifier;

/// Items of held-out data to compare samples with.
const REFERENCE: usize = 16_384;
/// Takes the mean distance over directions, not the mean square, in which points between modes
/// would outweigh the modes.
const OPTIONS: SlicedOptions = SlicedOptions { order: Order::First, projections: 256, seed: 0 };

/// The measure of one model.
#[derive(Debug)]
pub(crate) struct Yardstick {
    /// Name of the data set.
    pub(crate) data: String,
    reference: Features,
    /// Other items of the same data, for the floor.
    other: Features,
    judge: Option<Judge>,
}

#[derive(Debug)]
struct Judge {
    classifier: Classifier,
    accuracy: f64,
    classes: usize,
}

/// How good samples are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score {
    /// Sliced Wasserstein distance to held-out data, p = 1.
    pub(crate) distance: f64,
    /// Share of samples in which the judge sees the requested class.
    pub(crate) agreement: Option<f64>,
}

impl Yardstick {
    /// Makes held-out data of the package's data set, and trains a judge if it draws glyphs.
    ///
    /// * `judged`: whether to train a judge.
    ///
    /// # Errors
    ///
    /// If `training.json` does not name the data, or names no procedural set.
    pub(crate) fn for_package(
        package: &Path,
        manifest: &Manifest,
        judged: bool,
    ) -> anyhow::Result<Self> {
        let path = package.join("training.json");
        let json = fs::read(&path).with_context(|| format!("{} is needed", path.display()))?;
        let training: serde_json::Value = serde_json::from_slice(&json)?;
        let name = training["config"]["data"]["source"].as_str();
        let name = name.with_context(|| format!("{} names no data", path.display()))?;
        let side = manifest.sample_shape.get(1).copied();
        let source = resized(name.parse()?, 2 * REFERENCE)?;
        let options =
            LoadOptions { image_size: side, split: Split::Test, ..LoadOptions::default() };
        let dataset = ddpm_data::load(&source, &options)?;
        let judge = match (&source, side) {
            (Source::Glyphs { .. }, Some(side)) if judged => Some(Judge::train(side, manifest)?),
            _ => None,
        };
        Ok(Self {
            data: name.to_owned(),
            reference: features(&dataset, 0..REFERENCE)?,
            other: features(&dataset, REFERENCE..2 * REFERENCE)?,
            judge,
        })
    }

    /// Scores `samples`, `[N, …sample shape]`, whose labels cycle through the classes.
    ///
    /// # Errors
    ///
    /// If they are not finite.
    pub(crate) fn score(&self, samples: Vec<f32>) -> anyhow::Result<Score> {
        let agreement = match &self.judge {
            Some(judge) => Some(judge.agreement(&samples)?),
            None => None,
        };
        let samples = Features::from_rows(self.reference.dim(), samples)?;
        Ok(Score { distance: self.distance(&samples)?, agreement })
    }

    /// Measures the distance from the reference of `count` items drawn at random, as samples are.
    /// Data in its own order would be more evenly spread than anything drawn at random.
    ///
    /// # Errors
    ///
    /// If libtorch runs out of memory.
    pub(crate) fn floor(&self, count: usize, seed: u64) -> anyhow::Result<f64> {
        tch::manual_seed(seed as i64);
        let most = self.other.len() as i64;
        let chosen = Tensor::f_randint(most, [count as i64], (Kind::Int64, Device::Cpu))?;
        let rows = Vec::<i64>::try_from(chosen)?.into_iter();
        let values = rows.flat_map(|row| self.other.row(row as usize)).copied().collect();
        self.distance(&Features::from_rows(self.other.dim(), values)?)
    }

    /// Describes the reference and the measure.
    pub(crate) fn protocol(&self) -> String {
        let (count, directions) = (self.reference.len(), OPTIONS.projections);
        format!("{count} held-out items of `{}`, {directions} directions, p = 1", self.data)
    }

    /// Returns the share of held-out glyphs that the judge classifies correctly.
    pub(crate) fn accuracy(&self) -> Option<f64> {
        self.judge.as_ref().map(|judge| judge.accuracy)
    }

    fn distance(&self, samples: &Features) -> anyhow::Result<f64> {
        Ok(sliced_wasserstein(samples, &self.reference, &OPTIONS)?)
    }
}

impl Judge {
    fn train(side: usize, manifest: &Manifest) -> anyhow::Result<Self> {
        let (classifier, accuracy) = Classifier::judge(side)?;
        Ok(Self { classifier, accuracy, classes: manifest.classes.len() })
    }

    fn agreement(&self, samples: &[f32]) -> anyhow::Result<f64> {
        let seen = self.classifier.classify(samples)?;
        let agree = seen.iter().enumerate().filter(|(i, class)| i % self.classes == **class);
        Ok(agree.count() as f64 / seen.len() as f64)
    }
}

/// Returns the same set with another number of items.
fn resized(source: Source, size: usize) -> anyhow::Result<Source> {
    match source {
        Source::Toy { kind, labels, .. } => Ok(Source::Toy { kind, size, labels }),
        Source::Glyphs { .. } => Ok(Source::Glyphs { size }),
        other => anyhow::bail!("{other} is not a procedural set: its held-out items are not known"),
    }
}

fn features(dataset: &Dataset, items: Range<usize>) -> anyhow::Result<Features> {
    let dim = dataset.kind().num_elements();
    let mut values = vec![0.0; dim * items.len()];
    for (row, item) in values.chunks_exact_mut(dim).zip(items) {
        dataset.x_0(item, false, row);
    }
    Ok(Features::from_rows(dim, values)?)
}

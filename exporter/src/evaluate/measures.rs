//! The distances between two sets of features; where there is none, the reason.

use ddpm_evaluation::{
    Arithmetic, ClassifierScore, Error, Features, Fidelity, FidelityOptions, KidOptions, Manifold,
    classifier_score, fidelity, frechet_distance, kid,
};
use serde::Serialize;

use super::EvaluateError;
use super::points::{self, Points};
use super::preprocessing::{Classes, Preprocessing};
use super::side::Side;
use crate::data::ToyKind;

/// Parts of the samples that a classifier score is the mean of, as is usual.
const SPLITS: usize = 10;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// Fréchet distance between the Gaussians that fit both sets.
    Frechet,
    /// The same, of Inception's 2048 features and of no others.
    Fid,
    /// Kernel distance, with its standard error.
    Kid,
    /// Precision and recall with 3 neighbours.
    PrecisionRecall,
    /// Density and coverage with 5 neighbours.
    DensityCoverage,
    /// How sure a classifier is of each sample, and of how many classes they are.
    ClassifierScore,
    /// The same, of Inception and of no other classifier.
    InceptionScore,
    /// Of points: KL divergence between histograms.
    Kl,
    /// Of points: which modes of a toy set are reached.
    Modes,
    /// Of points: sliced Wasserstein distance.
    SlicedWasserstein,
}

impl Measure {
    /// What is measured of features unless something else is asked for.
    const OF_FEATURES: [Self; 4] =
        [Self::Frechet, Self::Kid, Self::PrecisionRecall, Self::DensityCoverage];
    /// The same for points of the plane.
    const OF_POINTS: [Self; 4] = [Self::Kl, Self::Modes, Self::SlicedWasserstein, Self::Frechet];

    /// The name that people type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Frechet => "frechet",
            Self::Fid => "fid",
            Self::Kid => "kid",
            Self::PrecisionRecall => "precision-recall",
            Self::DensityCoverage => "density-coverage",
            Self::ClassifierScore => "classifier-score",
            Self::InceptionScore => "inception-score",
            Self::Kl => "kl",
            Self::Modes => "modes",
            Self::SlicedWasserstein => "sliced-wasserstein",
        }
    }
}

/// What is measured, and how.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Each must be had; absent: those that can.
    pub wanted: Option<Vec<Measure>>,
    /// Whether the features are Inception's 2048.
    pub inception: bool,
    /// What the features say of classes, if anything.
    pub classes: Option<Classes>,
    /// Whether they are the classes of Inception.
    pub inception_classes: bool,
    /// Whether distances to neighbours are rounded to binary16, as ddpm-torch does.
    pub binary16: bool,
    /// Seed of subsets and directions.
    pub seed: u64,
    /// The toy set that the reference is of.
    pub toy: Option<ToyKind>,
}

impl Choice {
    /// The measures of what an extractor gives.
    #[must_use]
    pub fn of(preprocessing: &Preprocessing) -> Self {
        Self {
            inception: preprocessing.is_inception(),
            classes: preprocessing.classes,
            inception_classes: preprocessing.is_inception_classifier(),
            ..Self::default()
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Results {
    /// The Fréchet distance of Inception's features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fid: Option<f64>,
    /// The Fréchet distance of any others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frechet_distance: Option<f64>,
    /// The kernel distance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<KernelDistance>,
    /// Precision and recall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision_recall: Option<PrecisionRecall>,
    /// Density and coverage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density_coverage: Option<DensityCoverage>,
    /// The classifier score of Inception.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score: Option<ClassScore>,
    /// That of any other classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_score: Option<ClassScore>,
    /// Measures of points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<Points>,
    /// What could not be measured.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

impl Results {
    /// Whether there is no number in them.
    fn is_empty(&self) -> bool {
        Self { left_out: self.left_out.clone(), ..Self::default() } == *self
    }
}

/// Mean over subsets, which has no bias.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KernelDistance {
    /// The mean; it may be below 0.
    pub mean: f64,
    /// Standard deviation over the subsets; absent if there is but one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdev: Option<f64>,
    /// That of the mean, the subsets taken as independent; absent if a set is smaller than two of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
    /// Number of subsets.
    pub subsets: usize,
    /// Rows of each set in a subset.
    pub subset_size: usize,
}

/// A classifier score: of the samples alone, whatever the reference is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassScore {
    /// Mean over parts of the samples, from 1 to the number of classes; more is better.
    pub mean: f64,
    /// Standard deviation over the parts.
    pub stdev: f64,
    /// Number of parts.
    pub splits: usize,
}

/// Shares of each set within the other's neighbourhoods, in [0, 1].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// Of the samples, within the data.
    pub precision: f64,
    /// Of the data, within the samples.
    pub recall: f64,
    /// k.
    pub neighbours: usize,
    /// `f64`, or `binary16` as ddpm-torch computes.
    pub arithmetic: &'static str,
}

/// How thickly and how widely samples lie among the data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DensityCoverage {
    /// 1 is expected of samples like the data.
    pub density: f64,
    /// Share of the data with a sample nearby, in [0, 1].
    pub coverage: f64,
    /// k.
    pub neighbours: usize,
    /// As of [`PrecisionRecall`].
    pub arithmetic: &'static str,
}

/// A measure that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub measure: &'static str,
    /// Why not.
    pub reason: String,
}

/// Measures what was chosen.
///
/// # Errors
///
/// [`EvaluateError::Mismatch`] if the sides have different numbers of features, or nothing can be had;
/// [`EvaluateError::Unavailable`] if a measure was asked for that cannot be had.
pub fn compare(
    samples: &Side,
    reference: &Side,
    choice: &Choice,
) -> Result<Results, EvaluateError> {
    if samples.dim() != reference.dim() {
        return Err(EvaluateError::Mismatch(format!(
            "the samples have {} features each, the reference {}: both must come from one extractor",
            samples.dim(),
            reference.dim()
        )));
    }
    let comparison = Comparison { samples, reference, choice };
    let mut results = Results::default();
    let mut default = match samples.dim() {
        2 => Measure::OF_POINTS.to_vec(),
        _ => Measure::OF_FEATURES.to_vec(),
    };
    if choice.classes.is_some() {
        default.insert(0, Measure::ClassifierScore);
    }
    for &measure in choice.wanted.as_ref().unwrap_or(&default) {
        let Err(reason) = comparison.add(measure, &mut results) else { continue };
        let (measure, reason) = (measure.name(), reason.to_string());
        if choice.wanted.is_some() {
            return Err(EvaluateError::Unavailable { measure, reason });
        }
        results.left_out.push(LeftOut { measure, reason });
    }
    if results.is_empty() {
        let reasons =
            results.left_out.iter().map(|left| format!("{}: {}", left.measure, left.reason));
        let reasons: Vec<String> = reasons.collect();
        let nothing = format!("nothing can be measured: {}", reasons.join("; "));
        return Err(EvaluateError::Mismatch(nothing));
    }
    Ok(results)
}

/// Two sets, and how they are compared.
struct Comparison<'a> {
    samples: &'a Side,
    reference: &'a Side,
    choice: &'a Choice,
}

impl Comparison<'_> {
    fn add(&self, measure: Measure, results: &mut Results) -> Result<(), EvaluateError> {
        match measure {
            Measure::Frechet if self.choice.inception => results.fid = Some(self.frechet()?),
            Measure::Frechet => results.frechet_distance = Some(self.frechet()?),
            Measure::Fid if self.choice.inception => results.fid = Some(self.frechet()?),
            Measure::Fid => {
                return Err(EvaluateError::Mismatch(
                    "FID is the Fréchet distance of Inception's 2048 features and of no others; ask \
                     for frechet, or name that extractor with --extractor and --preset \
                     inception-pool3"
                        .to_owned(),
                ));
            }
            Measure::Kid => results.kid = Some(self.kernel_distance()?),
            Measure::PrecisionRecall | Measure::DensityCoverage => {
                self.neighbours(measure, results)?;
            }
            Measure::ClassifierScore if self.choice.inception_classes => {
                results.inception_score = Some(self.score()?);
            }
            Measure::ClassifierScore => results.classifier_score = Some(self.score()?),
            Measure::InceptionScore if self.choice.inception_classes => {
                results.inception_score = Some(self.score()?);
            }
            Measure::InceptionScore => {
                return Err(EvaluateError::Mismatch(
                    "the Inception score is of Inception's 1008 logits and of no other classifier; ask \
                     for classifier-score, or name that extractor with --extractor and --preset \
                     inception-logits"
                        .to_owned(),
                ));
            }
            Measure::Kl => points::of(results).kl = Some(points::kl(self.rows()?)?),
            Measure::Modes => {
                points::of(results).modes = Some(points::modes(self.rows()?, self.choice.toy)?);
            }
            Measure::SlicedWasserstein => {
                let distance = points::sliced(self.rows()?, self.choice.seed)?;
                points::of(results).sliced_wasserstein = Some(distance);
            }
        }
        Ok(())
    }

    /// The rows of samples and reference.
    fn rows(&self) -> Result<(&Features, &Features), EvaluateError> {
        match (self.samples.rows(), self.reference.rows()) {
            (Some(samples), Some(reference)) => Ok((samples, reference)),
            _ => Err(EvaluateError::Mismatch(
                "it needs rows, and of one side only mean and covariance are known".to_owned(),
            )),
        }
    }

    fn frechet(&self) -> Result<f64, EvaluateError> {
        Ok(frechet_distance(&self.samples.gaussian()?, &self.reference.gaussian()?)?)
    }

    fn kernel_distance(&self) -> Result<KernelDistance, EvaluateError> {
        let (samples, reference) = self.rows()?;
        let options = KidOptions { seed: self.choice.seed, ..KidOptions::default() };
        let rows = samples.len().min(reference.len());
        let all = samples.len().max(reference.len());
        let subset_size = options.subset_size.min(rows);
        // Subsets of everything are all the same.
        let subsets = if subset_size == all { 1 } else { options.subsets };
        let found = kid(samples, reference, &KidOptions { subsets, subset_size, ..options })?;
        let stdev = (subsets > 1).then_some(found.stdev);
        // Subsets that are most of a set hardly differ, and their spread says nothing.
        let independent = 2 * subset_size <= rows;
        let standard_error =
            stdev.filter(|_| independent).map(|stdev| stdev / (subsets as f64).sqrt());
        Ok(KernelDistance { mean: found.mean, stdev, standard_error, subsets, subset_size })
    }

    fn score(&self) -> Result<ClassScore, EvaluateError> {
        let (Some(classes), Some(rows)) = (self.choice.classes, self.samples.rows()) else {
            return Err(EvaluateError::Mismatch(
                "it needs what a classifier says of each sample: an extractor whose description has \
                 \"classes\", or an array and --classes"
                    .to_owned(),
            ));
        };
        let ClassifierScore { mean, stdev } = classifier_score(rows, classes.into(), SPLITS)?;
        Ok(ClassScore { mean, stdev, splits: SPLITS })
    }

    /// Finds precision and recall, or density and coverage. Where both are wanted, and the sets have
    /// rows enough, both come from one pass over the distances.
    fn neighbours(&self, measure: Measure, results: &mut Results) -> Result<(), EvaluateError> {
        let (samples, reference) = self.rows()?;
        let options = FidelityOptions::default();
        let (near, far) = (options.precision_neighbours, options.density_neighbours);
        let together = self.wants(Measure::PrecisionRecall)
            && self.wants(Measure::DensityCoverage)
            && samples.len().min(reference.len()) > near.max(far);
        let (kept, options) = match measure {
            _ if together && results.precision_recall.is_some() => return Ok(()),
            _ if together => (near.max(far), options),
            // A set too small for the neighbours of one may have those of the other.
            Measure::PrecisionRecall => {
                (near, FidelityOptions { density_neighbours: near, ..options })
            }
            _ => (far, FidelityOptions { precision_neighbours: far, ..options }),
        };
        let (arithmetic, name) = match self.choice.binary16 {
            true => (Arithmetic::F16, "binary16"),
            false => (Arithmetic::F64, "f64"),
        };
        let manifold = |rows| Manifold::new(rows, kept, arithmetic);
        let found = fidelity(&manifold(reference)?, &manifold(samples)?, options)?;
        if together || measure == Measure::PrecisionRecall {
            let Fidelity { precision, recall, .. } = found;
            let found = PrecisionRecall { precision, recall, neighbours: near, arithmetic: name };
            results.precision_recall = Some(found);
        }
        if together || measure == Measure::DensityCoverage {
            let Fidelity { density, coverage, .. } = found;
            let found = DensityCoverage { density, coverage, neighbours: far, arithmetic: name };
            results.density_coverage = Some(found);
        }
        Ok(())
    }

    fn wants(&self, measure: Measure) -> bool {
        match &self.choice.wanted {
            Some(wanted) => wanted.contains(&measure),
            None => self.samples.dim() != 2,
        }
    }
}

/// Makes sure that rows are points of the plane.
pub(super) fn check_plane(rows: &Features) -> Result<(), Error> {
    if rows.dim() == 2 {
        return Ok(());
    }
    Err(Error::Shape(format!("it is of points of the plane, not of {} features", rows.dim())))
}

#[cfg(test)]
mod tests;

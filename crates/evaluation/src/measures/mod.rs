//! Distances between two sets of features, or the reasons why there are none.

use ddpm_data::ToyKind;
use ddpm_measures::{
    Arithmetic, ClassifierScore, Features, Fidelity, FidelityOptions, KidOptions, Manifold,
    classifier_score, fidelity, frechet_distance, kid,
};
use serde::Serialize;

use super::EvaluateError;
use super::feature_set::FeatureSet;
use super::points::{self, Points};
use super::preprocessing::{Classes, Preprocessing};

/// Parts of the samples that a classifier score is averaged over; 10 is customary.
const SPLITS: usize = 10;

/// A measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Measure {
    /// Fréchet distance between Gaussians fitted to the two sets.
    Frechet,
    /// The same, of Inception's 2048 features only.
    Fid,
    /// Kernel distance, with its standard error.
    Kid,
    /// Precision and recall with 3 neighbours.
    PrecisionRecall,
    /// Density and coverage with 5 neighbours.
    DensityCoverage,
    /// How sure a classifier is of each sample, and how many classes the samples cover.
    ClassifierScore,
    /// The same, of Inception only.
    InceptionScore,
    /// Of points: KL divergence between histograms.
    Kl,
    /// Of points: modes of a toy set that samples reach.
    Modes,
    /// Of points: sliced Wasserstein distance.
    SlicedWasserstein,
}

impl Measure {
    /// The default measures of features.
    const OF_FEATURES: [Self; 4] =
        [Self::Frechet, Self::Kid, Self::PrecisionRecall, Self::DensityCoverage];
    /// The default measures of points of the plane.
    const OF_POINTS: [Self; 4] = [Self::Kl, Self::Modes, Self::SlicedWasserstein, Self::Frechet];

    /// Returns its name on the command line.
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

/// Which measures to compute, and how.
#[derive(Debug, Clone, Default)]
pub struct MeasureOptions {
    /// Requested measures, which must all be available; absent: the defaults that are available.
    pub wanted: Option<Vec<Measure>>,
    /// Whether the features are Inception's 2048.
    pub inception: bool,
    /// The kind of classifier output that the features are, if any.
    pub classes: Option<Classes>,
    /// Whether that classifier is Inception.
    pub inception_classes: bool,
    /// Whether distances to neighbours are rounded to binary16, as ddpm-torch does.
    pub binary16: bool,
    /// Seed of subsets and directions.
    pub seed: u64,
    /// The toy set that the reference belongs to.
    pub toy: Option<ToyKind>,
}

impl MeasureOptions {
    /// Returns the options for the features of an extractor.
    #[must_use]
    pub fn from_preprocessing(preprocessing: &Preprocessing) -> Self {
        Self {
            inception: preprocessing.is_inception(),
            classes: preprocessing.classes,
            inception_classes: preprocessing.is_inception_classifier(),
            ..Self::default()
        }
    }
}

/// The results of a comparison.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Results {
    /// The Fréchet distance of Inception's features.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fid: Option<f64>,
    /// The Fréchet distance of any other features.
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
    /// The classifier score of any other classifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classifier_score: Option<ClassScore>,
    /// Measures of points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<Points>,
    /// Default measures that are not available.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
}

impl Results {
    /// Returns whether nothing was measured.
    fn is_empty(&self) -> bool {
        Self { left_out: self.left_out.clone(), ..Self::default() } == *self
    }

    /// Returns the measures of points, to add one.
    fn points_mut(&mut self) -> &mut Points {
        self.points.get_or_insert_default()
    }
}

/// The kernel distance: a mean over subsets, without bias.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct KernelDistance {
    /// The mean; it may be below 0.
    pub mean: f64,
    /// Standard deviation over the subsets; absent if there is only one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stdev: Option<f64>,
    /// Standard error of the mean, if subsets were independent; absent if a set is smaller than two
    /// subsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
    /// Number of subsets.
    pub subsets: usize,
    /// Rows of each set in a subset.
    pub subset_size: usize,
}

/// A classifier score, which depends on the samples alone, not on the reference.
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
    /// Share of the samples within the data.
    pub precision: f64,
    /// Share of the data within the samples.
    pub recall: f64,
    /// k.
    pub neighbours: usize,
    /// `f64`, or `binary16` as in ddpm-torch.
    pub arithmetic: &'static str,
}

/// How densely samples lie among the data, and how much of the data they cover.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DensityCoverage {
    /// 1 is expected for samples like the data.
    pub density: f64,
    /// Share of the data with a sample nearby, in [0, 1].
    pub coverage: f64,
    /// k.
    pub neighbours: usize,
    /// As in [`PrecisionRecall`].
    pub arithmetic: &'static str,
}

/// A measure that is not available.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub measure: &'static str,
    /// The reason.
    pub reason: String,
}

/// Compares two sets.
///
/// # Errors
///
/// [`EvaluateError::Mismatch`] if the sets have different numbers of features, or no measure is
/// available; [`EvaluateError::Unavailable`] if a requested measure is not available.
pub fn compare(
    samples: &FeatureSet,
    reference: &FeatureSet,
    options: &MeasureOptions,
) -> Result<Results, EvaluateError> {
    if samples.dim() != reference.dim() {
        return Err(EvaluateError::Mismatch(format!(
            "the samples have {} features each, the reference {}: both must come from one \
             extractor",
            samples.dim(),
            reference.dim()
        )));
    }
    let comparison = Comparison { samples, reference, options };
    let mut results = Results::default();
    let mut default = match samples.dim() {
        2 => Measure::OF_POINTS.to_vec(),
        _ => Measure::OF_FEATURES.to_vec(),
    };
    if options.classes.is_some() {
        default.insert(0, Measure::ClassifierScore);
    }
    for &measure in options.wanted.as_ref().unwrap_or(&default) {
        let Err(reason) = comparison.add(measure, &mut results) else { continue };
        let (measure, reason) = (measure.name(), reason.to_string());
        if options.wanted.is_some() {
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
    samples: &'a FeatureSet,
    reference: &'a FeatureSet,
    options: &'a MeasureOptions,
}

impl Comparison<'_> {
    fn add(&self, measure: Measure, results: &mut Results) -> Result<(), EvaluateError> {
        match measure {
            Measure::Frechet if self.options.inception => results.fid = Some(self.frechet()?),
            Measure::Frechet => results.frechet_distance = Some(self.frechet()?),
            Measure::Fid if self.options.inception => results.fid = Some(self.frechet()?),
            Measure::Fid => {
                return Err(EvaluateError::Mismatch(
                    "FID is the Fréchet distance of Inception's 2048 features only; ask for \
                     frechet, or name that extractor with --extractor and --preset inception-pool3"
                        .to_owned(),
                ));
            }
            Measure::Kid => results.kid = Some(self.kernel_distance()?),
            Measure::PrecisionRecall | Measure::DensityCoverage => {
                self.neighbours(measure, results)?;
            }
            Measure::ClassifierScore if self.options.inception_classes => {
                results.inception_score = Some(self.score()?);
            }
            Measure::ClassifierScore => results.classifier_score = Some(self.score()?),
            Measure::InceptionScore if self.options.inception_classes => {
                results.inception_score = Some(self.score()?);
            }
            Measure::InceptionScore => {
                return Err(EvaluateError::Mismatch(
                    "the Inception score is that of Inception's 1008 logits only; ask for \
                     classifier-score, or name that extractor with --extractor and --preset \
                     inception-logits"
                        .to_owned(),
                ));
            }
            Measure::Kl => results.points_mut().kl = Some(points::kl(self.rows()?)?),
            Measure::Modes => {
                results.points_mut().modes = Some(points::modes(self.rows()?, self.options.toy)?);
            }
            Measure::SlicedWasserstein => {
                let distance = points::sliced(self.rows()?, self.options.seed)?;
                results.points_mut().sliced_wasserstein = Some(distance);
            }
        }
        Ok(())
    }

    /// Returns the rows of samples and reference.
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
        let options = KidOptions { seed: self.options.seed, ..KidOptions::default() };
        let rows = samples.len().min(reference.len());
        let all = samples.len().max(reference.len());
        let subset_size = options.subset_size.min(rows);
        // Subsets that hold all rows are equal.
        let subsets = if subset_size == all { 1 } else { options.subsets };
        let found = kid(samples, reference, &KidOptions { subsets, subset_size, ..options })?;
        let stdev = (subsets > 1).then_some(found.stdev);
        // Subsets of more than half of a set overlap so much that their spread means nothing.
        let independent = 2 * subset_size <= rows;
        let standard_error =
            stdev.filter(|_| independent).map(|stdev| stdev / (subsets as f64).sqrt());
        Ok(KernelDistance { mean: found.mean, stdev, standard_error, subsets, subset_size })
    }

    fn score(&self) -> Result<ClassScore, EvaluateError> {
        let (Some(classes), Some(rows)) = (self.options.classes, self.samples.rows()) else {
            return Err(EvaluateError::Mismatch(
                "it needs what a classifier says of each sample: an extractor whose description \
                 has \"classes\", or an array and --classes"
                    .to_owned(),
            ));
        };
        let ClassifierScore { mean, stdev } = classifier_score(rows, classes.into(), SPLITS)?;
        Ok(ClassScore { mean, stdev, splits: SPLITS })
    }

    /// Computes precision and recall, or density and coverage. If both are wanted and the sets are
    /// large enough, one pass over the distances computes both.
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
            // A set may be too small for one of the two only.
            Measure::PrecisionRecall => {
                (near, FidelityOptions { density_neighbours: near, ..options })
            }
            _ => (far, FidelityOptions { precision_neighbours: far, ..options }),
        };
        let (arithmetic, name) = match self.options.binary16 {
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
        match &self.options.wanted {
            Some(wanted) => wanted.contains(&measure),
            None => self.samples.dim() != 2,
        }
    }
}

#[cfg(test)]
mod tests;

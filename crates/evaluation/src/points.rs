//! Measures of points of the plane, as of the toy sets.

use ddpm_data::{Dataset, ToyKind};
use ddpm_measures::{
    Error, Features, HistogramKl, ModeCoverage, SlicedOptions, mode_coverage, sliced_wasserstein,
};
use serde::Serialize;

use super::EvaluateError;

/// Rows of the data that ddpm-torch counts: its batch.
const REFERENCE_BATCH: usize = 1000;

/// Measures of points.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Points {
    /// Divergences between histograms, in nats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl: Option<Kl>,
    /// The modes of a Gaussian toy set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modes: Option<Modes>,
    /// Sliced 2-Wasserstein distance, in the units of the points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sliced_wasserstein: Option<f64>,
}

/// KL(data ‖ samples) between histograms of 54 × 54 bins, in nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kl {
    /// With all of the data counted.
    pub kl: f64,
    /// As ddpm-torch computes it: of the data, only the first 1000 points are counted.
    pub kl_of_first_batch: f64,
    /// Number of those points: 1000, or all of fewer.
    pub first_batch: usize,
}

/// How samples cover the modes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Modes {
    /// Modes with a sample within three standard deviations.
    pub hit: usize,
    /// Number of modes.
    #[serde(rename = "of")]
    pub total: usize,
    /// Share of the samples within three standard deviations of a mode; 98.9 % for the data.
    pub high_quality: f64,
    /// KL divergence of the samples' weights of the modes from equal weights, in nats.
    pub weights_kl: f64,
    /// Samples within three standard deviations of each mode.
    pub counts: Vec<u64>,
}

/// Returns the points of a data set, `[N, 2]`.
///
/// # Errors
///
/// [`EvaluateError::Measure`] if one is not finite.
pub fn from_dataset(dataset: &Dataset) -> Result<Features, EvaluateError> {
    let mut values = vec![0.0; 2 * dataset.len()];
    for (i, point) in values.chunks_exact_mut(2).enumerate() {
        dataset.x_0(i, false, point);
    }
    Ok(Features::from_rows(2, values)?)
}

/// Computes the divergence of the data from the samples, `(samples, data)`.
pub(super) fn kl((samples, data): (&Features, &Features)) -> Result<Kl, EvaluateError> {
    check_plane(samples)?;
    Ok(Kl {
        kl: HistogramKl::new(data)?.kl(samples)?,
        first_batch: REFERENCE_BATCH.min(data.len()),
        kl_of_first_batch: HistogramKl::of_first(data, REFERENCE_BATCH)?.kl(samples)?,
    })
}

/// Finds the modes of a toy set that the samples reach.
pub(super) fn modes(
    (samples, _): (&Features, &Features),
    toy: Option<ToyKind>,
) -> Result<Modes, EvaluateError> {
    check_plane(samples)?;
    let mixture = toy.and_then(|toy| Some((toy.mode_centres(), toy.mode_stdev()?)));
    let Some((centres, stdev)) = mixture else {
        return Err(EvaluateError::Mismatch(
            "the reference must be a toy set with modes: gaussian8 or gaussian25".to_owned(),
        ));
    };
    let ModeCoverage { counts, modes_hit, high_quality, weights_kl } =
        mode_coverage(samples, &centres, stdev)?;
    Ok(Modes { hit: modes_hit, total: centres.len(), high_quality, weights_kl, counts })
}

/// Computes the sliced Wasserstein distance along 256 directions.
pub(super) fn sliced(
    (samples, data): (&Features, &Features),
    seed: u64,
) -> Result<f64, EvaluateError> {
    check_plane(samples)?;
    let options = SlicedOptions { seed, ..SlicedOptions::default() };
    Ok(sliced_wasserstein(samples, data, &options)?)
}

/// Checks that rows are points of the plane.
fn check_plane(rows: &Features) -> Result<(), Error> {
    if rows.dim() == 2 {
        return Ok(());
    }
    Err(Error::Shape(format!("it is of points of the plane, not of {} features", rows.dim())))
}

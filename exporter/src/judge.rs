//! Judges the samples of a run during training against its training data.
//!
//! The scores equal those of `ddpm-exporter eval` on the checkpoint of the same step, for the same
//! sample count, seed and sampler.

use std::path::Path;

use ddpm_data::{Dataset, ToyKind};
use ddpm_evaluation::extractor::Extractor;
use ddpm_evaluation::feature_set::FeatureSet;
use ddpm_evaluation::measures::{Measure, MeasureOptions, Results, compare};
use ddpm_evaluation::pictures::PictureSet;
use ddpm_evaluation::points::{self, Points};
use ddpm_evaluation::{EvaluateError, cache};
use ddpm_measures::Features;
use ddpm_training::{Judge, JudgeError, Score};

/// Collects samples and compares them with the training data.
#[derive(Debug)]
pub struct SampleJudge {
    reference: FeatureSet,
    options: MeasureOptions,
    /// Shape `[C, H, W]` of pictures and their extractor; absent for points.
    pictures: Option<([usize; 3], Extractor)>,
    /// Features of the samples so far.
    rows: Features,
}

impl SampleJudge {
    /// Makes a judge of pictures.
    ///
    /// * `reference`: training data; its features are computed now unless they are cached.
    /// * `folder`: cache of features; absent, nothing is cached.
    /// * `seed`: draws the subsets for the kernel distance.
    /// * `progress`: called with the number of pictures done.
    ///
    /// # Errors
    ///
    /// As [`cache::features`]; [`EvaluateError::Measure`] if there are fewer than two pictures.
    pub fn for_pictures(
        reference: &PictureSet,
        mut extractor: Extractor,
        folder: Option<&Path>,
        seed: u64,
        progress: impl FnMut(usize),
    ) -> Result<Self, EvaluateError> {
        let (side, _) = cache::features(folder, reference, &mut extractor, progress)?;
        let options = MeasureOptions {
            wanted: Some(vec![Measure::Frechet, Measure::Kid]),
            seed,
            ..MeasureOptions::from_preprocessing(extractor.preprocessing())
        };
        Ok(Self {
            rows: Features::new(side.dim())?,
            reference: side.fitted()?,
            options,
            pictures: Some((reference.shape(), extractor)),
        })
    }

    /// Makes a judge of points in the plane.
    ///
    /// * `toy`: toy set of the data, if it is one; samples are compared with its modes.
    /// * `seed`: draws the directions for the sliced distance.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Measure`] if there are fewer than two points.
    pub fn for_points(
        reference: &Dataset,
        toy: Option<ToyKind>,
        seed: u64,
    ) -> Result<Self, EvaluateError> {
        Ok(Self {
            rows: Features::new(2)?,
            reference: FeatureSet::from_rows(points::from_dataset(reference)?).fitted()?,
            options: MeasureOptions { toy, seed, ..MeasureOptions::default() },
            pictures: None,
        })
    }

    fn push(&mut self, samples: &[f32]) -> Result<(), EvaluateError> {
        let bad = samples.iter().filter(|value| !value.is_finite()).count();
        if bad > 0 {
            return Err(EvaluateError::Mismatch(format!(
                "{bad} values of the samples are infinite or not a number: the model diverged"
            )));
        }
        let Some((shape, extractor)) = &mut self.pictures else {
            return Ok(self.rows.push(samples)?);
        };
        let features = extractor.features(&PictureSet::from_samples(*shape, samples), |_| ())?;
        Ok(self.rows.push(features.values())?)
    }
}

impl Judge for SampleJudge {
    fn extractor(&self) -> Option<String> {
        let (_, extractor) = self.pictures.as_ref()?;
        Some(format!("{} {}", extractor.name(), &extractor.sha256().as_str()[..12]))
    }

    fn clear(&mut self) {
        self.rows.clear();
    }

    fn add(&mut self, samples: &[f32]) -> Result<(), JudgeError> {
        Ok(self.push(samples)?)
    }

    fn judge(&mut self) -> Result<Vec<Score>, JudgeError> {
        let empty = Features::new(self.rows.dim()).map_err(EvaluateError::from)?;
        let samples = FeatureSet::from_rows(std::mem::replace(&mut self.rows, empty));
        Ok(scores(&compare(&samples, &self.reference, &self.options)?))
    }
}

/// Returns the scores of a comparison, first the one that best distinguishes steps; its lower
/// values are better.
fn scores(results: &Results) -> Vec<Score> {
    let Results { fid, frechet_distance, kid, points, .. } = results;
    let Points { kl, modes, sliced_wasserstein } = points.clone().unwrap_or_default();
    let modes = modes.as_ref();
    let found = [
        ("fid", "FID", *fid),
        ("sliced_wasserstein", "sliced Wasserstein", sliced_wasserstein),
        ("frechet_distance", "Fréchet distance (no FID)", *frechet_distance),
        ("kid", "KID", kid.map(|kid| kid.mean)),
        ("kl", "KL(data, samples)", kl.map(|kl| kl.kl)),
        ("modes_hit", "modes", modes.map(|modes| modes.hit as f64)),
        ("high_quality", "within 3 deviations", modes.map(|modes| modes.high_quality)),
    ];
    let score = |(key, name, value): (_, _, Option<f64>)| Some(Score { key, name, value: value? });
    found.into_iter().filter_map(score).collect()
}

#[cfg(test)]
mod tests {
    use ddpm_data::{LoadOptions, Source, load};
    use ddpm_evaluation::measures::KernelDistance;

    use super::*;

    fn toy(text: &str) -> (Dataset, Option<ToyKind>) {
        let source: Source = text.parse().unwrap();
        let Source::Toy { kind, .. } = source else { panic!("{text} is not a toy set") };
        (load(&source, &LoadOptions::default()).unwrap(), Some(kind))
    }

    #[test]
    fn points_are_judged_by_sliced_distance_first_and_by_modes_if_the_data_has_any() {
        let keys = |text: &str| {
            let (data, kind) = toy(text);
            let mut judge = SampleJudge::for_points(&data, kind, 0).unwrap();
            assert_eq!(judge.extractor(), None);
            let points = points::from_dataset(&data).unwrap();
            judge.add(&points.values()[..600]).unwrap();
            judge.add(&points.values()[600..]).unwrap();
            let scores = judge.judge().unwrap();
            assert!(scores[0].value < 1e-6, "the data has no distance from itself: {scores:?}");
            scores.iter().map(|score| score.key).collect::<Vec<_>>()
        };
        let without = ["sliced_wasserstein", "frechet_distance", "kl"];
        assert_eq!(keys("swissroll:500"), without);
        assert_eq!(keys("gaussian8:500"), [&without[..], &["modes_hit", "high_quality"]].concat());
    }

    #[test]
    fn cleared_samples_are_not_judged_and_samples_that_are_not_finite_are_refused() {
        let (data, kind) = toy("gaussian8:500");
        let mut judge = SampleJudge::for_points(&data, kind, 0).unwrap();
        judge.add(&[100.0; 20]).unwrap();
        judge.clear();
        let points = points::from_dataset(&data).unwrap();
        judge.add(points.values()).unwrap();
        assert!(judge.judge().unwrap()[0].value < 1e-6);
        let fault = judge.add(&[0.0, f32::NAN]).unwrap_err().to_string();
        assert!(fault.contains("1 values of the samples") && fault.contains("diverged"), "{fault}");
    }

    #[test]
    fn only_inceptions_distance_is_called_fid() {
        let kid = KernelDistance {
            mean: 0.5,
            stdev: None,
            standard_error: None,
            subsets: 1,
            subset_size: 9,
        };
        let named = |fid, frechet_distance| {
            let results = Results { fid, frechet_distance, kid: Some(kid), ..Results::default() };
            scores(&results).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(named(Some(3.25), None), ["FID 3.250000", "KID 0.500000"]);
        assert_eq!(named(None, Some(3.25))[0], "Fréchet distance (no FID) 3.250000");
    }
}

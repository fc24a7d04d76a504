//! Judges the samples of a run while it trains, by the data that it is trained on.
//!
//! The numbers are those of `ddpm-exporter eval` on a checkpoint of the same step, with as many samples of
//! the same seed and sampler.

use std::path::Path;

use ddpm_evaluation::Features;

use super::extractor::Extractor;
use super::measures::{Choice, Measure, Results, compare};
use super::pictures::PictureSet;
use super::points::{self, Points};
use super::side::Side;
use super::{EvaluateError, cache};
use crate::data::{Dataset, ToyKind};
use crate::train::{Fault, Judge, Score};

/// The data, and the samples that will be compared with it.
#[derive(Debug)]
pub struct SampleJudge {
    reference: Side,
    choice: Choice,
    /// The shape of a picture and what makes it features; absent for points.
    pictures: Option<([usize; 3], Extractor)>,
    /// Of the samples so far.
    rows: Features,
}

impl SampleJudge {
    /// A judge of pictures.
    ///
    /// * `reference`: the data; its features are computed now, unless they are remembered.
    /// * `folder`: where they are remembered; absent: nowhere.
    /// * `seed`: of the subsets of the kernel distance.
    /// * `progress`: is called with the number of pictures done.
    ///
    /// # Errors
    ///
    /// As [`cache::features`]; [`EvaluateError::Measure`] if there are fewer than two pictures.
    pub fn of_pictures(
        reference: &PictureSet,
        mut extractor: Extractor,
        folder: Option<&Path>,
        seed: u64,
        progress: impl FnMut(usize),
    ) -> Result<Self, EvaluateError> {
        let (side, _) = cache::features(folder, reference, &mut extractor, progress)?;
        let choice = Choice {
            wanted: Some(vec![Measure::Frechet, Measure::Kid]),
            seed,
            ..Choice::of(extractor.preprocessing())
        };
        Ok(Self {
            rows: Features::new(side.dim())?,
            reference: side.fitted()?,
            choice,
            pictures: Some((reference.shape(), extractor)),
        })
    }

    /// A judge of points of the plane.
    ///
    /// * `toy`: the toy set that the data is of, whose modes are looked for.
    /// * `seed`: of the directions of the sliced distance.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::Measure`] if there are fewer than two points.
    pub fn of_points(
        reference: &Dataset,
        toy: Option<ToyKind>,
        seed: u64,
    ) -> Result<Self, EvaluateError> {
        Ok(Self {
            rows: Features::new(2)?,
            reference: Side::of_rows(points::of_dataset(reference)?).fitted()?,
            choice: Choice { toy, seed, ..Choice::default() },
            pictures: None,
        })
    }

    fn take(&mut self, samples: &[f32]) -> Result<(), EvaluateError> {
        let bad = samples.iter().filter(|value| !value.is_finite()).count();
        if bad > 0 {
            return Err(EvaluateError::Mismatch(format!(
                "{bad} numbers of the samples are infinite or not a number: the model diverged"
            )));
        }
        let Some((shape, extractor)) = &mut self.pictures else {
            return Ok(self.rows.push(samples)?);
        };
        let features = extractor.features(&PictureSet::of_samples(*shape, samples), |_| ())?;
        Ok(self.rows.push(features.values())?)
    }
}

impl Judge for SampleJudge {
    fn through(&self) -> Option<String> {
        let (_, extractor) = self.pictures.as_ref()?;
        Some(format!("{} {}", extractor.name(), &extractor.sha256().as_str()[..12]))
    }

    fn clear(&mut self) {
        self.rows.clear();
    }

    fn add(&mut self, samples: &[f32]) -> Result<(), Fault> {
        Ok(self.take(samples)?)
    }

    fn judge(&mut self) -> Result<Vec<Score>, Fault> {
        let none = Features::new(self.rows.dim()).map_err(EvaluateError::from)?;
        let samples = Side::of_rows(std::mem::replace(&mut self.rows, none));
        Ok(scores(&compare(&samples, &self.reference, &self.choice)?))
    }
}

/// The numbers of a comparison: what is best for telling steps apart first, and there less is better.
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
    use super::*;
    use crate::data::{LoadOptions, Source, load};
    use crate::evaluate::measures::KernelDistance;

    fn toy(text: &str) -> (Dataset, Option<ToyKind>) {
        let source: Source = text.parse().unwrap();
        let Source::Toy { kind, .. } = source else { panic!("{text} is a toy set") };
        (load(&source, &LoadOptions::default()).unwrap(), Some(kind))
    }

    #[test]
    fn points_are_judged_by_their_sliced_distance_first_and_by_modes_where_there_are_any() {
        let keys = |text: &str| {
            let (data, kind) = toy(text);
            let mut judge = SampleJudge::of_points(&data, kind, 0).unwrap();
            assert_eq!(judge.through(), None);
            let points = points::of_dataset(&data).unwrap();
            judge.add(&points.values()[..600]).unwrap();
            judge.add(&points.values()[600..]).unwrap();
            let scores = judge.judge().unwrap();
            assert!(scores[0].value < 1e-6, "the data is no distance from itself: {scores:?}");
            scores.iter().map(|score| score.key).collect::<Vec<_>>()
        };
        let without = ["sliced_wasserstein", "frechet_distance", "kl"];
        assert_eq!(keys("swissroll:500"), without);
        assert_eq!(keys("gaussian8:500"), [&without[..], &["modes_hit", "high_quality"]].concat());
    }

    #[test]
    fn samples_that_were_cleared_are_not_judged_and_others_are_no_numbers() {
        let (data, kind) = toy("gaussian8:500");
        let mut judge = SampleJudge::of_points(&data, kind, 0).unwrap();
        judge.add(&[100.0; 20]).unwrap();
        judge.clear();
        let points = points::of_dataset(&data).unwrap();
        judge.add(points.values()).unwrap();
        assert!(judge.judge().unwrap()[0].value < 1e-6);
        let fault = judge.add(&[0.0, f32::NAN]).unwrap_err().to_string();
        assert!(
            fault.contains("1 numbers of the samples") && fault.contains("diverged"),
            "{fault}"
        );
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

//! How much further from the data one set of samples is than another, and how sure that is.

use crate::draws::{Purpose, SubsetDraws};
use crate::{Error, Features, Gaussian, Statistics, frechet_distance};

/// A ratio of Fréchet distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrechetRatio {
    /// The distance of one set from the data, divided by the other's.
    pub ratio: f64,
    /// Upper end of the 95 % interval over resamples.
    pub upper: f64,
}

/// Compares the Fréchet distances of two sets of samples from the data.
///
/// The rows of both sets belong together, one by one (samples of the same seeds), and are resampled
/// together: what they share does not widen the interval. Resampling repeats rows and so makes both
/// distances larger by about the same amount; the interval is that of the ratio of the logarithms'
/// deviations from their mean, around the ratio of the whole sets.
///
/// Both distances are of finite sets and so too large by about the same amount, which pulls the
/// ratio towards 1: the more so, the fewer rows there are per feature.
///
/// * `data`: mean and covariance of the data's features.
/// * `samples`, `baseline`: features, equally many rows.
/// * `resamples`: at least 40.
/// * `seed`: of the resamples.
///
/// # Errors
///
/// [`Error::Dimension`] if the numbers of features differ; [`Error::TooFew`] below 2 rows; those
/// of [`frechet_distance`].
///
/// # Panics
///
/// With fewer than 40 resamples, or if one set has more rows than the other.
pub fn frechet_ratio(
    data: &Gaussian,
    samples: &Features,
    baseline: &Features,
    resamples: usize,
    seed: u64,
) -> Result<FrechetRatio, Error> {
    assert!(resamples >= 40, "fewer resamples have no upper end of 95 %");
    assert_eq!(samples.len(), baseline.len(), "rows belong together, one by one");
    let distance = |features: &Features, rows: &[usize]| -> Result<f64, Error> {
        let mut side = Statistics::new(features.dim())?;
        rows.iter().try_for_each(|row| side.push(features.row(*row)))?;
        frechet_distance(&side.gaussian()?, data)
    };
    let log_ratio = |rows: Vec<usize>| -> Result<f64, Error> {
        Ok((distance(samples, &rows)? / distance(baseline, &rows)?).ln())
    };
    let count = samples.len();
    let whole = log_ratio((0..count).collect())?;
    let draws = SubsetDraws::new(seed, Purpose::Resample);
    let mut logs = (0..resamples)
        .map(|index| log_ratio(draws.resample(index, count).collect()))
        .collect::<Result<Vec<f64>, Error>>()?;
    let mean = logs.iter().sum::<f64>() / resamples as f64;
    logs.sort_by(f64::total_cmp);
    // One-sided 97.5 %: the upper end of a two-sided interval of 95 %.
    let at = (0.975 * resamples as f64).ceil() as usize - 1;
    let deviation = logs[at] - mean;
    Ok(FrechetRatio { ratio: whole.exp(), upper: (whole + deviation).exp() })
}

#[cfg(test)]
mod tests {
    use ddpm_diffusion::Noise;

    use super::*;

    fn rows(count: usize, seed: u64, scale: f32, shift: f32) -> Features {
        let mut values = vec![0.0; 4 * count];
        Noise::new(seed).normal(0, 0, &mut values);
        values.iter_mut().for_each(|value| *value = *value * scale + shift);
        Features::from_rows(4, values).unwrap()
    }

    fn data() -> Gaussian {
        Statistics::of(&rows(20_000, 1, 1.0, 0.0)).unwrap().gaussian().unwrap()
    }

    #[test]
    fn equal_sets_have_the_ratio_one_without_doubt() {
        let samples = rows(500, 2, 1.2, 0.1);
        let found = frechet_ratio(&data(), &samples, &samples, 40, 0).unwrap();
        assert_eq!(found, FrechetRatio { ratio: 1.0, upper: 1.0 });
    }

    #[test]
    fn a_worse_set_has_a_ratio_above_one_and_a_better_one_below() {
        let (near, far) = (rows(2000, 2, 1.0, 0.2), rows(2000, 2, 1.0, 0.4));
        let worse = frechet_ratio(&data(), &far, &near, 100, 0).unwrap();
        assert!((3.0..5.0).contains(&worse.ratio), "{worse:?}");
        assert!(worse.upper > worse.ratio && worse.upper < 1.3 * worse.ratio, "{worse:?}");
        let better = frechet_ratio(&data(), &near, &far, 100, 0).unwrap();
        assert!((better.ratio * worse.ratio - 1.0).abs() < 1e-9);
    }

    #[test]
    fn fewer_rows_leave_more_doubt() {
        let doubt = |count| {
            let (a, b) = (rows(count, 2, 1.1, 0.1), rows(count, 3, 1.1, 0.1));
            let found = frechet_ratio(&data(), &a, &b, 100, 0).unwrap();
            found.upper / found.ratio
        };
        assert!(doubt(200) > 1.5 * doubt(5000), "{} {}", doubt(200), doubt(5000));
    }

    #[test]
    fn features_of_different_widths_are_refused() {
        let narrow = Features::from_rows(2, vec![0.0, 1.0, 2.0, 0.5]).unwrap();
        let found = frechet_ratio(&data(), &narrow, &narrow, 40, 0);
        assert!(matches!(found, Err(Error::Dimension { left: 2, right: 4 })), "{found:?}");
    }
}

//! Classifier score: how certain a classifier is of each sample, and how many classes all samples
//! cover.

use crate::{Error, Features};

/// Largest deviation of a row's sum of probabilities from 1.
const TOLERANCE: f64 = 1e-3;

/// Meaning of the values in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassRows {
    /// Logits: their softmax gives the probabilities.
    Logits,
    /// Probabilities: at least 0, with sum 1.
    Probabilities,
}

/// Mean and deviation of the classifier score over parts of a set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassifierScore {
    /// Mean over the parts, from 1 (all samples look alike, or like no class) to the number of
    /// classes.
    pub mean: f64,
    /// Standard deviation over the parts (divided by their number).
    pub stdev: f64,
}

/// Computes exp(E KL(p(y|x) ‖ p(y))) over equal parts of the rows, in their order; p(y) is the mean
/// over a part. With Inception as the classifier, this is the Inception score.
///
/// * `rows`: one per sample, `[N, classes]`.
/// * `splits`: number of parts, usually 10; at most N.
///
/// # Errors
///
/// [`Error::Option`] without parts; [`Error::TooFew`] if there are more parts than rows;
/// [`Error::NoProbabilities`] names the first invalid row.
///
/// # Source
///
/// Salimans et al. 2016, §4, <https://arxiv.org/abs/1606.03498>.
pub fn classifier_score(
    rows: &Features,
    kind: ClassRows,
    splits: usize,
) -> Result<ClassifierScore, Error> {
    if splits == 0 {
        return Err(Error::Option { option: "splits", reason: "must be at least 1".into() });
    }
    let count = rows.len();
    if count < splits {
        return Err(Error::TooFew { measure: "classifier score", least: splits, got: count });
    }
    let bounds = |split: usize| split * count / splits;
    let scores = (0..splits)
        .map(|split| part_score(rows, kind, bounds(split)..bounds(split + 1)))
        .collect::<Result<Vec<f64>, _>>()?;
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let variance = scores.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / splits as f64;
    Ok(ClassifierScore { mean, stdev: variance.sqrt() })
}

/// Computes the score of some rows from their mean entropy and the entropy of their mean.
fn part_score(
    rows: &Features,
    kind: ClassRows,
    part: std::ops::Range<usize>,
) -> Result<f64, Error> {
    let count = part.len() as f64;
    let (mut mean, mut negative_entropy) = (vec![0.0; rows.dim()], 0.0);
    for index in part {
        let probabilities = probabilities(rows.row(index), kind, index)?;
        negative_entropy += probabilities.iter().copied().map(x_ln_x).sum::<f64>() / count;
        mean.iter_mut().zip(&probabilities).for_each(|(mean, p)| *mean += p / count);
    }
    let mean_negative_entropy: f64 = mean.into_iter().map(x_ln_x).sum();
    Ok((negative_entropy - mean_negative_entropy).exp())
}

/// Converts a row to probabilities with sum 1.
fn probabilities(row: &[f32], kind: ClassRows, index: usize) -> Result<Vec<f64>, Error> {
    let values: Vec<f64> = match kind {
        ClassRows::Logits => {
            let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter().map(|&logit| (f64::from(logit) - f64::from(largest)).exp()).collect()
        }
        ClassRows::Probabilities => row.iter().copied().map(f64::from).collect(),
    };
    let sum: f64 = values.iter().sum();
    if kind == ClassRows::Probabilities {
        if let Some(value) = values.iter().find(|&&value| value < 0.0) {
            let what = format!("one of its values is {value}");
            return Err(Error::NoProbabilities { row: index, what });
        }
        if (sum - 1.0).abs() > TOLERANCE {
            return Err(Error::NoProbabilities {
                row: index,
                what: format!("they add up to {sum}"),
            });
        }
    }
    // Probabilities in f32 add up to 1 up to rounding.
    Ok(values.into_iter().map(|value| value / sum).collect())
}

/// Returns x ln x, which is 0 at 0.
fn x_ln_x(x: f64) -> f64 {
    if x > 0.0 { x * x.ln() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(dim: usize, rows: &[f32], kind: ClassRows, splits: usize) -> ClassifierScore {
        let rows = Features::from_rows(dim, rows.to_vec()).unwrap();
        classifier_score(&rows, kind, splits).unwrap()
    }

    #[track_caller]
    fn assert_close(got: f64, want: f64) {
        assert!((got - want).abs() < 1e-12, "{got} for {want}");
    }

    #[test]
    fn a_classifier_that_is_never_certain_scores_one() {
        let never = score(4, &[0.25; 40], ClassRows::Probabilities, 2);
        assert_close(never.mean, 1.0);
        assert_close(never.stdev, 0.0);
        // Certain, but of the same class for all.
        assert_close(score(2, &[9.0, 0.0].repeat(10), ClassRows::Logits, 10).mean, 1.0);
    }

    #[test]
    fn certainty_spread_evenly_over_classes_scores_their_number() {
        let rows: Vec<f32> = (0..60).map(|i| f32::from(u8::from(i % 3 == i / 3 % 3))).collect();
        let sure = score(3, &rows, ClassRows::Probabilities, 1);
        // 20 rows: seven, seven and six per class.
        let term = |share: f64| -share * share.ln();
        assert_close(sure.mean, (2.0 * term(0.35) + term(0.3)).exp());
        assert_close(score(3, &rows[..54], ClassRows::Probabilities, 2).mean, 3.0);
    }

    #[test]
    fn two_rows_by_hand_as_logits_and_as_probabilities() {
        let (p, q) = (0.75_f64, 0.25_f64);
        // p(y) is even: KL of each row is p ln 2p + q ln 2q.
        let want = (p * (2.0 * p).ln() + q * (2.0 * q).ln()).exp();
        let probabilities = score(2, &[0.75, 0.25, 0.25, 0.75], ClassRows::Probabilities, 1);
        assert_close(probabilities.mean, want);
        let logit = 3.0_f32.ln();
        let shifted = [100.0 + logit, 100.0, -50.0, -50.0 + logit];
        let logits = score(2, &shifted, ClassRows::Logits, 1);
        assert!((logits.mean - want).abs() < 1e-5, "{} for {want}", logits.mean);
    }

    #[test]
    fn parts_take_rows_in_their_order() {
        // The first half sees two classes, the second half one.
        let rows = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0];
        let parts = score(2, &rows, ClassRows::Probabilities, 2);
        assert_close(parts.mean, 1.5);
        assert_close(parts.stdev, 0.5);
    }

    #[test]
    fn rows_that_are_not_probabilities_are_named() {
        let refused = |rows: &[f32], splits| {
            let rows = Features::from_rows(2, rows.to_vec()).unwrap();
            classifier_score(&rows, ClassRows::Probabilities, splits).unwrap_err().to_string()
        };
        let logits = refused(&[0.5, 0.5, 2.0, 1.0], 1);
        assert!(logits.contains("row 1") && logits.contains("add up to 3"), "{logits}");
        assert!(refused(&[1.5, -0.5], 1).contains("is -0.5"));
        assert!(refused(&[0.5, 0.5], 2).contains("at least 2 rows"));
        assert!(refused(&[0.5, 0.5], 0).contains("splits"));
    }
}

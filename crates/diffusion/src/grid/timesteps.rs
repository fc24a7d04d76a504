//! Which of T timesteps a run of S steps visits, latest first: the common rules.

use crate::Error;
use crate::schedule::linspace;

/// Computes ⌊T/S⌋ · (0 … S−1) + offset; never reaches T−1 unless S = T.
///
/// # Errors
///
/// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`, or the offset moves
/// the latest past T−1.
pub(crate) fn leading(
    timesteps: usize,
    num_steps: usize,
    offset: usize,
) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    let stride = timesteps / num_steps;
    if offset > timesteps - 1 - (num_steps - 1) * stride {
        let reason =
            format!("an offset of {offset} moves the latest timestep past {timesteps} - 1");
        return Err(Error::points(reason));
    }
    Ok(reversed((0..num_steps).map(|k| k * stride + offset)))
}

/// Computes round(T − kT/S) − 1; always starts at T−1.
///
/// # Errors
///
/// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
pub(crate) fn trailing(timesteps: usize, num_steps: usize) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    let width = timesteps as f64 / num_steps as f64;
    let at = |k: usize| (timesteps as f64 - k as f64 * width).round_ties_even() as usize - 1;
    Ok((0..num_steps).map(at).collect())
}

/// Spaces S points evenly from 0 to T−1, rounded; T−1 alone if S = 1.
///
/// # Errors
///
/// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
pub(crate) fn linspace_of(timesteps: usize, num_steps: usize) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    let last = (timesteps - 1) as f64;
    let points = if num_steps == 1 { vec![last] } else { linspace(0.0, last, num_steps) };
    Ok(reversed(points.into_iter().map(|t| t.round_ties_even() as usize)))
}

/// Squares S points spaced evenly up to √(0.8 T), rounded; a timestep that
/// rounding repeats moves up to the next free one.
///
/// # Errors
///
/// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
///
/// # Source
///
/// Song et al. 2020, appendix D.2, used there for CIFAR-10.
pub(crate) fn quadratic(timesteps: usize, num_steps: usize) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    let mut ascending: Vec<usize> = Vec::with_capacity(num_steps);
    for t in squares(timesteps, num_steps) {
        let free = ascending.last().map_or(0, |previous| previous + 1);
        ascending.push(t.max(free));
    }
    // If S is near T, moved timesteps may run past the end: push them back down.
    for (k, t) in ascending.iter_mut().enumerate() {
        *t = (*t).min(timesteps - (num_steps - k));
    }
    Ok(reversed(ascending))
}

/// Computes ddpm-torch's `linear`: every ⌊T/S⌋-th timestep below T, which
/// is more than S of them if S does not divide T.
///
/// # Errors
///
/// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
pub(crate) fn ddpm_torch_linear(timesteps: usize, num_steps: usize) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    Ok(reversed((0..timesteps).step_by(timesteps / num_steps)))
}

/// Computes ddpm-torch's `quadratic`: [`quadratic`] with the repeated
/// timesteps left in, each a step that goes nowhere.
///
/// # Errors
///
/// [`Error::Grid`] if `num_steps` is 0 or above `timesteps`.
pub(crate) fn ddpm_torch_quadratic(
    timesteps: usize,
    num_steps: usize,
) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    Ok(reversed(squares(timesteps, num_steps)))
}

/// Computes improved-diffusion's sections: cuts the timesteps into one equal part
/// per count, and takes that many evenly spaced ones from each part, including its
/// first and last.
///
/// # Errors
///
/// [`Error::Grid`] if a section has fewer timesteps than its count, or a count is 0.
///
/// # Source
///
/// Nichol & Dhariwal 2021, section 4, spaced as in their code.
pub(crate) fn sections(timesteps: usize, counts: &[usize]) -> Result<Vec<usize>, Error> {
    if counts.is_empty() || counts.len() > timesteps {
        let got = counts.len();
        return Err(Error::points(format!("sections must be 1..={timesteps} counts, got {got}")));
    }
    let (size, extra) = (timesteps / counts.len(), timesteps % counts.len());
    let (mut start, mut ascending) = (0, Vec::new());
    for (section, count) in counts.iter().enumerate() {
        let size = size + usize::from(section < extra);
        if !(1..=size).contains(count) {
            return Err(Error::points(format!(
                "section {section} has {size} timesteps, so its count must be in 1..={size}, \
                 got {count}"
            )));
        }
        let stride = if *count > 1 { (size - 1) as f64 / (count - 1) as f64 } else { 1.0 };
        // Added up as in their code: a product rounds some ties to the neighbouring timestep.
        let mut at = 0.0_f64;
        for _ in 0..*count {
            ascending.push(start + at.round_ties_even() as usize);
            at += stride;
        }
        start += size;
    }
    Ok(reversed(ascending))
}

/// Computes improved-diffusion's `ddimN`: the first integer stride that gives
/// exactly S timesteps, from 0.
///
/// # Errors
///
/// [`Error::Grid`] if no integer stride gives exactly S.
pub(crate) fn ddim_stride(timesteps: usize, num_steps: usize) -> Result<Vec<usize>, Error> {
    check(timesteps, num_steps)?;
    let stride = (1..timesteps).find(|stride| timesteps.div_ceil(*stride) == num_steps);
    let Some(stride) = stride else {
        return Err(Error::points(format!(
            "no integer stride visits exactly {num_steps} of {timesteps} timesteps"
        )));
    };
    Ok(reversed((0..timesteps).step_by(stride)))
}

fn reversed(
    ascending: impl IntoIterator<Item = usize, IntoIter: DoubleEndedIterator>,
) -> Vec<usize> {
    ascending.into_iter().rev().collect()
}

fn check(timesteps: usize, num_steps: usize) -> Result<(), Error> {
    if (1..=timesteps).contains(&num_steps) {
        return Ok(());
    }
    Err(Error::num_steps(format!("num_steps must be in 1..={timesteps}, got {num_steps}")))
}

/// Computes round(linspace(0, √(0.8 T), S)²), ascending.
fn squares(timesteps: usize, num_steps: usize) -> Vec<usize> {
    linspace(0.0, (0.8 * timesteps as f64).sqrt(), num_steps)
        .into_iter()
        .map(|root| (root * root).round_ties_even() as usize)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_three_spacings_start_where_the_field_says() {
        let first = |grid: Result<Vec<usize>, Error>| grid.unwrap()[0];
        assert_eq!(first(leading(1000, 50, 0)), 980);
        assert_eq!(first(trailing(1000, 50)), 999);
        assert_eq!(first(linspace_of(1000, 50)), 999);
        assert_eq!(first(quadratic(1000, 50)), 800);
    }

    #[test]
    fn trailing_ten_of_a_thousand_is_the_published_list() {
        let grid = trailing(1000, 10).unwrap();
        assert_eq!(grid, [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]);
    }

    #[test]
    fn sections_are_evenly_spread_parts() {
        assert_eq!(sections(12, &[2, 3]).unwrap(), [11, 8, 6, 5, 0]);
        assert_eq!(sections(1000, &[10, 15, 20]).unwrap().len(), 45);
        // Ten times 49.95 is 499.5, and 499.49999999999994 when it is added up.
        assert_eq!(sections(1000, &[21]).unwrap()[10], 499);
        assert!(sections(10, &[6, 6]).unwrap_err().to_string().contains("section 0"));
        assert!(sections(10, &[]).is_err());
    }

    #[test]
    fn a_ddim_stride_visits_exactly_the_requested_number() {
        assert_eq!(ddim_stride(1000, 25).unwrap(), leading(1000, 25, 0).unwrap());
        assert!(ddim_stride(1000, 600).unwrap_err().to_string().contains("no integer stride"));
    }

    proptest! {
        #[test]
        fn every_rule_gives_num_steps_decreasing_timesteps(
            timesteps in 2usize..1200,
            fraction in 0.0f64..1.0,
        ) {
            let num_steps = 1 + (fraction * (timesteps - 1) as f64) as usize;
            let plain_leading = |timesteps, steps| leading(timesteps, steps, 0);
            for rule in [plain_leading, trailing, linspace_of, quadratic] {
                let got = rule(timesteps, num_steps).unwrap();
                prop_assert_eq!(got.len(), num_steps);
                prop_assert!(got[0] < timesteps);
                prop_assert!(got.windows(2).all(|pair| pair[1] < pair[0]), "{:?}", got);
            }
        }

        #[test]
        fn too_few_or_too_many_steps_are_refused(timesteps in 2usize..50) {
            let plain_leading = |timesteps, steps| leading(timesteps, steps, 0);
            for rule in [plain_leading, trailing, linspace_of, quadratic] {
                prop_assert!(rule(timesteps, 0).is_err());
                prop_assert!(rule(timesteps, timesteps + 1).is_err());
            }
        }
    }
}

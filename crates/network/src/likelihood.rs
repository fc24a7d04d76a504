//! Log-likelihoods of normal distributions and of 8-bit pixels, per element and in nats.
//!
//! They make up the variational bound, in training (f32) and in evaluation (f64). A function's
//! arguments are tensors of one type whose shapes broadcast to that of the result.

use std::f64::consts::PI;

use tch::Tensor;

/// Least probability of a bin, so that its logarithm exists.
const FLOOR: f64 = 1e-12;

/// Half the width of one of 256 bins of [−1, 1].
const HALF_BIN: f64 = 1.0 / 255.0;

/// Returns KL(N(m₁, v₁) ‖ N(m₂, v₂)) per element, in nats.
///
/// * `m_1`, `m_2`: the means; `ln_v_1`, `ln_v_2`: the logarithms of the variances.
pub fn gaussian_kl(m_1: &Tensor, ln_v_1: &Tensor, m_2: &Tensor, ln_v_2: &Tensor) -> Tensor {
    let shift = (m_1 - m_2).square() * (-ln_v_2).exp();
    0.5f64 * (ln_v_2 - ln_v_1 + (ln_v_1 - ln_v_2).exp() + shift - 1.0)
}

/// Returns −ln N(x; mean, variance) per element, in nats.
pub fn gaussian_nll(x: &Tensor, mean: &Tensor, ln_variance: &Tensor) -> Tensor {
    0.5f64 * ((2.0 * PI).ln() + ln_variance + (x - mean).square() * (-ln_variance).exp())
}

/// Returns −ln of the probability of x's bin under N(mean, variance), per element, in nats.
///
/// * `x`: one of the 256 levels of [−1, 1]. The outer bins are open.
///
/// # Source
///
/// Ho et al. 2020, equation 13, <https://arxiv.org/abs/2006.11239>.
pub fn discretised_nll(x: &Tensor, mean: &Tensor, ln_variance: &Tensor) -> Tensor {
    let inverse = (ln_variance * -0.5f64).exp();
    let below = |edge: f64| normal_cdf(&((x - mean + edge) * &inverse));
    let (upper, lower) = (below(HALF_BIN), below(-HALF_BIN));
    let inner = (&upper - &lower).clamp_min(FLOOR).log();
    let to_the_left = upper.clamp_min(FLOOR).log();
    let to_the_right = (1.0f64 - lower).clamp_min(FLOOR).log();
    let ln = to_the_right.where_self(&x.gt(0.999), &inner);
    -to_the_left.where_self(&x.lt(-0.999), &ln)
}

/// Approximates the standard normal distribution function by tanh, as the DDPM authors' code does.
fn normal_cdf(z: &Tensor) -> Tensor {
    let cubic = z + 0.044_715f64 * z.pow_tensor_scalar(3);
    0.5f64 * (1.0 + (cubic * (2.0 / PI).sqrt()).tanh())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[f64]) -> Tensor {
        Tensor::from_slice(values)
    }

    fn number(tensor: &Tensor) -> f64 {
        tensor.double_value(&[0])
    }

    #[test]
    fn the_bins_of_pictures_have_probabilities_that_add_up_to_one() {
        let mean = Tensor::from_slice(&[0.3f32]);
        for ln_variance in [-8.0f32, -2.0, 1.0] {
            let ln_variance = Tensor::from_slice(&[ln_variance]);
            let sum: f64 = (0..256)
                .map(|level| Tensor::from_slice(&[level as f32 / 127.5 - 1.0]))
                .map(|x| (-discretised_nll(&x, &mean, &ln_variance)).exp().double_value(&[0]))
                .sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
    }

    #[test]
    fn equal_gaussians_do_not_diverge_and_others_do_by_the_textbook_formula() {
        let (mean, ln_variance) = (row(&[0.5]), row(&[-1.5]));
        assert_eq!(number(&gaussian_kl(&mean, &ln_variance, &mean, &ln_variance)), 0.0);

        // KL(N(1, 1) ‖ N(−1, 4)) = ln 2 + (1 + 2²) / (2 · 4) − 1/2.
        let (other, wide) = (row(&[-1.0]), row(&[4f64.ln()]));
        let kl = number(&gaussian_kl(&row(&[1.0]), &row(&[0.0]), &other, &wide));
        assert!((kl - (2f64.ln() + 0.125)).abs() < 1e-12, "{kl}");
    }

    #[test]
    fn the_density_of_a_gaussian_is_that_of_its_formula() {
        // At one standard deviation of 2 from the mean: ½ ln 2π + ln 2 + ½.
        let nll = number(&gaussian_nll(&row(&[3.0]), &row(&[1.0]), &row(&[4f64.ln()])));
        assert!((nll - (0.5 * (2.0 * PI).ln() + 2f64.ln() + 0.5)).abs() < 1e-12, "{nll}");
    }

    #[test]
    fn a_narrow_bin_has_its_width_times_the_density() {
        let (x, mean, ln_variance) = (row(&[25.0 / 127.5 - 1.0]), row(&[-0.6]), row(&[0.0]));
        let bin = number(&discretised_nll(&x, &mean, &ln_variance));
        let density = number(&gaussian_nll(&x, &mean, &ln_variance));
        // tanh approximates the distribution function; here that costs 0.01 % of the probability.
        assert!((bin - (density - (2.0 * HALF_BIN).ln())).abs() < 1e-3, "{bin} for {density}");
    }
}

//! UniPC: a corrector that uses the eval which the next predictor needs anyway.

use super::multistep::leave_pure_noise;
use super::step::X_0;
use super::{Denoiser, Facts, Method, SamplerOption, Step, UniPcVariant};
use crate::{Error, Grid, Mix, Point, Push};

/// Corrector of the last step and predictor of the next in one row: 1 eval per
/// step. The anchor y is the corrected state. A step out of pure noise is DDIM's, and
/// what it arrives at is not corrected.
///
/// # Source
///
/// Zhao et al. 2023, algorithms 5 to 8 in the prediction of x_0,
/// <https://arxiv.org/abs/2302.04867>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniPc {
    /// 1, 2 or 3: of the predictor. With the corrector it is one more.
    pub order: u32,
    /// B(h).
    pub variant: UniPcVariant,
    /// Whether the order falls with the steps that are left.
    pub lower_order_final: bool,
}

impl UniPc {
    /// Of order 2, with B(h) = e^(−h) − 1.
    pub const DEFAULT: Self =
        Self { order: 2, variant: UniPcVariant::Bh2, lower_order_final: false };
}

impl Method for UniPc {
    fn facts(&self) -> Facts {
        Facts { divides_by_steps: self.order > 1, ..Facts::multistep("unipc", "unipc") }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![
            SamplerOption::count("order", &mut self.order, 1..=3),
            SamplerOption::choice("variant", &mut self.variant),
            SamplerOption::flag("lower-order-final", &mut self.lower_order_final),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let (mut steps, grid) = leave_pure_noise(denoiser, grid)?;
        let points = grid.points();
        let step = |(k, (from, to)): (usize, (Point, Point))| {
            let mut row = denoiser.row(&from)?;
            row.push = Some(Push { x_0: 1.0, ..Push::default() });
            row.y = match k {
                0 => Mix { u: 1.0, ..Mix::ZERO },
                _ => self.corrector(&points[..=k], self.order_at(k - 1, points.len())),
            };
            row.u = match to.is_data() {
                true => X_0,
                false => self.predictor(&points[..=k], &to, self.order_at(k, points.len()), row.y),
            };
            Ok(Step { from, to, rows: vec![row] })
        };
        let behind: Result<Vec<Step>, Error> = grid.intervals().enumerate().map(step).collect();
        steps.extend(behind?);
        Ok(steps)
    }
}

/// The half-step from the point `from` to `to` that both share:
/// x' = (σ'/σ) x − α' (e^(−h) − 1) m_0 − α' B(h) Σ_j (ρ_j/r_j) (m_j − m_0).
struct HalfStep {
    /// σ'/σ.
    of_x: f64,
    /// Of m_0.
    of_m_0: f64,
    /// Of each other prediction m_j.
    of_m: Vec<f64>,
}

impl UniPc {
    /// The order of the step that begins at point k.
    fn order_at(self, k: usize, num_steps: usize) -> usize {
        let order = self.order as usize;
        let most = if self.lower_order_final { num_steps - k } else { order };
        order.min(k + 1).min(most)
    }

    /// The state at the last of the `points`, corrected by the prediction there.
    fn corrector(self, points: &[Point], order: usize) -> Mix {
        let [.., from, to] = points else { return Mix { u: 1.0, ..Mix::ZERO } };
        let h = to.lambda() - from.lambda();
        // Those before `from`, and the present one at r = 1.
        let mut ratios = self.history_ratios(&points[..points.len() - 1], h, order);
        ratios.push(1.0);
        let step = self.half_step(from, to, h, &ratios, order);
        let (present, history) = (step.of_m[order - 1], &step.of_m[..order - 1]);
        let mut mix = Mix { y: step.of_x, x_0: present, ..Mix::ZERO };
        mix.h[0] = step.of_m_0;
        mix.h[1..order].copy_from_slice(history);
        mix
    }

    /// The state at `to` from the corrected one at the last of the `points`.
    fn predictor(self, points: &[Point], to: &Point, order: usize, corrected: Mix) -> Mix {
        let from = &points[points.len() - 1];
        let h = to.lambda() - from.lambda();
        let ratios = self.history_ratios(points, h, order);
        let step = self.half_step(from, to, h, &ratios, order - 1);
        let mut mix = corrected.scaled(step.of_x);
        mix.x_0 += step.of_m_0;
        for (h, of_m) in mix.h.iter_mut().zip(&step.of_m) {
            *h += of_m;
        }
        mix
    }

    /// r_j = (λ_j − λ_from)/h of the order − 1 points before the last, latest
    /// first.
    fn history_ratios(self, points: &[Point], h: f64, order: usize) -> Vec<f64> {
        let [earlier @ .., from] = points else { return Vec::new() };
        let latest = earlier.iter().rev().take(order - 1);
        latest.map(|point| (point.lambda() - from.lambda()) / h).collect()
    }

    /// * `ratios`: r_j of the other predictions, one per equation.
    fn half_step(
        self,
        from: &Point,
        to: &Point,
        h: f64,
        ratios: &[f64],
        equations: usize,
    ) -> HalfStep {
        let b_h = match self.variant {
            UniPcVariant::Bh1 => -h,
            UniPcVariant::Bh2 => (-h).exp_m1(),
        };
        let weights = self.weights(h, b_h, ratios, equations);
        let of_m: Vec<f64> =
            weights.iter().zip(ratios).map(|(rho, r)| -to.alpha * b_h * rho / r).collect();
        let of_m_0 = -to.alpha * (-h).exp_m1() - of_m.iter().sum::<f64>();
        HalfStep { of_x: to.sigma / from.sigma, of_m_0, of_m }
    }

    /// The ρ_j with Σ_j ρ_j r_j^(k−1) = b_k, k = 1 … n; ½ where there is one, as
    /// published.
    fn weights(self, h: f64, b_h: f64, ratios: &[f64], equations: usize) -> Vec<f64> {
        match equations {
            0 => Vec::new(),
            1 => vec![0.5],
            _ => {
                let right: Vec<f64> = (1..=equations).map(|k| phi_term(h, k) / b_h).collect();
                vandermonde_solve(ratios, &right)
            }
        }
    }
}

/// k! ψ_k with ψ_1 = (e^(−h) − 1)/(−h) − 1 and ψ_(k+1) = ψ_k/(−h) − 1/(k+1)!.
fn phi_term(h: f64, k: usize) -> f64 {
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    if h.abs() < 1.0 {
        // ψ_k = Σ_(n≥1) (−h)^n/(n + k)!, where the recursion cancels.
        let mut term = 1.0 / factorial(k);
        let mut sum = 0.0;
        for n in 1..24 {
            term *= -h / (n + k) as f64;
            sum += term;
        }
        return factorial(k) * sum;
    }
    let first = (-h).exp_m1() / -h - 1.0;
    let psi = (1..k).fold(first, |psi, k| psi / -h - 1.0 / factorial(k + 1));
    factorial(k) * psi
}

/// Solves Σ_j x_j r_j^(k−1) = b_k for k = 1 … n, n at most 3: by elimination of
/// the first unknowns.
fn vandermonde_solve(r: &[f64], b: &[f64]) -> Vec<f64> {
    match (r, b) {
        ([r1, r2], [b1, b2]) => {
            let x2 = (b2 - r1 * b1) / (r2 - r1);
            vec![b1 - x2, x2]
        }
        ([r1, r2, r3], [b1, b2, b3]) => {
            // Newton's form: subtract r1 times the row above, then r2 times.
            let (c2, c3) = (b2 - r1 * b1, b3 - r1 * b2);
            let x3 = (c3 - r2 * c2) / ((r3 - r1) * (r3 - r2));
            let x2 = (c2 - x3 * (r3 - r1)) / (r2 - r1);
            vec![b1 - x2 - x3, x2, x3]
        }
        _ => unreachable!("UniPC has at most three equations, and as many ratios"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_are_solved() {
        let r = [-0.7, -1.9, 1.0];
        for n in 2..=3 {
            let b = [0.3, -0.2, 0.9];
            let x = vandermonde_solve(&r[..n], &b[..n]);
            for (k, b) in b[..n].iter().enumerate() {
                let sum: f64 = x.iter().zip(&r).map(|(x, r)| x * r.powi(k as i32)).sum();
                assert!((sum - b).abs() < 1e-14);
            }
        }
    }

    #[test]
    fn the_series_agrees_with_the_recursion() {
        for k in 1..=3 {
            let (below, above) = (phi_term(0.999_999_999, k), phi_term(1.000_000_001, k));
            assert!((below - above).abs() < 1e-8, "{k}: {below} {above}");
        }
    }
}

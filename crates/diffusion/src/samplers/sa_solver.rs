//! SA-Solver: a stochastic Adams predictor with a corrector.

use super::euler::euler_mix;
use super::multistep::{exponential_moments, integrals_of_lagrange};
use super::step::{X_0, one_row_per_step};
use super::{Denoiser, Facts, Method, SamplerOption, Step};
use crate::{Error, Grid, Mix, Point, Push};

/// The SDE whose noise is τ times that of the reverse process, by Adams–Bashforth steps that
/// Adams–Moulton's correct: 1 eval per step.
///
/// With h = λ' − λ and k = 1 + τ², in λ = ln(α/σ), an interval is crossed by
///
/// ```text
/// x' = (σ'/σ) e^(−τ²h) x + α' ∫ k e^(−k(λ'−s)) x_0(s) ds + σ' √(1 − e^(−2τ²h)) z
/// ```
///
/// with the polynomial through the last predictions for x_0(s), integrated exactly. The corrector
/// takes the same step from the same state with the same z, once the prediction at λ' is known. So
/// it adds the difference of the two integrals to the predicted state, which one row does before it
/// predicts the next. The last step is to x_0. A step out of pure noise is the limit of order 1,
/// and what it arrives at is not corrected.
///
/// # Source
///
/// Xue et al. 2023, equations 15 (predictor) and 18 (corrector) in the prediction of x_0, with a
/// constant τ, <https://arxiv.org/abs/2309.05019>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaSolver {
    /// 1, 2 or 3: predictions that the predictor uses.
    pub predictor_order: u32,
    /// Predictions that the corrector uses, the new one included; 0: there is no corrector. At most
    /// 4, which reads the three of the history.
    pub corrector_order: u32,
    /// Noise relative to the reverse process's, in [0, 2]; 0 is the ODE.
    pub tau: f64,
    /// Whether the orders fall with the steps that are left.
    pub lower_order_final: bool,
}

impl SaSolver {
    /// Of orders 2 and 2, with all of the noise.
    pub const DEFAULT: Self =
        Self { predictor_order: 2, corrector_order: 2, tau: 1.0, lower_order_final: false };
}

impl Method for SaSolver {
    fn facts(&self) -> Facts {
        Facts {
            divides_by_steps: self.predictor_order.max(self.corrector_order) > 1,
            ..Facts::multistep("sa-solver", "sa_solver")
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![
            SamplerOption::count("predictor-order", &mut self.predictor_order, 1..=3),
            SamplerOption::count("corrector-order", &mut self.corrector_order, 0..=4),
            SamplerOption::number("tau", &mut self.tau, 0.0..=2.0),
            SamplerOption::flag("lower-order-final", &mut self.lower_order_final),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let (first, grid) = grid.leave_pure_noise();
        let leave = first.map(|(from, to)| {
            let mut row = denoiser.row(&from)?;
            row.u = self.out_of_pure_noise(&from, &to);
            Ok(Step { from, to, rows: vec![row] })
        });
        let mut steps: Vec<Step> = leave.transpose()?.into_iter().collect();
        let points = grid.points();
        let behind = one_row_per_step(&grid, |k, from, to| {
            let mut row = denoiser.row(&from)?;
            row.push = Some(Push { x_0: 1.0, ..Push::default() });
            row.u = match to.is_data() {
                true => X_0,
                false => self.predicted(&points[..=k], &to, points.len()),
            };
            Ok(row)
        });
        steps.extend(behind?);
        Ok(steps)
    }
}

impl SaSolver {
    /// The predictor's order in the step that begins at point k.
    fn predictor_order_at(self, k: usize, num_steps: usize) -> usize {
        self.lowered(self.predictor_order as usize, k, num_steps).min(k + 1)
    }

    /// The corrector's order in the step that begins at point k.
    fn corrector_order_at(self, k: usize, num_steps: usize) -> usize {
        self.lowered(self.corrector_order as usize, k, num_steps + 1).min(k + 2)
    }

    fn lowered(self, order: usize, k: usize, num_steps: usize) -> usize {
        if self.lower_order_final { order.min(num_steps - k) } else { order }
    }

    /// The limit of order 1 as α → 0, where h → ∞.
    fn out_of_pure_noise(self, from: &Point, to: &Point) -> Mix {
        match self.tau {
            0.0 => euler_mix(from, to),
            // However small its share, the noise has had forever to replace the old.
            _ => Mix { x_0: to.alpha, z: to.sigma, ..Mix::ZERO },
        }
    }

    /// The state at the last of the `points`, corrected by the prediction there.
    fn corrected(self, points: &[Point], num_steps: usize) -> Mix {
        let mut mix = Mix { u: 1.0, ..Mix::ZERO };
        let [earlier @ .., to] = points else { return mix };
        let Some(k) = earlier.len().checked_sub(1) else { return mix };
        let order = self.corrector_order_at(k, num_steps);
        if order == 0 {
            return mix;
        }
        let predictor = self.predictor(earlier, to, self.predictor_order_at(k, num_steps));
        let [present, corrector @ ..] = self.corrector(earlier, to, order);
        mix.x_0 = present;
        for (h, (corrector, predictor)) in mix.h.iter_mut().zip(corrector.iter().zip(predictor)) {
            *h = corrector - predictor;
        }
        mix
    }

    /// The state at `to`, from the corrected one at the last of the `points`.
    fn predicted(self, points: &[Point], to: &Point, num_steps: usize) -> Mix {
        let k = points.len() - 1;
        let from = &points[k];
        let decay = self.tau * self.tau * (to.lambda() - from.lambda());
        let mut mix =
            self.corrected(points, num_steps).scaled(to.sigma / from.sigma * (-decay).exp());
        let order = self.predictor_order_at(k, num_steps);
        let [present, earlier @ ..] = self.predictor(points, to, order);
        mix.x_0 += present;
        for (h, weight) in mix.h.iter_mut().zip(earlier) {
            *h += weight;
        }
        mix.z = to.sigma * (-(-2.0 * decay).exp_m1()).max(0.0).sqrt();
        mix
    }

    /// The weights of the predictions at the last `order` of the `points`, latest first, in the
    /// step from there `to` the next point.
    fn predictor(self, points: &[Point], to: &Point, order: usize) -> [f64; 4] {
        let [earlier @ .., from] = points else { return [0.0; 4] };
        let end = self.stretched(from, to);
        let moment = exponential_moments(end);
        let nodes = earlier.iter().rev().take(order - 1);
        let nodes = nodes.map(|point| self.stretched(from, point)).collect();
        let scale = to.alpha * (-end).exp();
        integrals_of_lagrange(nodes, |power| scale * moment(power))
    }

    /// The weights of the predictions at `to` and at the last `order` − 1 of the `points`, latest
    /// first, in the same step.
    fn corrector(self, points: &[Point], to: &Point, order: usize) -> [f64; 4] {
        let Some(from) = points.last() else { return [0.0; 4] };
        let moment = exponential_moments(self.stretched(to, from));
        let nodes = points.iter().rev().take(order - 1);
        let nodes = nodes.map(|point| self.stretched(to, point)).collect();
        integrals_of_lagrange(nodes, |power| -to.alpha * moment(power))
    }

    /// k (λ_b − λ_a): in this variable the integral is that of e^v, whatever τ is.
    fn stretched(self, a: &Point, b: &Point) -> f64 {
        (1.0 + self.tau * self.tau) * (b.lambda() - a.lambda())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::{Form, SdeDpmSolverPp};
    use crate::{Clip, Edm, GridSpec, Parameterisation};

    fn points(sigmas: &[f64]) -> Vec<Point> {
        let process = Parameterisation::edm(Edm::PAPER).process;
        sigmas.iter().map(|sigma| process.at_rho(*sigma).unwrap()).collect()
    }

    #[test]
    fn predictor_and_corrector_integrate_polynomials_of_their_order_exactly() {
        let points = points(&[8.0, 3.0, 1.7, 0.6, 0.4]);
        let [.., from, to] = &points[..] else { unreachable!() };
        let f = |lambda: f64| 0.3 - lambda + 0.5 * lambda * lambda;
        let solver = SaSolver { tau: 0.7, ..SaSolver::DEFAULT };
        // ∫ k e^(−k(λ'−s)) f(s) ds by the midpoint rule.
        let (n, k) = (20_000, 1.0 + 0.7 * 0.7);
        let h = (to.lambda() - from.lambda()) / f64::from(n);
        let at = |i: i32| from.lambda() + h * (f64::from(i) + 0.5);
        let weight = |s: f64| k * h * (-k * (to.lambda() - s)).exp();
        let want: f64 = (0..n).map(|i| weight(at(i)) * f(at(i))).sum::<f64>() * to.alpha;
        let of_points = points.iter().rev().map(|point| f(point.lambda()));
        let sum = |weights: [f64; 4], skip: usize| -> f64 {
            weights.iter().zip(of_points.clone().skip(skip)).map(|(w, f)| w * f).sum()
        };
        let predicted = sum(solver.predictor(&points[..4], to, 3), 1);
        assert!((predicted - want).abs() < 1e-8, "{predicted} against {want}");
        for order in [3, 4] {
            let corrected = sum(solver.corrector(&points[..4], to, order), 0);
            assert!((corrected - want).abs() < 1e-8, "{corrected} against {want}");
        }
    }

    #[test]
    fn without_a_corrector_orders_1_and_2_are_those_of_the_dpm_solver_for_the_sde() {
        let network = Parameterisation::edm(Edm::PAPER);
        let spec = GridSpec::Sigmas(vec![9.0, 4.0, 2.5, 0.8, 0.3, 0.0]);
        let grid = spec.grid(&network.process, 5).unwrap();
        let denoiser = Denoiser { network: &network, clip: Clip::None, guidance: None };
        for order in [1, 2] {
            let solver = SaSolver {
                predictor_order: order,
                corrector_order: 0,
                tau: 0.8,
                lower_order_final: false,
            };
            let sde = SdeDpmSolverPp { order, form: Form::Heun, eta: 0.8 * 0.8 };
            let [ours, theirs] =
                [solver.steps(&denoiser, &grid), sde.steps(&denoiser, &grid)].map(Result::unwrap);
            for (ours, theirs) in ours.iter().zip(&theirs) {
                let [ours, theirs] = [ours, theirs].map(|step| step.rows[0].u.coefficients());
                let off = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(off < 1e-13, "{ours:?} and {theirs:?}");
            }
        }
    }

    #[test]
    fn orders_rise_with_the_history_and_fall_with_the_steps_that_are_left() {
        let solver = SaSolver { predictor_order: 3, corrector_order: 4, ..SaSolver::DEFAULT };
        let lowered = SaSolver { lower_order_final: true, ..solver };
        let orders = |solver: SaSolver| -> Vec<(usize, usize)> {
            let orders = |k| (solver.predictor_order_at(k, 8), solver.corrector_order_at(k, 8));
            (0..8).map(orders).collect()
        };
        let start = [(1, 2), (2, 3), (3, 4), (3, 4), (3, 4)];
        assert_eq!(orders(solver), [&start[..], &[(3, 4); 3]].concat());
        assert_eq!(orders(lowered), [&start[..], &[(3, 4), (2, 3), (1, 2)]].concat());
        let none = SaSolver { corrector_order: 0, ..lowered };
        assert!(orders(none).iter().all(|(_, corrector)| *corrector == 0));
    }
}

//! DPM-Solver++: multistep exponential integrators in the prediction of x_0.
//!
//! In λ = ln(α/σ) the ODE is linear in x with x_0 as its input. An order-p solver
//! integrates exactly the polynomial in λ through the last p predictions; with
//! h = λ' − λ and k = 1 + η (η = 0: the ODE, 1: the SDE of Lu et al.)
//!
//! ```text
//! x' = (σ'/σ) e^(−ηh) x + α' (1 − e^(−kh)) x_0 + …differences… + σ' √(1 − e^(−2ηh)) z
//! ```

use super::euler::euler_mix;
use super::step::{X_0, one_row_per_step};
use super::{Denoiser, Facts, Form, Method, SamplerOption, Step};
use crate::{Error, Grid, Mix, Point, Push};

/// The ODE: 1 eval per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DpmSolverPp {
    /// 1, 2 or 3. As published, 3 converges with order 2: see [`DpmSolverPp3Corrected`].
    pub order: u32,
    /// Of the difference at order 2.
    pub form: Form,
    /// Whether the order falls with the steps that are left.
    pub lower_order_final: bool,
}

impl DpmSolverPp {
    /// Of order 2.
    pub const DEFAULT: Self = Self { order: 2, form: Form::Midpoint, lower_order_final: false };
}

impl Method for DpmSolverPp {
    fn facts(&self) -> Facts {
        Facts { divides_by_steps: self.order > 1, ..Facts::multistep("dpm++", "dpm_solver_pp") }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![
            SamplerOption::count("order", &mut self.order, 1..=3),
            SamplerOption::choice("form", &mut self.form),
            SamplerOption::flag("lower-order-final", &mut self.lower_order_final),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let Self { order, form, lower_order_final } = *self;
        let order = order as usize;
        dpm_solver_pp(
            denoiser,
            grid,
            DpmSolver { order, form, lower_order_final, ..DpmSolver::ODE },
        )
    }
}

/// The ODE of order 3 with the whole second difference, so that it is of order 3:
/// 1 eval per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DpmSolverPp3Corrected;

impl DpmSolverPp3Corrected {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for DpmSolverPp3Corrected {
    fn facts(&self) -> Facts {
        Facts {
            divides_by_steps: true,
            ..Facts::multistep("dpm++-3-corrected", "dpm_solver_pp3_corrected")
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        // With the line through two predictions integrated exactly, as is the
        // parabola through three.
        let options = DpmSolver { order: 3, form: Form::Heun, corrected: true, ..DpmSolver::ODE };
        dpm_solver_pp(denoiser, grid, options)
    }
}

/// The SDE: 1 eval per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SdeDpmSolverPp {
    /// 1 or 2.
    pub order: u32,
    /// Of the difference at order 2.
    pub form: Form,
    /// Share of the noise, in [0, 1].
    pub eta: f64,
}

impl SdeDpmSolverPp {
    /// Of order 2, with all of the noise.
    pub const DEFAULT: Self = Self { order: 2, form: Form::Midpoint, eta: 1.0 };
}

impl Method for SdeDpmSolverPp {
    fn facts(&self) -> Facts {
        Facts {
            divides_by_steps: self.order > 1,
            ..Facts::multistep("sde-dpm++", "sde_dpm_solver_pp")
        }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![
            SamplerOption::count("order", &mut self.order, 1..=2),
            SamplerOption::choice("form", &mut self.form),
            SamplerOption::number("eta", &mut self.eta, 0.0..=1.0),
        ]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let Self { order, form, eta } = *self;
        let order = order as usize;
        dpm_solver_pp(denoiser, grid, DpmSolver { order, form, eta, ..DpmSolver::ODE })
    }
}

/// What the solvers here differ in.
#[derive(Debug, Clone, Copy)]
struct DpmSolver {
    /// 1, 2 or 3.
    order: usize,
    /// Of the first difference at order 2.
    form: Form,
    /// Share of the noise.
    eta: f64,
    /// Whether the order falls with the steps that are left.
    lower_order_final: bool,
    /// Whether order 3 has the whole second difference, see [`DpmSolver::third_order`].
    corrected: bool,
}

/// All of them: 1 eval per step; the last step to the data is x_0. From pure noise, where λ is
/// −∞, the first step is of order 1 in its limit, and the history begins behind it.
///
/// # Source
///
/// Lu et al. 2022, DPM-Solver++, algorithms 2 and 3 and appendix B,
/// <https://arxiv.org/abs/2211.01095>; with noise for any η as k-diffusion's
/// `sample_dpmpp_2m_sde`.
fn dpm_solver_pp(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    options: DpmSolver,
) -> Result<Vec<Step>, Error> {
    let noise = usize::from(grid.points()[0].is_pure_noise());
    let points = &grid.points()[noise..];
    one_row_per_step(grid, |k, from, to| {
        let mut row = denoiser.row(&from)?;
        if from.is_pure_noise() {
            row.u = options.out_of_pure_noise(&from, &to);
            return Ok(row);
        }
        let k = k - noise;
        row.push = Some(Push { x_0: 1.0, ..Push::default() });
        if to.is_data() {
            row.u = X_0;
            return Ok(row);
        }
        let order = options.order_at(k, points.len());
        let earlier = points[k + 1 - order..k].iter().rev();
        let earlier: Vec<f64> = earlier.map(Point::lambda).collect();
        row.u = options.mix(&from, &to, &earlier);
        Ok(row)
    })
}

impl DpmSolver {
    const ODE: Self = Self {
        order: 1,
        form: Form::Midpoint,
        eta: 0.0,
        lower_order_final: false,
        corrected: false,
    };

    /// The order of step k, limited by the predictions so far and, where it falls at
    /// the end, by the steps that are left.
    fn order_at(self, k: usize, num_steps: usize) -> usize {
        let most = if self.lower_order_final { num_steps - k } else { self.order };
        self.order.min(k + 1).min(most)
    }

    /// The limit of order 1 as α → 0, where h → ∞.
    fn out_of_pure_noise(self, from: &Point, to: &Point) -> Mix {
        match self.eta {
            0.0 => euler_mix(from, to),
            // However small its share, the noise has had forever to replace the old.
            _ => Mix { x_0: to.alpha, z: to.sigma, ..Mix::ZERO },
        }
    }

    fn mix(self, from: &Point, to: &Point, earlier: &[f64]) -> Mix {
        let h = to.lambda() - from.lambda();
        let k = 1.0 + self.eta;
        let decay = (-self.eta * h).exp();
        let mut mix = Mix {
            u: to.sigma / from.sigma * decay,
            x_0: -to.alpha * (-k * h).exp_m1(),
            z: to.sigma * (-(-2.0 * self.eta * h).exp_m1()).max(0.0).sqrt(),
            ..Mix::ZERO
        };
        let differences = match earlier {
            [] => return mix,
            [second] => self.second_order(k * h, (from.lambda() - second) / h),
            [second, third, ..] => {
                let (r0, r1) = ((from.lambda() - second) / h, (second - third) / h);
                self.third_order(k * h, r0, r1)
            }
        };
        mix.x_0 += to.alpha * differences[0];
        mix.h[0] = to.alpha * differences[1];
        mix.h[1] = to.alpha * differences[2];
        mix
    }

    /// The weights of x_0, H1 and H2 that the slope through two predictions adds.
    fn second_order(self, kh: f64, r0: f64) -> [f64; 3] {
        let slope = match self.form {
            Form::Midpoint => -(-kh).exp_m1() / 2.0,
            Form::Heun => first_moment(kh),
        };
        [slope / r0, -slope / r0, 0.0]
    }

    /// Those of slope and curvature through three predictions.
    ///
    /// With the divided differences D_0 = (x_0 − H1)/r_0 and D_1 = (H1 − H2)/r_1,
    /// the parabola in τ = (λ − λ_t)/h is x_0 + (D_0 + r_0 D_2) τ + D_2 τ² with
    /// D_2 = (D_0 − D_1)/(r_0 + r_1). The integral of τ² is twice what the published
    /// solver takes (it has D_2 for the second derivative, which is 2 D_2), so as
    /// published it is of order 2; `corrected` takes the whole.
    fn third_order(self, kh: f64, r0: f64, r1: f64) -> [f64; 3] {
        let whole = if self.corrected { 2.0 } else { 1.0 };
        let (slope, curvature) = (first_moment(kh), whole * second_moment(kh));
        // slope · (D_0 + r_0 D_2) + curvature · D_2, by D_0 and D_1.
        let of_d2 = (slope * r0 + curvature) / (r0 + r1);
        let (of_d0, of_d1) = (slope + of_d2, -of_d2);
        [of_d0 / r0, -of_d0 / r0 + of_d1 / r1, -of_d1 / r1]
    }
}

/// (e^(−h) − 1)/h + 1: k h ∫ e^(−kh(1−τ)) τ dτ over [0, 1] for h = kh.
fn first_moment(h: f64) -> f64 {
    if h.abs() < 0.5 { series(h, 2) } else { (-h).exp_m1() / h + 1.0 }
}

/// ½ − (e^(−h) − 1 + h)/h²: half of h ∫ e^(−h(1−τ)) τ² dτ over [0, 1].
fn second_moment(h: f64) -> f64 {
    if h.abs() < 0.5 { series(h, 3) } else { 0.5 - ((-h).exp_m1() + h) / (h * h) }
}

/// Σ (−1)^n h^(n+1)/(n + first)!, where the closed forms cancel.
fn series(h: f64, first: u32) -> f64 {
    let mut term = h / f64::from((2..=first).product::<u32>());
    let mut sum = 0.0;
    for n in 0..20 {
        sum += term;
        term *= -h / f64::from(first + 1 + n);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_agree_with_their_series() {
        for h in [0.3f64, 0.499, 1.0, 2.0] {
            let closed = (-h).exp_m1() / h + 1.0;
            assert!((series(h, 2) / closed - 1.0).abs() < 1e-12, "{h}");
            let closed = 0.5 - ((-h).exp_m1() + h) / (h * h);
            assert!((series(h, 3) / closed - 1.0).abs() < 1e-11, "{h}");
        }
    }

    #[test]
    fn a_lowered_end_counts_the_steps_that_are_left_however_many_there_were() {
        let solver = DpmSolver { order: 3, lower_order_final: true, ..DpmSolver::ODE };
        for num_steps in [6, 14, 15, 100] {
            let orders = |range: std::ops::Range<usize>| -> Vec<usize> {
                range.map(|k| solver.order_at(k, num_steps)).collect()
            };
            assert_eq!(orders(0..3), [1, 2, 3]);
            assert_eq!(orders(num_steps - 3..num_steps), [3, 2, 1]);
        }
    }

    #[test]
    fn the_corrected_third_order_integrates_parabolas_exactly() {
        let solver = DpmSolver { order: 3, corrected: true, ..DpmSolver::ODE };
        let (h, r0, r1) = (0.8, 0.7, 1.3);
        let f = |tau: f64| 0.4 - 1.1 * tau + 0.6 * tau * tau;
        let [a, b, c] = solver.third_order(h, r0, r1);
        let got = -(-h).exp_m1() * f(0.0) + a * f(0.0) + b * f(-r0) + c * f(-r0 - r1);
        // ∫ h e^(−h(1−τ)) f(τ) dτ by Simpson's rule.
        let n = 2000;
        let at = |i: usize| {
            let tau = i as f64 / f64::from(n);
            h * (-h * (1.0 - tau)).exp() * f(tau)
        };
        let weight = |i: usize| {
            if i == 0 || i == n as usize {
                1.0
            } else if i % 2 == 1 {
                4.0
            } else {
                2.0
            }
        };
        let want: f64 = (0..=n as usize).map(|i| weight(i) * at(i)).sum::<f64>() / f64::from(3 * n);
        assert!((got - want).abs() < 1e-12, "{got} against {want}");
    }
}

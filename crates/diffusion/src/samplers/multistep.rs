//! Linear multistep solvers of dx/dρ = ε̂ in the coordinates x/α.
//!
//! Each knows the noise estimates of the last points and goes on by a weighted
//! sum of them, u' = (α'/α) u + α' Σ w_j ε̂_j. They differ in the weights; all
//! begin with the lower orders. A step out of pure noise, where ρ is infinite, is
//! DDIM's; they begin behind it.

use super::euler::euler_row;
use super::heun::heun_rows;
use super::step::{X_0, along_eps, one_row_per_step, push_eps};
use super::{Denoiser, Facts, Method, SamplerOption, Step};
use crate::{Error, Grid, Point};

/// The weights of ε̂ and of the last three, given ρ of the present point, of the
/// earlier ones (latest first) and of the next.
type Weights = fn(now: f64, earlier: &[f64], next: f64) -> [f64; 4];

/// Adams–Bashforth with the weights of equal steps: 1 eval per step.
///
/// # Source
///
/// Zhang & Chen 2022, section 3.2 (iPNDM), <https://arxiv.org/abs/2204.13902>, in
/// ρ as in Karras' coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ipndm {
    /// 1 to 4.
    pub order: u32,
}

impl Ipndm {
    /// Of order 4.
    pub const DEFAULT: Self = Self { order: 4 };
}

impl Method for Ipndm {
    fn facts(&self) -> Facts {
        Facts::multistep("ipndm", "ipndm")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![SamplerOption::count("order", &mut self.order, 1..=4)]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let order_to = |_: &Point| self.order as usize;
        solve(denoiser, grid, order_to, |now, earlier, next| {
            adams_bashforth(earlier.len() + 1).map(|weight| weight * (next - now))
        })
    }
}

/// Adams–Bashforth with the weights of the actual steps in ρ: 1 eval per step.
///
/// # Source
///
/// k-diffusion, `sample_lms`, after Katherine Crowson; the integrals are exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lms {
    /// 1 to 4.
    pub order: u32,
}

impl Lms {
    /// Of order 4.
    pub const DEFAULT: Self = Self { order: 4 };
}

impl Method for Lms {
    fn facts(&self) -> Facts {
        Facts { divides_by_steps: self.order > 1, ..Facts::multistep("lms", "lms") }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![SamplerOption::count("order", &mut self.order, 1..=4)]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let order_to = |_: &Point| self.order as usize;
        solve(denoiser, grid, order_to, |now, earlier, next| {
            let nodes = earlier.iter().map(|rho| rho - now).collect();
            integrals_of_lagrange(nodes, |k| (next - now).powi(k as i32 + 1) / (k + 1) as f64)
        })
    }
}

/// As [`Lms`], interpolating in ln ρ: 1 eval per step. A step to the data, where
/// ln ρ is infinite, is of order 1.
///
/// # Source
///
/// Zhang & Chen 2022, equation 15 (tAB-DEIS), with ln ρ as the variable of the
/// polynomials, <https://arxiv.org/abs/2204.13902>.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Deis {
    /// 1, 2 or 3.
    pub order: u32,
}

impl Deis {
    /// Of order 3.
    pub const DEFAULT: Self = Self { order: 3 };
}

impl Method for Deis {
    fn facts(&self) -> Facts {
        Facts { divides_by_steps: self.order > 1, ..Facts::multistep("deis", "deis") }
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        vec![SamplerOption::count("order", &mut self.order, 1..=3)]
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let order_to = |to: &Point| if to.is_data() { 1 } else { self.order as usize };
        solve(denoiser, grid, order_to, |now, earlier, next| {
            // With v = ln(ρ/now), dρ = now e^v dv.
            let nodes = earlier.iter().map(|rho| (rho / now).ln()).collect();
            let weights = integrals_of_lagrange(nodes, exponential_moments((next / now).ln()));
            weights.map(|weight| weight * now)
        })
    }
}

/// Pseudo linear multistep (PLMS): the fourth-order weights on the transfer of
/// DDIM, with an improved Euler step at the start in place of the paper's
/// Runge–Kutta: 1 eval per step, 2 in the first.
///
/// # Source
///
/// Liu et al. 2022, equations 9 and 12, <https://arxiv.org/abs/2202.09778>; the
/// start as in latent diffusion's PLMS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pndm;

impl Pndm {
    /// It has no options.
    pub const DEFAULT: Self = Self;
}

impl Method for Pndm {
    fn facts(&self) -> Facts {
        Facts::multistep("pndm", "pndm")
    }

    fn options(&mut self) -> Vec<SamplerOption<'_>> {
        Vec::new()
    }

    fn steps(&self, denoiser: &Denoiser<'_>, grid: &Grid) -> Result<Vec<Step>, Error> {
        let (mut steps, grid) = leave_pure_noise(denoiser, grid)?;
        let step = |(k, (from, to)): (usize, (Point, Point))| {
            if k == 0 {
                // Its trial pushes ε̂; the second eval is not part of the history.
                return Ok(Step { from, to, rows: heun_rows(denoiser, &from, &to)? });
            }
            let mut row = denoiser.row(&from)?;
            row.push = Some(push_eps(&from));
            let weights = adams_bashforth((k + 1).min(4));
            row.u = along_eps(&from, &to, weights.map(|weight| weight * (to.rho() - from.rho())));
            Ok(Step { from, to, rows: vec![row] })
        };
        let behind: Result<Vec<Step>, Error> = grid.intervals().enumerate().map(step).collect();
        steps.extend(behind?);
        Ok(steps)
    }
}

/// One row per step; each pushes its ε̂.
///
/// * `order_to`: the order of the step to a point, once there are enough before it.
fn solve(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
    order_to: impl Fn(&Point) -> usize,
    weights: Weights,
) -> Result<Vec<Step>, Error> {
    let (mut steps, grid) = leave_pure_noise(denoiser, grid)?;
    let points = grid.points();
    let behind = one_row_per_step(&grid, |k, from, to| {
        let mut row = denoiser.row(&from)?;
        row.push = Some(push_eps(&from));
        let earlier = &points[k.saturating_sub(order_to(&to) - 1)..k];
        let earlier: Vec<f64> = earlier.iter().rev().map(Point::rho).collect();
        row.u = along_eps(&from, &to, weights(from.rho(), &earlier, to.rho()));
        if to.is_data() && earlier.is_empty() {
            row.u = X_0;
        }
        Ok(row)
    })?;
    steps.extend(behind);
    Ok(steps)
}

/// DDIM's step out of pure noise, if the grid begins there, and the grid behind it.
///
/// DDIM is the exponential Euler method, whose weights stay finite as α → 0: the
/// step is the limit of those from less and less data.
pub(crate) fn leave_pure_noise(
    denoiser: &Denoiser<'_>,
    grid: &Grid,
) -> Result<(Vec<Step>, Grid), Error> {
    let (first, behind) = grid.leave_pure_noise();
    let step = first.map(|(from, to)| {
        let rows = vec![euler_row(denoiser, &from, &to)?];
        Ok(Step { from, to, rows })
    });
    Ok((step.transpose()?.into_iter().collect(), behind))
}

/// The weights of equal steps.
fn adams_bashforth(order: usize) -> [f64; 4] {
    match order {
        1 => [1.0, 0.0, 0.0, 0.0],
        2 => [3.0 / 2.0, -1.0 / 2.0, 0.0, 0.0],
        3 => [23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0, 0.0],
        _ => [55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
    }
}

/// For each Lagrange polynomial ℓ_j(v) through 0 and the `earlier` nodes, its
/// integral, given those of the powers of v.
///
/// The variable is counted from the present point, so nothing large cancels.
pub(super) fn integrals_of_lagrange(
    earlier: Vec<f64>,
    of_power: impl Fn(usize) -> f64,
) -> [f64; 4] {
    let nodes: Vec<f64> = [0.0].into_iter().chain(earlier).collect();
    let mut weights = [0.0; 4];
    for (j, weight) in weights.iter_mut().enumerate().take(nodes.len()) {
        let polynomial = lagrange_polynomial(&nodes, j);
        *weight = polynomial.iter().enumerate().map(|(k, c)| c * of_power(k)).sum();
    }
    weights
}

/// The coefficients, lowest power first, of the polynomial that is 1 at node j
/// and 0 at the others.
fn lagrange_polynomial(nodes: &[f64], j: usize) -> Vec<f64> {
    let mut coefficients = vec![1.0];
    for (_, node) in nodes.iter().enumerate().filter(|(other, _)| *other != j) {
        let scale = 1.0 / (nodes[j] - node);
        let mut product = vec![0.0; coefficients.len() + 1];
        for (power, c) in coefficients.iter().enumerate() {
            product[power + 1] += c * scale;
            product[power] -= c * node * scale;
        }
        coefficients = product;
    }
    coefficients
}

/// k ↦ ∫ v^k e^v dv from 0 to `end`.
pub(super) fn exponential_moments(end: f64) -> impl Fn(usize) -> f64 {
    move |k| {
        // By parts the moments cancel near 0, the series does not.
        if end.abs() < 1.0 { moment_by_series(end, k) } else { moment_by_parts(end, k) }
    }
}

fn moment_by_parts(end: f64, k: usize) -> f64 {
    let boundary = |k: usize| end.powi(k as i32) * end.exp();
    (1..=k).fold(end.exp_m1(), |moment, k| boundary(k) - k as f64 * moment)
}

fn moment_by_series(end: f64, k: usize) -> f64 {
    let (mut sum, mut term) = (0.0, end.powi(k as i32 + 1));
    for n in 0..24 {
        sum += term / (n + k + 1) as f64;
        term *= end / (n + 1) as f64;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_agree_whichever_way_they_are_computed() {
        for end in [-0.999_f64, -0.5, 0.7] {
            for k in 0..4 {
                let (series, parts) = (moment_by_series(end, k), moment_by_parts(end, k));
                assert!((series - parts).abs() < 1e-14, "{end} {k}: {series} against {parts}");
            }
        }
    }

    #[test]
    fn the_weights_integrate_polynomials_exactly() {
        // f(v) = 1 + v − 2v² through 0, 0.4 and 1, integrated to −0.5.
        let f = |v: f64| 1.0 + v - 2.0 * v * v;
        let end = -0.5f64;
        let weights =
            integrals_of_lagrange(vec![0.4, 1.0], |k| end.powi(k as i32 + 1) / (k + 1) as f64);
        let got = weights[0] * f(0.0) + weights[1] * f(0.4) + weights[2] * f(1.0);
        let want = end + end.powi(2) / 2.0 - 2.0 * end.powi(3) / 3.0;
        assert!((got - want).abs() < 1e-15);
    }
}

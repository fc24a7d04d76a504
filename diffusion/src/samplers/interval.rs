//! What all samplers share: the quantities of one interval t → s of a grid.

use crate::{
    Clip, Error, Label, Parameterization, Program, RawVariance, Row, Schedule, Variance, X0Rule,
};

/// One interval of a grid, from t to s < t, or to x_0 where ᾱ_s = 1.
///
/// `alpha` is ᾱ_t/ᾱ_s and `beta` is 1 − alpha: the forward step of the chain
/// that visits only the grid's timesteps.
pub(crate) struct Interval {
    pub(crate) alpha_bar: f64,
    pub(crate) alpha_bar_end: f64,
    pub(crate) alpha: f64,
    pub(crate) beta: f64,
}

impl Interval {
    pub(crate) fn new(schedule: &Schedule, t: usize, end: Option<usize>) -> Self {
        let alpha_bar = schedule.alphas_cumprod()[t];
        let alpha_bar_end = end.map_or(1.0, |s| schedule.alphas_cumprod()[s]);
        let alpha = alpha_bar / alpha_bar_end;
        // Between neighbours the schedule's own β is exact; 1 − α cancels.
        let neighbours = end.map_or(t == 0, |s| s + 1 == t);
        let beta = if neighbours { schedule.betas()[t] } else { 1.0 - alpha };
        Self { alpha_bar, alpha_bar_end, alpha, beta }
    }

    /// β̃ = β (1−ᾱ_s)/(1−ᾱ_t), the posterior's variance.
    pub(crate) fn posterior_variance(&self) -> f64 {
        self.beta * (1.0 - self.alpha_bar_end) / (1.0 - self.alpha_bar)
    }
}

/// The row at t with everything but its mix: what x_0 is, and its label.
pub(crate) fn predict(
    schedule: &Schedule,
    network: Parameterization,
    clip: Clip,
    t: usize,
    alpha_bar_end: f64,
) -> Result<Row, Error> {
    let (p_u, p_f) = network.prediction.x_0_coefficients(schedule, t)?;
    let mut row = Row::at(t as f64);
    row.x_0 = X0Rule { p_u, p_f, clip };
    row.label.noise_level = (1.0 - alpha_bar_end).max(0.0).sqrt();
    Ok(row)
}

/// Numbers the rows as the steps 1 … S, one row a step, and checks them.
pub(crate) fn one_row_a_step(mut rows: Vec<Row>) -> Result<Program, Error> {
    let num_steps = rows.len() as u32;
    for (row, step) in rows.iter_mut().zip(1..) {
        row.label = Label { step, num_steps, ends_step: true, ..row.label };
    }
    Program::new(rows)
}

/// Refuses a grid that was made for more timesteps than the schedule has.
pub(crate) fn check_grid(schedule: &Schedule, latest: Option<&usize>) -> Result<(), Error> {
    match latest {
        Some(t) if *t >= schedule.timesteps() => {
            let timesteps = schedule.timesteps();
            Err(Error::Grid(format!("timestep {t} is not below the schedule's T = {timesteps}")))
        }
        _ => Ok(()),
    }
}

/// Whether noise is scaled by the network's own variance channels.
pub(crate) fn raw_variance(
    network: Parameterization,
    wanted: Variance,
) -> Result<RawVariance, Error> {
    match (wanted, network.variance) {
        (Variance::Learned, Variance::Learned) => Ok(RawVariance::LogVariance),
        (Variance::Learned, _) => Err(Error::Sampler(
            "this network predicts no variance: ask for fixed-small or fixed-large".into(),
        )),
        _ => Ok(RawVariance::None),
    }
}

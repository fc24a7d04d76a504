//! Beta schedules and the tables that follow from them.
//!
//! All tables are f64 over t = 0 … T−1, where t = 0 is the first noising step.

use serde::{Deserialize, Serialize};

use crate::Error;

/// How β_t runs from t = 0 to T−1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BetaSchedule {
    /// β grows linearly from `beta_start` to `beta_end` (Ho et al. 2020).
    Linear,
    /// √β grows linearly.
    Quad,
    /// The first tenth grows linearly, the rest is `beta_end`.
    Warmup10,
    /// The first half grows linearly, the rest is `beta_end`.
    Warmup50,
    /// 1/T, 1/(T−1), …, 1; ends at ᾱ = 0, so not for eps prediction.
    Jsd,
    /// Always `beta_end`.
    Const,
    /// ᾱ follows a squared cosine, β at most 0.999 (Nichol & Dhariwal 2021,
    /// equation 17); `beta_start` and `beta_end` are not used.
    Cosine,
}

impl BetaSchedule {
    /// All of them, under their names in text.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("linear", Self::Linear),
        ("quad", Self::Quad),
        ("warmup10", Self::Warmup10),
        ("warmup50", Self::Warmup50),
        ("jsd", Self::Jsd),
        ("const", Self::Const),
        ("cosine", Self::Cosine),
    ];

    /// Returns the name in text.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Computes β_0 … β_{T−1}.
    fn betas(self, timesteps: usize, start: f64, end: f64) -> Vec<f64> {
        match self {
            Self::Linear => linspace(start, end, timesteps),
            Self::Quad => linspace(start.sqrt(), end.sqrt(), timesteps)
                .iter()
                .map(|root| root * root)
                .collect(),
            Self::Warmup10 => warmup(start, end, timesteps, 0.1),
            Self::Warmup50 => warmup(start, end, timesteps, 0.5),
            Self::Jsd => (0..timesteps).map(|t| 1.0 / (timesteps - t) as f64).collect(),
            Self::Const => vec![end; timesteps],
            Self::Cosine => cosine(timesteps),
        }
    }
}

/// A beta schedule and everything computed from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    betas: Vec<f64>,
    alphas_cumprod: Vec<f64>,
}

impl Schedule {
    /// Tabulates a named schedule.
    ///
    /// * `timesteps`: T, from 2 to 100,000.
    /// * `beta_start`, `beta_end`: in (0, 1].
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] if a number is out of range.
    pub fn new(
        kind: BetaSchedule,
        timesteps: usize,
        beta_start: f64,
        beta_end: f64,
    ) -> Result<Self, Error> {
        if !(2..=100_000).contains(&timesteps) {
            return Err(Error::Schedule(format!(
                "timesteps must be in 2..=100000, got {timesteps}"
            )));
        }
        Self::from_betas(kind.betas(timesteps, beta_start, beta_end))
    }

    /// Tabulates the linear schedule; Ho et al. 2020 use T = 1000, β from 1e-4 to 0.02.
    ///
    /// # Errors
    ///
    /// As [`Schedule::new`].
    pub fn linear(timesteps: usize, beta_start: f64, beta_end: f64) -> Result<Self, Error> {
        Self::new(BetaSchedule::Linear, timesteps, beta_start, beta_end)
    }

    /// Tabulates any betas.
    ///
    /// * `betas`: at least two, each in (0, 1].
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] if there are too few or one is out of range.
    pub fn from_betas(betas: Vec<f64>) -> Result<Self, Error> {
        if betas.len() < 2 {
            return Err(Error::Schedule(format!(
                "needs at least 2 timesteps, got {}",
                betas.len()
            )));
        }
        if let Some(t) = betas.iter().position(|beta| !(*beta > 0.0 && *beta <= 1.0)) {
            return Err(Error::Schedule(format!(
                "beta must be in (0, 1], got {} at t = {t}",
                betas[t]
            )));
        }
        let alphas_cumprod = betas
            .iter()
            .scan(1.0, |product, beta| {
                *product *= 1.0 - beta;
                Some(*product)
            })
            .collect();
        Ok(Self { betas, alphas_cumprod })
    }

    /// Returns T, the number of timesteps.
    #[must_use]
    pub fn timesteps(&self) -> usize {
        self.betas.len()
    }

    /// Returns β_t, `[T]`.
    #[must_use]
    pub fn betas(&self) -> &[f64] {
        &self.betas
    }

    /// Returns ᾱ_t = Π (1 − β), `[T]`.
    #[must_use]
    pub fn alphas_cumprod(&self) -> &[f64] {
        &self.alphas_cumprod
    }

    /// Returns ᾱ_{t−1}; 1 for t = 0.
    ///
    /// # Panics
    ///
    /// If t is not below T.
    #[must_use]
    pub fn alphas_cumprod_prev(&self, t: usize) -> f64 {
        if t == 0 { 1.0 } else { self.alphas_cumprod[t - 1] }
    }

    /// Returns whether the chain ends in exactly pure noise, ᾱ_{T−1} = 0. There, eps
    /// says nothing about x_0, so a network must predict v or x_0.
    #[must_use]
    pub fn ends_in_pure_noise(&self) -> bool {
        self.alphas_cumprod.last() == Some(&0.0)
    }

    /// Returns β̃_t, the variance of q(x_{t−1} given x_t, x_0); 0 at t = 0.
    ///
    /// # Panics
    ///
    /// If t is not below T.
    #[must_use]
    pub fn posterior_variance(&self, t: usize) -> f64 {
        self.betas[t] * (1.0 - self.alphas_cumprod_prev(t)) / (1.0 - self.alphas_cumprod[t])
    }

    /// Returns ln β̃_t, with the value of t = 1 at t = 0, where β̃ is 0.
    ///
    /// # Panics
    ///
    /// If t is not below T.
    #[must_use]
    pub fn posterior_log_variance_clipped(&self, t: usize) -> f64 {
        self.posterior_variance(t.max(1)).ln()
    }

    /// Returns ln β_t, with ln β̃_1 at t = 0 (Ho's choice for the decoder's term).
    ///
    /// # Panics
    ///
    /// If t is not below T.
    #[must_use]
    pub fn fixed_large_log_variance(&self, t: usize) -> f64 {
        if t == 0 { self.posterior_variance(1).ln() } else { self.betas[t].ln() }
    }

    /// Returns the coefficients of x_0 and x_t in the mean of q(x_{t−1} given x_t, x_0).
    ///
    /// # Panics
    ///
    /// If t is not below T.
    ///
    /// # Source
    ///
    /// Ho et al. 2020, equation 7, <https://arxiv.org/abs/2006.11239>.
    #[must_use]
    pub fn posterior_mean_coefficients(&self, t: usize) -> (f64, f64) {
        let (now, prev) = (self.alphas_cumprod[t], self.alphas_cumprod_prev(t));
        let of_x_0 = self.betas[t] * prev.sqrt() / (1.0 - now);
        let of_x_t = (1.0 - self.betas[t]).sqrt() * (1.0 - prev) / (1.0 - now);
        (of_x_0, of_x_t)
    }
}

/// Spaces `count` numbers evenly over [start, end], both ends included.
pub(crate) fn linspace(start: f64, end: f64, count: usize) -> Vec<f64> {
    let step = if count > 1 { (end - start) / (count - 1) as f64 } else { 0.0 };
    (0..count)
        .map(|i| if i > 0 && i + 1 == count { end } else { start + step * i as f64 })
        .collect()
}

fn warmup(start: f64, end: f64, timesteps: usize, fraction: f64) -> Vec<f64> {
    let mut betas = linspace(start, end, (timesteps as f64 * fraction) as usize);
    betas.resize(timesteps, end);
    betas
}

fn cosine(timesteps: usize) -> Vec<f64> {
    let alpha_bar = |t: usize| {
        let angle = (t as f64 / timesteps as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2;
        angle.cos().powi(2)
    };
    (0..timesteps).map(|t| (1.0 - alpha_bar(t + 1) / alpha_bar(t)).min(0.999)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn betas_out_of_range_are_refused_with_their_place() {
        let error = Schedule::from_betas(vec![0.1, 1.5]).unwrap_err();
        assert_eq!(error.to_string(), "schedule: beta must be in (0, 1], got 1.5 at t = 1");
        assert!(Schedule::from_betas(vec![0.1, f64::NAN]).is_err());
        assert!(Schedule::linear(1, 1e-4, 0.02).is_err());
        assert!(Schedule::linear(10, 0.0, 0.02).is_err());
    }

    #[test]
    fn cosine_follows_its_squared_cosine_until_the_clip() {
        let schedule = Schedule::new(BetaSchedule::Cosine, 1000, 0.0, 0.0).unwrap();
        let alpha_bar = |s: f64| ((s + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
        for t in [0, 10, 500, 900] {
            let want = alpha_bar((t + 1) as f64 / 1000.0) / alpha_bar(0.0);
            let got = schedule.alphas_cumprod()[t];
            assert!((got / want - 1.0).abs() < 1e-10, "t = {t}: {got} against {want}");
        }
        assert_eq!(schedule.betas()[999], 0.999);
    }

    #[test]
    fn jsd_ends_in_pure_noise() {
        assert!(Schedule::new(BetaSchedule::Jsd, 100, 1.0, 1.0).unwrap().ends_in_pure_noise());
        assert!(!Schedule::linear(100, 1e-4, 0.02).unwrap().ends_in_pure_noise());
    }

    #[test]
    fn every_name_is_its_own_kind() {
        for (name, kind) in BetaSchedule::NAMES {
            assert_eq!(kind.name(), name);
        }
    }
}

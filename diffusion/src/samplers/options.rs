//! Options of samplers: those that are a choice, and the ranges of those that are numbers.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use super::Sampler;
use crate::Error;

/// Which noise estimate goes with a clipped x_0. The two differ only where the
/// clip acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClippedEps {
    /// Recomputed from x_t and the clipped x_0: ddpm-torch's rule, and diffusers'
    /// with `use_clipped_model_output=True`.
    #[default]
    Recompute,
    /// The network's own: diffusers' default.
    Keep,
}

/// The first difference of DPM-Solver++ at order 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// (1 − e^(−h))/2.
    #[default]
    Midpoint,
    /// (e^(−h) − 1)/h + 1.
    Heun,
}

/// B(h) of UniPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UniPcVariant {
    /// −h.
    Bh1,
    /// e^(−h) − 1.
    #[default]
    Bh2,
}

/// An enum of options with names.
macro_rules! named {
    ($type:ident: $($name:literal => $variant:ident),+) => {
        impl FromStr for $type {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($name => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of {}", [$($name),+].join(", "))),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $name,)+
                })
            }
        }
    };
}

named!(ClippedEps: "recompute-eps" => Recompute, "keep-eps" => Keep);
named!(Form: "midpoint" => Midpoint, "heun" => Heun);
named!(UniPcVariant: "bh1" => Bh1, "bh2" => Bh2);

impl Sampler {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] with the option that is out of range.
    pub fn check(self) -> Result<(), Error> {
        match self {
            Self::Ddim { eta, .. } => within("eta", eta, 0.0..=1.0),
            Self::EulerAncestral { eta, s_noise } => {
                within("eta", eta, 0.0..=1.0)?;
                within("s-noise", s_noise, 1e-6..=2.0)
            }
            Self::EdmHeun { s_churn, s_tmin, s_tmax, s_noise } => {
                within("s-churn", s_churn, 0.0..=1000.0)?;
                within("s-tmin", s_tmin, 0.0..=1e6)?;
                within("s-tmax", s_tmax, s_tmin..=1e6)?;
                within("s-noise", s_noise, 1e-6..=2.0)
            }
            Self::DpmSolverPp { order, .. } | Self::UniPc { order, .. } | Self::Deis { order } => {
                count("order", order, 1..=3)
            }
            Self::SdeDpmSolverPp { order, eta, .. } => {
                count("order", order, 1..=2)?;
                within("eta", eta, 0.0..=1.0)
            }
            Self::Ipndm { order } | Self::Lms { order } => count("order", order, 1..=4),
            Self::Restart { t_min, t_max, steps, repeats } => {
                within("t-min", t_min, 1e-6..=1e6)?;
                within("t-max", t_max, t_min..=1e6)?;
                count("steps", steps, 1..=100)?;
                count("repeats", repeats, 1..=100)
            }
            Self::Consistency { sigma_min, .. } => within("sigma-min", sigma_min, 0.0..=1e6),
            _ => Ok(()),
        }
    }
}

fn within(option: &'static str, value: f64, range: RangeInclusive<f64>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (start, end) = (range.start(), range.end());
    Err(Error::Option { option, reason: format!("must be in [{start}, {end}], got {value}") })
}

fn count(option: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (start, end) = (range.start(), range.end());
    Err(Error::Option { option, reason: format!("must be in {start}..={end}, got {value}") })
}

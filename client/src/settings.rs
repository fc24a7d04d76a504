//! The words of a request: samplers, grids, formats, previews.
//!
//! The names are those of the command line and of receipts in JSON. Each enum
//! mirrors one of `ddpm.v1`; "unspecified" is `None` wherever one may leave a
//! word out, so that a value here always says something.

use std::fmt;

use clap::ValueEnum;
use ddpm_proto::v1;
use serde::Serialize;

use crate::error::Error;

/// Gives an enum the numbers of its mirror on the wire, and its name as text.
macro_rules! mirrors {
    ($ours:ident, $wire:ident { $($variant:ident = $name:ident),+ }) => {
        #[allow(dead_code, reason = "some words are only asked, some only answered")]
        impl $ours {
            pub(crate) fn to_proto(self) -> i32 {
                match self {
                    $(Self::$variant => v1::$wire::$name.into(),)+
                }
            }

            /// `Ok(None)` for unspecified.
            pub(crate) fn from_proto(value: i32) -> Result<Option<Self>, Error> {
                match v1::$wire::try_from(value) {
                    Ok(v1::$wire::Unspecified) => Ok(None),
                    $(Ok(v1::$wire::$name) => Ok(Some(Self::$variant)),)+
                    _ => Err(unknown(stringify!($wire), value)),
                }
            }
        }

        impl fmt::Display for $ours {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = self.to_possible_value().expect("no variant is skipped");
                f.write_str(value.get_name())
            }
        }
    };
}

fn unknown(what: &str, value: i32) -> Error {
    Error::Protocol(format!("{what} has the unknown value {value}; a newer client may know it"))
}

/// How to walk from noise to data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Sampler {
    /// Ancestral sampling: Ho et al. 2020, algorithm 2.
    Ddpm {
        /// `None`: the model's own.
        variance: Option<DdpmVariance>,
    },
    /// Song et al. 2020, equation 12.
    Ddim {
        /// Noise of each step relative to DDPM's, in [0, 1]; 0 is deterministic.
        eta: f64,
        /// `None`: recompute.
        clip_rule: Option<DdimClipRule>,
    },
}

impl Sampler {
    pub(crate) fn to_proto(self) -> v1::Sampler {
        let kind = match self {
            Self::Ddpm { variance } => v1::sampler::Kind::Ddpm(v1::Ddpm {
                variance: variance.map_or(0, DdpmVariance::to_proto),
            }),
            Self::Ddim { eta, clip_rule } => v1::sampler::Kind::Ddim(v1::Ddim {
                eta,
                clip_rule: clip_rule.map_or(0, DdimClipRule::to_proto),
            }),
        };
        v1::Sampler { kind: Some(kind) }
    }

    pub(crate) fn from_proto(sampler: Option<v1::Sampler>) -> Result<Self, Error> {
        match sampler.and_then(|sampler| sampler.kind) {
            Some(v1::sampler::Kind::Ddpm(ddpm)) => {
                Ok(Self::Ddpm { variance: DdpmVariance::from_proto(ddpm.variance)? })
            }
            Some(v1::sampler::Kind::Ddim(ddim)) => Ok(Self::Ddim {
                eta: ddim.eta,
                clip_rule: DdimClipRule::from_proto(ddim.clip_rule)?,
            }),
            _ => Err(Error::Protocol(
                "a sampler is missing, or one that this client does not know".to_owned(),
            )),
        }
    }
}

/// `ddpm fixed-small`, `ddim eta=0 recompute`.
impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ddpm { variance: None } => write!(f, "ddpm"),
            Self::Ddpm { variance: Some(variance) } => write!(f, "ddpm {variance}"),
            Self::Ddim { eta, clip_rule: None } => write!(f, "ddim eta={eta}"),
            Self::Ddim { eta, clip_rule: Some(rule) } => write!(f, "ddim eta={eta} {rule}"),
        }
    }
}

/// Variance of a step of ancestral sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DdpmVariance {
    /// That of the posterior q(x_{t-1} | x_t, x_0).
    FixedSmall,
    /// That of the forward step, beta.
    FixedLarge,
    /// What the network predicts.
    Learned,
}
mirrors!(DdpmVariance, DdpmVariance {
    FixedSmall = FixedSmall, FixedLarge = FixedLarge, Learned = Learned
});

/// What DDIM does about eps when the prediction of x_0 was clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DdimClipRule {
    /// Recompute eps from the clipped x_0, as ddpm-torch does.
    Recompute,
    /// Keep the network's own eps, as diffusers does by default.
    Keep,
}
mirrors!(DdimClipRule, DdimClipRule { Recompute = RecomputeEps, Keep = KeepEps });

/// Which of the T timesteps a run of S steps visits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Grid {
    /// floor(T / S) * (0 … S - 1).
    Leading,
    /// round(T - k T / S) - 1: starts at T - 1.
    Trailing,
    /// Spread evenly from 0 to T - 1.
    Linspace,
    /// Squares, dense near the data.
    Quadratic,
}
mirrors!(Grid, Grid {
    Leading = Leading, Trailing = Trailing, Linspace = Linspace, Quadratic = Quadratic
});

/// Whether predictions of x_0 are clipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Clip {
    /// Never.
    None,
    /// To [-1, 1] in every step.
    Unit,
}
mirrors!(Clip, Clip { None = None, Unit = Unit });

/// How the elements of samples and previews are encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One byte an element, height x width x channels. Pictures only.
    RawU8,
    /// f32 in the model's scale and layout, not clipped.
    RawF32,
    /// A PNG file a sample. Pictures of 1 or 3 channels only.
    Png,
}
mirrors!(Format, Format { RawU8 = RawU8, RawF32 = RawF32, Png = Png });

/// What one preview shows of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
pub enum PreviewKind {
    /// The noisy sample itself.
    #[serde(rename = "x_t")]
    #[value(name = "x_t")]
    Xt,
    /// The present prediction of the finished sample.
    #[serde(rename = "x_0")]
    #[value(name = "x_0")]
    X0,
}
mirrors!(PreviewKind, PreviewKind { Xt = XT, X0 = X0 });

/// Which previews a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Frames {
    /// The present prediction of the finished sample.
    #[serde(rename = "x_0")]
    #[value(name = "x_0")]
    X0,
    /// The noisy sample itself.
    #[serde(rename = "x_t")]
    #[value(name = "x_t")]
    Xt,
    /// Both, side by side.
    #[serde(rename = "both")]
    Both,
}
mirrors!(Frames, PreviewKind { X0 = X0, Xt = XT, Both = Both });

/// What happens to previews that a slow client has not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A newer one takes the place of an older one; sampling never waits.
    Latest,
    /// Every one is sent; the samples of this request wait for their reader.
    All,
}
mirrors!(Delivery, Delivery { Latest = Latest, All = All });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sampler_comes_back_from_the_wire() {
        let samplers = [
            Sampler::Ddpm { variance: None },
            Sampler::Ddpm { variance: Some(DdpmVariance::FixedLarge) },
            Sampler::Ddim { eta: 0.25, clip_rule: Some(DdimClipRule::Keep) },
        ];
        for sampler in samplers {
            assert_eq!(Sampler::from_proto(Some(sampler.to_proto())).unwrap(), sampler);
        }
    }

    #[test]
    fn an_unknown_number_is_an_error_and_unspecified_is_none() {
        assert_eq!(Grid::from_proto(0).unwrap(), None);
        assert_eq!(Grid::from_proto(4).unwrap(), Some(Grid::Quadratic));
        assert!(matches!(Grid::from_proto(99), Err(Error::Protocol(_))));
        // A preview is of one kind: "both" exists in requests only.
        assert!(matches!(PreviewKind::from_proto(3), Err(Error::Protocol(_))));
    }
}

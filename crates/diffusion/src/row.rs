//! One row: one application of the linear kernel to one sample.
//!
//! With the network's output F at `c_in · u`, the row computes, per element,
//!
//! ```text
//! x_0 = clip(p_u u + p_F F)
//! y'  = a · [u, y, x_0, F, H1, H2, H3, z, known]     the next anchor
//! u'  = b · [u, y, x_0, F, H1, H2, H3, z, known]     the next point
//! H3, H2, H1 ← H2, H1, g_u u + g_x0 x_0 + g_F F      if it pushes
//! ```
//!
//! All numbers are f64 and are rounded once, to the type of the samples.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::spec::{Spec, Text};

/// A row of a program. See the [module](self) for what it computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The network evaluations before the kernel.
    pub evals: Evals,
    /// Timestep at the network's input, real-valued: in 0 ..= T−1 for a discrete
    /// process, ln σ / 4 for EDM, 1000 t for a flow.
    pub t: f64,
    /// Scale of u at the network's input.
    pub c_in: f64,
    /// How the output becomes a prediction of x_0.
    pub x_0: X0Rule,
    /// Coefficients a of the next anchor y.
    pub y: Mix,
    /// Coefficients b of the next point u.
    pub u: Mix,
    /// What goes into the history, if anything.
    pub push: Option<Push>,
    /// What scales the noise element by element.
    pub variance: RawVariance,
    /// What the known image does.
    pub mask: Mask,
    /// Where the noise z comes from.
    pub noise: NoiseAddress,
    /// What a viewer sees of the row.
    pub label: Label,
}

impl Row {
    /// Creates a row that calls the network once at t and does nothing else yet: no
    /// clip, no history, no mask, its own draw, u and y unchanged.
    #[must_use]
    pub fn at(t: f64) -> Self {
        Self {
            evals: Evals::One,
            t,
            c_in: 1.0,
            x_0: X0Rule { p_u: 1.0, p_f: 0.0, clip: Clip::None },
            y: Mix { y: 1.0, ..Mix::ZERO },
            u: Mix { u: 1.0, ..Mix::ZERO },
            push: None,
            variance: RawVariance::None,
            mask: Mask::None,
            noise: NoiseAddress::default(),
            label: Label { step: 0, num_steps: 0, ends_step: true, noise_level: 0.0 },
        }
    }

    /// Returns whether it draws noise.
    #[must_use]
    pub fn adds_noise(&self) -> bool {
        self.u.z != 0.0 || self.y.z != 0.0
    }

    /// Returns whether it mixes something from the history.
    #[must_use]
    pub fn reads_history(&self) -> bool {
        self.u.h.iter().chain(&self.y.h).any(|h| *h != 0.0)
    }

    /// Returns whether it reads the known image.
    #[must_use]
    pub fn reads_known(&self) -> bool {
        self.mask != Mask::None || self.u.known != 0.0 || self.y.known != 0.0
    }
}

/// The network evaluations of a row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evals {
    /// None: the kernel alone; F is 0.
    Zero,
    /// One, with the sample's own label.
    One,
    /// One, with no label.
    Unconditional,
    /// Two, with the sample's label and with none (classifier-free guidance,
    /// Ho & Salimans 2022). The prediction channels are w·F(label) +
    /// (1−w)·F(none); the variance channels are those of F(label).
    Guided {
        /// w, the guidance scale: 1 is F(label), 0 is F(none).
        scale: f64,
    },
}

impl Evals {
    /// Returns, for each network call in order, whether it gets the sample's label
    /// rather than none.
    #[must_use]
    pub fn with_label(self) -> &'static [bool] {
        match self {
            Self::Zero => &[],
            Self::One => &[true],
            Self::Unconditional => &[false],
            Self::Guided { .. } => &[true, false],
        }
    }

    /// Returns the number of network calls.
    #[must_use]
    pub fn count(self) -> usize {
        self.with_label().len()
    }
}

/// How the network's output becomes a prediction of x_0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct X0Rule {
    /// Coefficient of u.
    pub p_u: f64,
    /// Coefficient of F.
    pub p_f: f64,
    /// How the result is clipped.
    pub clip: Clip,
}

/// How a prediction of x_0 is kept in the data's range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clip {
    /// Nothing.
    None,
    /// Clamped to [−1, 1].
    Unit,
    /// Dynamic thresholding: with s the `quantile` of |x_0| over the sample,
    /// kept in 1 ..= `max`, clamped to [−s, s] and divided by s.
    ///
    /// Source: Saharia et al. 2022 (Imagen), section 2.3.
    Dynamic {
        /// In (0, 1].
        quantile: f64,
        /// At least 1.
        max: f64,
    },
}

impl FromStr for Clip {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut spec = Spec::parse("clip rule", text)?;
        let clip = match spec.name {
            "none" => Self::None,
            "unit" => Self::Unit,
            "dynamic" => Self::Dynamic {
                quantile: spec.take("quantile", 0.995)?,
                max: spec.take("max", 100.0)?,
            },
            _ => return Err(spec.unknown(["none", "unit", "dynamic"])),
        };
        spec.finish()?;
        Ok(clip)
    }
}

impl fmt::Display for Clip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Unit => f.write_str("unit"),
            Self::Dynamic { quantile, max } => Text::new("dynamic")
                .option("quantile", quantile, &0.995)
                .option("max", max, &100.0)
                .fmt(f),
        }
    }
}

/// Coefficients of everything that a row may mix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mix {
    /// Of the current point.
    pub u: f64,
    /// Of the current anchor.
    pub y: f64,
    /// Of the prediction of x_0, after the clip.
    pub x_0: f64,
    /// Of the network's output.
    pub f: f64,
    /// Of the last three pushes, latest first.
    pub h: [f64; 3],
    /// Of the noise.
    pub z: f64,
    /// Of the known image.
    pub known: f64,
}

impl Mix {
    /// No terms: every coefficient is 0.
    pub const ZERO: Self =
        Self { u: 0.0, y: 0.0, x_0: 0.0, f: 0.0, h: [0.0; 3], z: 0.0, known: 0.0 };

    /// Multiplies every coefficient by `scale`.
    #[must_use]
    pub fn scaled(self, scale: f64) -> Self {
        Self {
            u: self.u * scale,
            y: self.y * scale,
            x_0: self.x_0 * scale,
            f: self.f * scale,
            h: self.h.map(|h| h * scale),
            z: self.z * scale,
            known: self.known * scale,
        }
    }

    /// Returns all coefficients in order.
    #[must_use]
    pub fn coefficients(&self) -> [f64; 9] {
        let [h1, h2, h3] = self.h;
        [self.u, self.y, self.x_0, self.f, h1, h2, h3, self.z, self.known]
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self::ZERO
    }
}

/// What a row pushes to the history.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Push {
    /// Of the current point.
    pub u: f64,
    /// Of the prediction of x_0.
    pub x_0: f64,
    /// Of the network's output.
    pub f: f64,
}

/// What the network's variance channels v do to the noise of their element.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawVariance {
    /// Nothing; the network has no such channels.
    None,
    /// z is multiplied by exp(v / 2).
    LogVariance,
    /// z is multiplied by exp(w ln_max / 2 + (1−w) ln_min / 2), w = (v + 1) / 2
    /// (Nichol & Dhariwal 2021, equation 15).
    Range {
        /// ln β̃, the log-variance at v = −1.
        ln_min: f64,
        /// ln β, the log-variance at v = 1.
        ln_max: f64,
    },
}

/// What the known image does; its mask is 1 where the image is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mask {
    /// Nothing.
    None,
    /// x_0 is the known image where it is known.
    ReplaceX0,
    /// u' is the mix where the image is known, and u elsewhere.
    ReplaceXt,
}

/// Where a row's noise comes from; see [`crate::noise`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NoiseAddress {
    /// The draw; absent: the row's position + 1.
    pub draw: Option<u32>,
    /// The index whose noise is used; absent: the sample's own.
    pub index: Option<u64>,
}

/// How a row is displayed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The step that this row belongs to, counted from 1.
    pub step: u32,
    /// Steps of the program.
    pub num_steps: u32,
    /// Whether the step is done after this row. Trial points are not shown.
    pub ends_step: bool,
    /// √(1−ᾱ) of the point after this row: 1 is pure noise, 0 is data.
    pub noise_level: f64,
}

//! Conditions of a network: embeddings of the timestep and the class.

use super::error::ConfigError;
use super::layers::{ClassEmbedding, Scope};
use super::ops::Ops;

/// Returns sines and cosines of t at `dim / 2` frequencies from 1 down to 1/10000: `[B]` →
/// `[B, dim]`.
///
/// * `timestep`: real-valued, counted from 0.
/// * `dim`: at least 4; if odd, the last column is zero.
///
/// # Source
///
/// Vaswani et al. 2017, section 3.5, <https://arxiv.org/abs/1706.03762>, with all sines before all
/// cosines and with n/2 - 1 intervals between the frequencies, as in the DDPM authors' code.
pub fn timestep_embedding<O: Ops>(o: &O, timestep: &O::T, dim: i64) -> O::T {
    let angles = o.outer(timestep, &frequencies(dim / 2));
    let (sines, cosines) = (o.sin(&angles), o.cos(&angles));
    if dim % 2 == 0 {
        o.concat(&[&sines, &cosines])
    } else {
        o.concat(&[&sines, &cosines, &o.outer(timestep, &[0.0])])
    }
}

/// Returns `count` frequencies in geometric progression, the exponents rounded to f32 as in the
/// reference: at t = 1000 the rounding shows in the fifth decimal, and published networks were
/// trained with it.
fn frequencies(count: i64) -> Vec<f32> {
    let interval = (10_000f64.ln() / (count - 1) as f64) as f32;
    (0..count).map(|i| f64::from(-interval * i as f32).exp() as f32).collect()
}

/// Computes a [`timestep_embedding`] with the options of the diffusers library.
///
/// * `shift`: frequency i is 10000^(−i / (half − shift)).
/// * `cosines_first`: whether cosines come before sines.
pub(crate) fn diffusers_embedding<O: Ops>(
    o: &O,
    timestep: &O::T,
    dim: i64,
    shift: f64,
    cosines_first: bool,
) -> O::T {
    let half = dim / 2;
    // Each operation rounds to f32, as in diffusers.
    let exponent = |i| -(10_000f64.ln() as f32) * i as f32 / (half as f64 - shift) as f32;
    let rates: Vec<f32> = (0..half).map(|i| f64::from(exponent(i)).exp() as f32).collect();
    let angles = o.outer(timestep, &rates);
    let (sines, cosines) = (o.sin(&angles), o.cos(&angles));
    let parts = if cosines_first { [&cosines, &sines] } else { [&sines, &cosines] };
    if dim % 2 == 0 {
        o.concat(&parts)
    } else {
        o.concat(&[parts[0], parts[1], &o.outer(timestep, &[0.0])])
    }
}

/// Adds the embedding of the class to that of the time, in conditional networks.
#[derive(Debug)]
pub(crate) struct Condition {
    classes: Option<ClassEmbedding>,
}

impl Condition {
    /// Makes the class table; every network makes it last, so that the other parameters keep the
    /// reference's order.
    pub(crate) fn new(
        scope: &Scope<'_>,
        num_classes: Option<i64>,
        width: i64,
    ) -> Result<Self, ConfigError> {
        let scope = scope.sub("class_embed");
        let classes =
            num_classes.map(|count| ClassEmbedding::new(&scope, count, width)).transpose()?;
        Ok(Self { classes })
    }

    /// Adds the class vector, if there are classes: `[B, width]` → the same.
    pub(crate) fn forward<O: Ops>(&self, o: &O, time: O::T, labels: Option<&O::T>) -> O::T {
        match (&self.classes, labels) {
            (Some(classes), Some(labels)) => o.add(&time, &classes.forward(o, labels)),
            _ => time,
        }
    }
}

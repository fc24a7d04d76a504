//! The clip rule for predictions of x_0.

use ddpm_diffusion::Clip;

use super::Fault;
use crate::v1::{self, DynamicThreshold};

const QUANTILE: f64 = 0.995;
const MAX: f64 = 100.0;

/// Reads a clip rule; `None` where it is unspecified.
///
/// # Errors
///
/// If a number is out of range, or is set for a rule that does not read it.
pub fn clip_from_proto(
    clip: v1::Clip,
    threshold: Option<DynamicThreshold>,
) -> Result<Option<Clip>, Fault> {
    if clip != v1::Clip::Dynamic && threshold.is_some() {
        return Err(Fault::new("dynamic_threshold", "is only for CLIP_DYNAMIC; leave it out"));
    }
    Ok(match clip {
        v1::Clip::Unspecified => None,
        v1::Clip::None => Some(Clip::None),
        v1::Clip::Unit => Some(Clip::Unit),
        v1::Clip::Dynamic => Some(dynamic(threshold.unwrap_or_default())?),
    })
}

/// Writes a clip rule.
#[must_use]
pub fn clip_to_proto(clip: Clip) -> (v1::Clip, Option<DynamicThreshold>) {
    match clip {
        Clip::None => (v1::Clip::None, None),
        Clip::Unit => (v1::Clip::Unit, None),
        Clip::Dynamic { quantile, max } => {
            let threshold = DynamicThreshold { quantile: Some(quantile), max: Some(max) };
            (v1::Clip::Dynamic, Some(threshold))
        }
    }
}

fn dynamic(threshold: DynamicThreshold) -> Result<Clip, Fault> {
    let (quantile, max) = (threshold.quantile.unwrap_or(QUANTILE), threshold.max.unwrap_or(MAX));
    if !(quantile > 0.0 && quantile <= 1.0) {
        let reason = format!("must be in (0, 1], got {quantile}");
        return Err(Fault::new("dynamic_threshold.quantile", reason));
    }
    if !(1.0..=1e6).contains(&max) {
        let reason = format!("must be in [1, 1000000], got {max}");
        return Err(Fault::new("dynamic_threshold.max", reason));
    }
    Ok(Clip::Dynamic { quantile, max })
}

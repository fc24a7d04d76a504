//! Guidance and shared noise.

use ddpm_diffusion::{Guidance, SharedNoise};

use crate::v1;

/// Reads guidance. [`Guidance::check`] checks the ranges.
#[must_use]
pub fn guidance_from_proto(message: v1::Guidance) -> Guidance {
    Guidance {
        scale: message.scale,
        sigma_min: message.sigma_min.unwrap_or(0.0),
        sigma_max: message.sigma_max.unwrap_or(f64::INFINITY),
    }
}

/// Writes guidance.
#[must_use]
pub fn guidance_to_proto(guidance: Guidance) -> v1::Guidance {
    let Guidance { scale, sigma_min, sigma_max } = guidance;
    v1::Guidance {
        scale,
        sigma_min: (sigma_min != 0.0).then_some(sigma_min),
        sigma_max: sigma_max.is_finite().then_some(sigma_max),
    }
}

/// Reads shared noise.
#[must_use]
pub fn shared_noise_from_proto(message: v1::SharedNoise) -> SharedNoise {
    let v1::SharedNoise { index, start, steps } = message;
    SharedNoise { index, start, steps }
}

/// Writes shared noise.
#[must_use]
pub fn shared_noise_to_proto(shared: SharedNoise) -> v1::SharedNoise {
    let SharedNoise { index, start, steps } = shared;
    v1::SharedNoise { index, start, steps }
}

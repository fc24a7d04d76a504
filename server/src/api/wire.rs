//! Between the enums of the wire and our own types.

use ddpm_diffusion::{Clip, GridKind, Variance, samplers::ClippedEps};
use ddpm_package::SamplerSpec;
use ddpm_proto::v1;

use crate::{
    frames::Encoding,
    outbox::{Delivery, FrameKind},
};

/// A sampler with all its options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sampler {
    Ddpm(Variance),
    Ddim { eta: f64, clipped_eps: ClippedEps },
}

impl Sampler {
    /// A model's default sampler.
    pub(crate) fn from_spec(spec: SamplerSpec, variance: Variance) -> Self {
        match spec {
            SamplerSpec::Ddpm => Self::Ddpm(variance),
            SamplerSpec::Ddim { eta } => Self::Ddim { eta, clipped_eps: ClippedEps::default() },
        }
    }

    pub(crate) fn to_wire(self) -> v1::Sampler {
        let kind = match self {
            Self::Ddpm(variance) => {
                let variance = match variance {
                    Variance::FixedSmall => v1::DdpmVariance::FixedSmall,
                    Variance::FixedLarge => v1::DdpmVariance::FixedLarge,
                    Variance::Learned => v1::DdpmVariance::Learned,
                };
                v1::sampler::Kind::Ddpm(v1::Ddpm { variance: variance.into() })
            }
            Self::Ddim { eta, clipped_eps } => {
                let clip_rule = match clipped_eps {
                    ClippedEps::Recompute => v1::DdimClipRule::RecomputeEps,
                    ClippedEps::Keep => v1::DdimClipRule::KeepEps,
                };
                v1::sampler::Kind::Ddim(v1::Ddim { eta, clip_rule: clip_rule.into() })
            }
        };
        v1::Sampler { kind: Some(kind) }
    }
}

pub(crate) fn variance(wire: v1::DdpmVariance, default: Variance) -> Variance {
    match wire {
        v1::DdpmVariance::Unspecified => default,
        v1::DdpmVariance::FixedSmall => Variance::FixedSmall,
        v1::DdpmVariance::FixedLarge => Variance::FixedLarge,
        v1::DdpmVariance::Learned => Variance::Learned,
    }
}

pub(crate) fn clipped_eps(wire: v1::DdimClipRule) -> ClippedEps {
    match wire {
        v1::DdimClipRule::Unspecified | v1::DdimClipRule::RecomputeEps => ClippedEps::Recompute,
        v1::DdimClipRule::KeepEps => ClippedEps::Keep,
    }
}

pub(crate) fn grid(wire: v1::Grid, default: GridKind) -> GridKind {
    match wire {
        v1::Grid::Unspecified => default,
        v1::Grid::Leading => GridKind::Leading,
        v1::Grid::Trailing => GridKind::Trailing,
        v1::Grid::Linspace => GridKind::Linspace,
        v1::Grid::Quadratic => GridKind::Quadratic,
    }
}

pub(crate) fn grid_to_wire(grid: GridKind) -> v1::Grid {
    match grid {
        GridKind::Leading => v1::Grid::Leading,
        GridKind::Trailing => v1::Grid::Trailing,
        GridKind::Linspace => v1::Grid::Linspace,
        GridKind::Quadratic => v1::Grid::Quadratic,
    }
}

pub(crate) fn clip(wire: v1::Clip, default: Clip) -> Clip {
    match wire {
        v1::Clip::Unspecified => default,
        v1::Clip::None => Clip::None,
        v1::Clip::Unit => Clip::Unit,
    }
}

pub(crate) fn clip_to_wire(clip: Clip) -> v1::Clip {
    match clip {
        Clip::Unit => v1::Clip::Unit,
        Clip::None | Clip::Dynamic { .. } => v1::Clip::None,
    }
}

pub(crate) fn encoding(wire: v1::Format, default: Encoding) -> Encoding {
    match wire {
        v1::Format::Unspecified => default,
        v1::Format::RawU8 => Encoding::RawU8,
        v1::Format::RawF32 => Encoding::RawF32,
        v1::Format::Png => Encoding::Png,
    }
}

pub(crate) fn format(encoding: Encoding) -> v1::Format {
    match encoding {
        Encoding::RawU8 => v1::Format::RawU8,
        Encoding::RawF32 => v1::Format::RawF32,
        Encoding::Png => v1::Format::Png,
    }
}

pub(crate) fn delivery(wire: v1::Delivery) -> Delivery {
    match wire {
        v1::Delivery::Unspecified | v1::Delivery::Latest => Delivery::Latest,
        v1::Delivery::All => Delivery::All,
    }
}

pub(crate) fn preview_kind(kind: FrameKind) -> v1::PreviewKind {
    match kind {
        FrameKind::X0 => v1::PreviewKind::X0,
        FrameKind::XT => v1::PreviewKind::XT,
    }
}

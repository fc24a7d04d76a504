//! Inputs of a request: states, pictures, and a partly known image.

use ddpm_diffusion::Inpaint;
use ddpm_proto::v1;

use crate::events::Data;

/// What samples start from.
#[derive(Debug, Clone, PartialEq)]
pub enum Initial {
    /// States at the first point of the grid, used as they are: [`Data::Values`]
    /// in the scale of the process. Sample i starts from state i mod length.
    States(Vec<Data>),
    /// Pictures: noised to the first of the remaining steps, or encoded.
    Images {
        /// Sample i starts from image i mod length.
        images: Vec<Data>,
        /// Share of the steps to run, in [0, 1]; `None` for
        /// [`DdimInverse`](crate::samplers::DdimInverse) and for custom rows.
        strength: Option<f64>,
    },
    /// The great circle between two states: sample i starts at the fraction
    /// (i mod frames) / (frames - 1) of the way.
    Interpolation {
        /// The first state: [`Data::Values`].
        from: Data,
        /// The last one.
        to: Data,
        /// Number of states including both ends, at least 2.
        frames: u32,
    },
}

/// A partly known image: the rest is sampled to fit it.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The image.
    pub image: Data,
    /// 1 (as a pixel, 255) where it is known, 0 elsewhere; one channel, or those of
    /// the image.
    pub mask: Data,
    /// How the known part is kept; `None` for custom rows.
    pub method: Option<Inpaint>,
}

impl Initial {
    pub(crate) fn to_proto(&self) -> v1::Initial {
        use v1::initial::Kind;
        let all = |list: &[Data]| list.iter().map(Data::to_proto).collect();
        let kind = match self {
            Self::States(states) => Kind::States(v1::InitialStates { states: all(states) }),
            Self::Images { images, strength } => {
                Kind::Images(v1::InitialImages { images: all(images), strength: *strength })
            }
            Self::Interpolation { from, to, frames } => Kind::Interpolation(v1::Interpolation {
                from: Some(from.to_proto()),
                to: Some(to.to_proto()),
                frames: *frames,
            }),
        };
        v1::Initial { kind: Some(kind) }
    }
}

impl Known {
    pub(crate) fn to_proto(&self) -> v1::Inpaint {
        use v1::inpaint::Method;
        let method = self.method.map(|method| match method {
            Inpaint::ReplaceX0 => Method::ReplaceX0(v1::ReplaceX0 {}),
            Inpaint::ReplaceXt { resampling, jump_length } => {
                Method::ReplaceXT(v1::ReplaceXt { resampling, jump_length })
            }
        });
        let (image, mask) = (Some(self.image.to_proto()), Some(self.mask.to_proto()));
        v1::Inpaint { image, mask, method }
    }
}

impl Data {
    fn to_proto(&self) -> v1::Tensor {
        let (format, data) = match self {
            Self::Pixels(pixels) => (v1::Format::RawU8, pixels.clone()),
            Self::Values(values) => {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (v1::Format::RawF32, bytes)
            }
            Self::Png(file) => (v1::Format::Png, file.clone()),
        };
        v1::Tensor { format: format.into(), data: data.into() }
    }
}

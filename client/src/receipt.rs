//! Receipts: what it takes to reproduce samples.

use ddpm_proto::convert::{guidance_from_proto, shared_noise_from_proto};
use ddpm_proto::v1;
use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::settings::{
    Clip, Determinism, Grid, Guidance, Inpaint, SamplerChoice, SharedNoise, as_text,
    clip_from_wire, grid_from_wire,
};

/// Everything needed to reproduce samples, apart from their indices and the bytes of
/// what they started from, of a known image, and of custom rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its manifest, in hex.
    pub model_digest: String,
    /// The graph of the package that ran.
    pub graph: String,
    /// SHA-256 of the compiled rows, in hex.
    pub program_digest: String,
    /// What else determines the bits.
    pub fingerprint: String,
    /// Id of the noise generator.
    pub noise_layout: String,
    /// Key of all noise.
    pub seed: u64,
    /// Sample i has the label at i mod length; empty if unconditional.
    pub class_labels: Vec<u32>,
    /// With all options filled in. Custom rows are not repeated; `program_digest`
    /// identifies them.
    pub sampler: SamplerChoice,
    /// Intervals of the time grid.
    pub num_steps: u32,
    /// Which points were visited; `None` for custom rows.
    #[serde(serialize_with = "as_text")]
    pub grid: Option<Grid>,
    /// How predictions of x_0 were clipped; `None` for custom rows.
    #[serde(serialize_with = "as_text")]
    pub clip: Option<Clip>,
    /// Classifier-free guidance, if any.
    #[serde(serialize_with = "guidance")]
    pub guidance: Option<Guidance>,
    /// Noise shared by the samples, if any.
    #[serde(serialize_with = "shared_noise")]
    pub shared_noise: Option<SharedNoise>,
    /// SHA-256 over the initial states or images, the known image and the mask, in
    /// hex; empty without any.
    pub inputs_digest: String,
    /// Share of the steps applied to images; `None` unless samples started from
    /// images.
    pub strength: Option<f64>,
    /// How the known image was kept; `None` without one and for custom rows.
    #[serde(serialize_with = "inpaint")]
    pub inpaint: Option<Inpaint>,
    /// Frames of the interpolation between two states, if samples started on one.
    pub interpolation_frames: Option<u32>,
    /// What was promised of the bits; `None` from servers that promise nothing.
    pub determinism: Option<Determinism>,
}

impl Receipt {
    pub(crate) fn from_proto(receipt: Option<v1::Receipt>) -> Result<Self, Error> {
        let receipt = receipt.ok_or_else(|| Error::Protocol("a receipt is missing".to_owned()))?;
        Ok(Self {
            model: receipt.model,
            version: receipt.version,
            model_digest: receipt.model_digest,
            graph: receipt.graph,
            program_digest: receipt.program_digest,
            fingerprint: receipt.fingerprint,
            noise_layout: receipt.noise_layout,
            seed: receipt.seed,
            class_labels: receipt.class_labels,
            sampler: SamplerChoice::from_proto(receipt.sampler)?,
            num_steps: receipt.num_steps,
            grid: grid_from_wire(receipt.grid, receipt.grid_options, receipt.num_steps)?,
            clip: clip_from_wire(receipt.clip, receipt.dynamic_threshold)?,
            guidance: receipt.guidance.map(guidance_from_proto),
            shared_noise: receipt.shared_noise.map(shared_noise_from_proto),
            inputs_digest: receipt.inputs_digest,
            strength: receipt.strength,
            inpaint: receipt.inpaint.map(|inpaint| match inpaint {
                v1::receipt::Inpaint::ReplaceX0(_) => Inpaint::ReplaceX0,
                v1::receipt::Inpaint::ReplaceXT(repaint) => Inpaint::ReplaceXt {
                    resampling: repaint.resampling,
                    jump_length: repaint.jump_length,
                },
            }),
            interpolation_frames: Some(receipt.interpolation_frames).filter(|frames| *frames > 0),
            determinism: Determinism::from_proto(receipt.determinism)?,
        })
    }

    /// Returns the class of sample `index`; `None` if unconditional.
    #[must_use]
    pub fn label(&self, index: u64) -> Option<u32> {
        let position = index.checked_rem(self.class_labels.len() as u64)?;
        usize::try_from(position).ok().map(|position| self.class_labels[position])
    }
}

/// Omits `sigma_min` and `sigma_max` where they limit nothing.
fn guidance<S: Serializer>(guidance: &Option<Guidance>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(Guidance { scale, sigma_min, sigma_max }) = *guidance else {
        return serializer.serialize_none();
    };
    let numbers = [
        ("scale", Some(scale)),
        ("sigma_min", Some(sigma_min).filter(|sigma| *sigma > 0.0)),
        ("sigma_max", Some(sigma_max).filter(|sigma| sigma.is_finite())),
    ];
    serializer.collect_map(numbers.into_iter().filter_map(|(name, value)| Some((name, value?))))
}

/// Writes the method, with its numbers if it has any.
fn inpaint<S: Serializer>(inpaint: &Option<Inpaint>, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    #[serde(tag = "method", rename_all = "kebab-case")]
    enum Fields {
        #[serde(rename = "replace-x0")]
        ReplaceX0,
        ReplaceXt {
            resampling: u32,
            jump_length: u32,
        },
    }
    let fields = inpaint.map(|inpaint| match inpaint {
        Inpaint::ReplaceX0 => Fields::ReplaceX0,
        Inpaint::ReplaceXt { resampling, jump_length } => {
            Fields::ReplaceXt { resampling, jump_length }
        }
    });
    fields.serialize(serializer)
}

fn shared_noise<S: Serializer>(
    shared: &Option<SharedNoise>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Fields {
        index: u64,
        start: bool,
        steps: bool,
    }
    let fields = shared.map(|SharedNoise { index, start, steps }| Fields { index, start, steps });
    fields.serialize(serializer)
}

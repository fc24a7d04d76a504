//! What samples can be made again from.

use ddpm_proto::{
    convert::{guidance_from_proto, shared_noise_from_proto},
    v1,
};
use serde::{Serialize, Serializer};

use crate::{
    error::Error,
    settings::{
        Clip, Grid, Guidance, Inpaint, SamplerChoice, SharedNoise, as_text, clip_from_wire,
        grid_from_wire,
    },
};

/// Everything needed to make samples again, apart from their indices and from the
/// bytes of what they started from, of a known image, and of rows of one's own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Receipt {
    /// Name of the model.
    pub model: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its manifest, hex.
    pub model_digest: String,
    /// Which of the package's graphs ran.
    pub graph: String,
    /// SHA-256 of the compiled rows, hex.
    pub program_digest: String,
    /// What else decides the bits.
    pub fingerprint: String,
    /// Id of the way noise is drawn.
    pub noise_layout: String,
    /// Key of all noise.
    pub seed: u64,
    /// Sample i has the label at i mod length; empty: unconditional.
    pub class_labels: Vec<u32>,
    /// With its options filled in. Rows of one's own are named by
    /// `program_digest` and not repeated.
    pub sampler: SamplerChoice,
    /// Intervals of the time grid.
    pub num_steps: u32,
    /// Which points were visited; `None` for rows of one's own.
    #[serde(serialize_with = "as_text")]
    pub grid: Option<Grid>,
    /// How predictions of x_0 were clipped; `None` for rows of one's own.
    #[serde(serialize_with = "as_text")]
    pub clip: Option<Clip>,
    /// Classifier-free guidance, if there was any.
    #[serde(serialize_with = "guidance")]
    pub guidance: Option<Guidance>,
    /// Noise that the samples had in common, if any.
    #[serde(serialize_with = "shared_noise")]
    pub shared_noise: Option<SharedNoise>,
    /// SHA-256 over the initial states or images, the known image and the mask,
    /// hex; empty if there were none.
    pub inputs_digest: String,
    /// Share of the steps that images went through; `None` unless samples started
    /// from images.
    pub strength: Option<f64>,
    /// How the known image was kept; `None` if there was none, or if rows of one's
    /// own say it.
    #[serde(serialize_with = "inpaint")]
    pub inpaint: Option<Inpaint>,
    /// Samples of the whole way between two states, if they started on one.
    pub interpolation_frames: Option<u32>,
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
        })
    }

    /// The class of sample `index`; `None`: unconditional.
    #[must_use]
    pub fn label(&self, index: u64) -> Option<u32> {
        let position = index.checked_rem(self.class_labels.len() as u64)?;
        usize::try_from(position).ok().map(|position| self.class_labels[position])
    }
}

/// `sigma_min` and `sigma_max` only where they limit something.
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

/// The method, with its numbers where it has some.
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

//! What to sample, and what to show of it on the way.
//!
//! Only what is said is sent; for the rest the model's defaults hold. Nothing is
//! checked here that the server checks: it knows the limits and names the field.

use ddpm_proto::v1;

use crate::{
    events::Receipt,
    indices::Indices,
    settings::{Clip, Delivery, Format, Frames, Grid, Sampler},
};

/// A request for samples of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) indices: Indices,
    pub(crate) seed: Option<u64>,
    pub(crate) class_labels: Vec<u32>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) num_steps: Option<u32>,
    pub(crate) grid: Option<Grid>,
    pub(crate) clip: Option<Clip>,
    pub(crate) format: Option<Format>,
    pub(crate) watch: Option<Watch>,
    pub(crate) expect: Expect,
    pub(crate) request_id: String,
}

impl Request {
    /// Asks for the samples `indices` of `model`, with its defaults.
    #[must_use]
    pub fn new(model: impl Into<String>, indices: Indices) -> Self {
        Self {
            model: model.into(),
            version: String::new(),
            indices,
            seed: None,
            class_labels: Vec::new(),
            sampler: None,
            num_steps: None,
            grid: None,
            clip: None,
            format: None,
            watch: None,
            expect: Expect::default(),
            request_id: String::new(),
        }
    }

    /// Asks for this version of the model. Default: the one that is served.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// Key of all noise. Default: the server picks one and says it.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Classes to condition on: sample i gets `labels[i mod length]`.
    #[must_use]
    pub fn class_labels(self, labels: impl Into<Vec<u32>>) -> Self {
        Self { class_labels: labels.into(), ..self }
    }

    /// How to walk from noise to data.
    #[must_use]
    pub fn sampler(self, sampler: Sampler) -> Self {
        Self { sampler: Some(sampler), ..self }
    }

    /// Intervals of the time grid, from 1 to the model's timesteps.
    #[must_use]
    pub fn num_steps(self, num_steps: u32) -> Self {
        Self { num_steps: Some(num_steps), ..self }
    }

    /// Which timesteps are visited.
    #[must_use]
    pub fn grid(self, grid: Grid) -> Self {
        Self { grid: Some(grid), ..self }
    }

    /// Whether predictions of x_0 are clipped.
    #[must_use]
    pub fn clip(self, clip: Clip) -> Self {
        Self { clip: Some(clip), ..self }
    }

    /// How finished samples come. Default: u8 for pictures, f32 for points.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Shows samples while they form. Default: nothing.
    #[must_use]
    pub fn watch(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Refuse to start unless the answer would agree with these.
    #[must_use]
    pub fn expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// The client's name for this request, at most 128 bytes.
    #[must_use]
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: id.into(), ..self }
    }

    /// The same samples, but only those of `missing`, and only if they fit to the
    /// ones that `receipt` describes.
    pub(crate) fn resumed(&self, missing: Indices, receipt: &Receipt) -> Self {
        Self {
            watch: self.watch.as_ref().and_then(|watch| watch.only(&missing)),
            indices: missing,
            seed: Some(receipt.seed),
            expect: Expect::from(receipt),
            ..self.clone()
        }
    }

    pub(crate) fn to_proto(&self) -> v1::GenerateRequest {
        v1::GenerateRequest {
            model: self.model.clone(),
            version: self.version.clone(),
            samples: Some(self.indices.to_proto()),
            seed: self.seed,
            class_labels: self.class_labels.clone(),
            sampler: self.sampler.map(Sampler::to_proto),
            num_steps: self.num_steps,
            grid: self.grid.map_or(0, Grid::to_proto),
            clip: self.clip.map_or(0, Clip::to_proto),
            format: self.format.map_or(0, Format::to_proto),
            preview: self.watch.as_ref().map(Watch::to_proto),
            expect: self.expect.to_proto(),
            request_id: self.request_id.clone(), ..Default::default()
        }
    }
}

/// What to show of samples while they form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// Which samples; each must be one of the request. Empty: the first ones, up
    /// to the server's limit.
    pub indices: Vec<u64>,
    /// What to show of them.
    pub frames: Frames,
    /// Show every n-th step, and always the last. At least 1.
    pub every_steps: u32,
    /// `None`: as for finished samples.
    pub format: Option<Format>,
    /// What happens to previews that were not read in time.
    pub delivery: Delivery,
}

impl Watch {
    fn to_proto(&self) -> v1::PreviewOptions {
        v1::PreviewOptions {
            indices: self.indices.clone(),
            kind: self.frames.to_proto(),
            every_steps: self.every_steps,
            format: self.format.map_or(0, Format::to_proto),
            delivery: self.delivery.to_proto(),
        }
    }

    /// The watched ones of `missing`. `None` if that leaves none: an empty list
    /// would mean others.
    fn only(&self, missing: &Indices) -> Option<Self> {
        let kept = |index: &u64| missing.contains(*index);
        let indices: Vec<u64> = self.indices.iter().copied().filter(kept).collect();
        let nothing_left = indices.is_empty() && !self.indices.is_empty();
        (!nothing_left).then(|| Self { indices, ..self.clone() })
    }
}

/// What an answer must agree with; an empty field is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// As in [`Receipt::model_digest`].
    pub model_digest: String,
    /// As in [`Receipt::program_digest`].
    pub program_digest: String,
    /// As in [`Receipt::fingerprint`].
    pub fingerprint: String,
}

impl Expect {
    fn to_proto(&self) -> Option<v1::Expect> {
        (*self != Self::default()).then(|| v1::Expect {
            model_digest: self.model_digest.clone(),
            program_digest: self.program_digest.clone(),
            fingerprint: self.fingerprint.clone(),
        })
    }

    /// The first field of `receipt` that is not as expected.
    pub(crate) fn mismatch(&self, receipt: &Receipt) -> Option<&'static str> {
        let fields = [
            ("model_digest", &self.model_digest, &receipt.model_digest),
            ("program_digest", &self.program_digest, &receipt.program_digest),
            ("fingerprint", &self.fingerprint, &receipt.fingerprint),
        ];
        let wrong = fields.iter().find(|(_, want, got)| !want.is_empty() && want != got);
        wrong.map(|(name, ..)| *name)
    }
}

impl From<&Receipt> for Expect {
    fn from(receipt: &Receipt) -> Self {
        Self {
            model_digest: receipt.model_digest.clone(),
            program_digest: receipt.program_digest.clone(),
            fingerprint: receipt.fingerprint.clone(),
        }
    }
}

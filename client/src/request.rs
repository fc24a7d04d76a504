//! What to sample, and what to show of it on the way.
//!
//! Only what is said is sent; for the rest the model's defaults hold. Nothing is
//! checked here that the server checks: it knows the limits and names the field.

use ddpm_proto::{
    convert::{clip_to_proto, grid_to_proto, guidance_to_proto, shared_noise_to_proto},
    v1,
};

use crate::{
    error::Error,
    indices::Indices,
    initial::{Initial, Known},
    receipt::Receipt,
    settings::{Clip, Delivery, Format, Frames, Grid, Guidance, SamplerChoice, SharedNoise},
};

/// A request for samples of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    pub(crate) model: String,
    pub(crate) version: String,
    pub(crate) indices: Indices,
    pub(crate) seed: Option<u64>,
    pub(crate) class_labels: Vec<u32>,
    pub(crate) sampler: Option<SamplerChoice>,
    pub(crate) num_steps: Option<u32>,
    pub(crate) grid: Option<Grid>,
    pub(crate) clip: Option<Clip>,
    pub(crate) guidance: Option<Guidance>,
    /// On the wire already, where copies share the bytes.
    pub(crate) initial: Option<v1::Initial>,
    pub(crate) known: Option<v1::Inpaint>,
    pub(crate) shared_noise: Option<SharedNoise>,
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
            guidance: None,
            initial: None,
            known: None,
            shared_noise: None,
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

    /// How to walk from noise to data: a [`Sampler`](crate::Sampler), a
    /// [`Program`](crate::Program) of one's own, or the server's choice.
    ///
    /// With a program all that its rows say already must be left out: steps, grid,
    /// clip, guidance, strength, the method of a known image, shared noise.
    #[must_use]
    pub fn sampler(self, sampler: impl Into<SamplerChoice>) -> Self {
        Self { sampler: Some(sampler.into()), ..self }
    }

    /// Intervals of the time grid, from 1 to the model's timesteps; with
    /// [`SamplerChoice::Auto`] evaluations a sample may cost.
    #[must_use]
    pub fn num_steps(self, num_steps: u32) -> Self {
        Self { num_steps: Some(num_steps), ..self }
    }

    /// Which points of the forward process are visited.
    #[must_use]
    pub fn grid(self, grid: Grid) -> Self {
        Self { grid: Some(grid), ..self }
    }

    /// What keeps predictions of x_0 in range.
    #[must_use]
    pub fn clip(self, clip: Clip) -> Self {
        Self { clip: Some(clip), ..self }
    }

    /// Classifier-free guidance towards the class labels. Default: none.
    #[must_use]
    pub fn guidance(self, guidance: Guidance) -> Self {
        Self { guidance: Some(guidance), ..self }
    }

    /// What samples start from. Default: noise.
    #[must_use]
    pub fn initial(self, initial: &Initial) -> Self {
        Self { initial: Some(initial.to_proto()), ..self }
    }

    /// An image that is known in part. Default: nothing is known.
    #[must_use]
    pub fn known(self, known: &Known) -> Self {
        Self { known: Some(known.to_proto()), ..self }
    }

    /// Noise that all samples have in common. Default: each has its own.
    #[must_use]
    pub fn shared_noise(self, shared: SharedNoise) -> Self {
        Self { shared_noise: Some(shared), ..self }
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

    /// The same samples, but only those of `indices`. What they start from goes
    /// along whole: which of it is a sample's own follows from its index.
    pub(crate) fn only(&self, indices: Indices) -> Self {
        let watch = self.watch.as_ref().and_then(|watch| watch.only(&indices));
        Self { watch, indices, ..self.clone() }
    }

    /// The same samples, and only if they fit to the ones that `receipt` describes.
    pub(crate) fn fitting(self, receipt: &Receipt) -> Self {
        Self { seed: Some(receipt.seed), expect: Expect::from(receipt), ..self }
    }

    /// # Errors
    ///
    /// [`Error::Request`] for a grid that has another number of steps in its name
    /// than `num_steps`: the wire could not tell the two apart.
    pub(crate) fn to_proto(&self) -> Result<v1::GenerateRequest, Error> {
        let (grid, grid_options) = self.grid.as_ref().map(grid_to_proto).unwrap_or_default();
        let (clip, dynamic_threshold) = self.clip.map(clip_to_proto).unwrap_or_default();
        Ok(v1::GenerateRequest {
            model: self.model.clone(),
            version: self.version.clone(),
            samples: Some(self.indices.to_proto()),
            seed: self.seed,
            class_labels: self.class_labels.clone(),
            sampler: self.sampler.as_ref().map(SamplerChoice::to_proto),
            num_steps: self.steps()?,
            grid: grid.into(),
            grid_options,
            clip: clip.into(),
            dynamic_threshold,
            guidance: self.guidance.map(guidance_to_proto),
            initial: self.initial.clone(),
            inpaint: self.known.clone(),
            shared_noise: self.shared_noise.map(shared_noise_to_proto),
            format: self.format.map_or(0, Format::to_proto),
            preview: self.watch.as_ref().map(Watch::to_proto),
            expect: self.expect.to_proto(),
            request_id: self.request_id.clone(),
        })
    }

    /// A stride is named by its steps, which are no part of the grid on the wire.
    fn steps(&self) -> Result<Option<u32>, Error> {
        let Some(Grid::DdimStride(steps)) = self.grid else { return Ok(self.num_steps) };
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        match self.num_steps {
            Some(other) if other != steps => Err(Error::Request(format!(
                "the grid ddim:{steps} has {steps} steps, so num_steps cannot be {other}"
            ))),
            _ => Ok(Some(steps)),
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

    /// The watched ones of `indices`. `None` if that leaves none: an empty list
    /// would mean others.
    fn only(&self, indices: &Indices) -> Option<Self> {
        let kept = |index: &u64| indices.contains(*index);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{events::Data, settings::Sampler};

    fn base() -> Request {
        Request::new("m", Indices::first(8))
    }

    #[test]
    fn a_part_of_a_request_brings_along_all_that_its_samples_start_from() {
        let images = vec![Data::Pixels(vec![1]), Data::Pixels(vec![2])];
        let initial = Initial::Images { images, strength: Some(0.5) };
        let known =
            Known { image: Data::Values(vec![0.5]), mask: Data::Pixels(vec![1]), method: None };
        let whole = base().initial(&initial).known(&known);

        let part = whole.only("3-4".parse().unwrap()).to_proto().unwrap();

        let whole = whole.to_proto().unwrap();
        assert_eq!((part.initial, part.inpaint), (whole.initial, whole.inpaint));
        assert_eq!(part.samples, Some("3-4".parse::<Indices>().unwrap().to_proto()));
    }

    #[test]
    fn a_stride_says_its_steps_and_refuses_others() {
        let stride = || base().grid(Grid::DdimStride(25));

        assert_eq!(stride().to_proto().unwrap().num_steps, Some(25));
        assert_eq!(stride().num_steps(25).to_proto().unwrap().num_steps, Some(25));
        let sentence = stride().num_steps(20).to_proto().unwrap_err().to_string();
        assert!(sentence.contains("cannot be 20"), "{sentence}");
    }

    #[test]
    fn numbers_of_grid_clip_and_guidance_go_beside_their_names() {
        let request = base()
            .sampler(Sampler::Heun)
            .grid("karras:rho=5".parse().unwrap())
            .clip("dynamic:quantile=0.9".parse().unwrap())
            .guidance(Guidance { scale: 3.0, sigma_min: 0.0, sigma_max: 2.0 })
            .shared_noise(SharedNoise { index: 9, start: true, steps: false });

        let wire = request.to_proto().unwrap();

        assert_eq!(wire.grid(), v1::Grid::Karras);
        assert_eq!(wire.grid_options.as_ref().unwrap().rho, Some(5.0));
        assert_eq!(wire.clip(), v1::Clip::Dynamic);
        assert_eq!(wire.dynamic_threshold.unwrap().quantile, Some(0.9));
        let guidance = v1::Guidance { scale: 3.0, sigma_min: None, sigma_max: Some(2.0) };
        assert_eq!(wire.guidance, Some(guidance));
        assert_eq!(
            wire.shared_noise.unwrap(),
            v1::SharedNoise { index: 9, start: true, steps: false }
        );
    }
}

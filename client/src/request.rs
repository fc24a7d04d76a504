//! Requests: what to sample, and what to show of it on the way.
//!
//! Unset fields are not sent and default to the model's own. Checks are left to the
//! server, which knows the limits and names the field.

use std::time::Duration;

use ddpm_proto::convert::{clip_to_proto, grid_to_proto, guidance_to_proto, shared_noise_to_proto};
use ddpm_proto::v1;

use crate::error::Error;
use crate::indices::Indices;
use crate::initial::{Initial, Known};
use crate::receipt::Receipt;
use crate::settings::{
    Clip, Delivery, Determinism, Format, Frames, Grid, Guidance, OnDeadline, Priority,
    SamplerChoice, SharedNoise,
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
    /// Already encoded, so that copies share the bytes.
    pub(crate) initial: Option<v1::Initial>,
    pub(crate) known: Option<v1::Inpaint>,
    pub(crate) shared_noise: Option<SharedNoise>,
    pub(crate) format: Option<Format>,
    pub(crate) watch: Option<Watch>,
    pub(crate) expect: Expect,
    pub(crate) request_id: String,
    pub(crate) priority: Option<Priority>,
    pub(crate) determinism: Option<Determinism>,
    pub(crate) graph: String,
    pub(crate) deadline: Option<Duration>,
    pub(crate) on_deadline: Option<OnDeadline>,
    pub(crate) accept_build: bool,
}

impl Request {
    /// Requests the samples `indices` of `model`, with its defaults.
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
            priority: None,
            determinism: None,
            graph: String::new(),
            deadline: None,
            on_deadline: None,
            accept_build: false,
        }
    }

    /// Requests this version of the model. Default: the served one.
    #[must_use]
    pub fn version(self, version: impl Into<String>) -> Self {
        Self { version: version.into(), ..self }
    }

    /// Sets the key of all noise. Default: the server picks one and reports it.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Conditions on classes: sample i gets `labels[i mod length]`.
    #[must_use]
    pub fn class_labels(self, labels: impl Into<Vec<u32>>) -> Self {
        Self { class_labels: labels.into(), ..self }
    }

    /// Sets how to get from noise to data: a [`Sampler`](crate::Sampler), a custom
    /// [`Program`](crate::Program), or the server's choice.
    ///
    /// With a program, omit everything its rows already define: steps, grid, clip,
    /// guidance, strength, the method of a known image, shared noise.
    #[must_use]
    pub fn sampler(self, sampler: impl Into<SamplerChoice>) -> Self {
        Self { sampler: Some(sampler.into()), ..self }
    }

    /// Sets the intervals of the time grid, from 1 to the model's timesteps; with
    /// [`SamplerChoice::Auto`], the most evaluations per sample.
    #[must_use]
    pub fn num_steps(self, num_steps: u32) -> Self {
        Self { num_steps: Some(num_steps), ..self }
    }

    /// Sets which points of the forward process are visited.
    #[must_use]
    pub fn grid(self, grid: Grid) -> Self {
        Self { grid: Some(grid), ..self }
    }

    /// Sets what keeps predictions of x_0 in range.
    #[must_use]
    pub fn clip(self, clip: Clip) -> Self {
        Self { clip: Some(clip), ..self }
    }

    /// Adds classifier-free guidance towards the class labels. Default: none.
    #[must_use]
    pub fn guidance(self, guidance: Guidance) -> Self {
        Self { guidance: Some(guidance), ..self }
    }

    /// Sets what samples start from. Default: noise.
    #[must_use]
    pub fn initial(self, initial: &Initial) -> Self {
        Self { initial: Some(initial.to_proto()), ..self }
    }

    /// Sets a partly known image. Default: nothing is known.
    #[must_use]
    pub fn known(self, known: &Known) -> Self {
        Self { known: Some(known.to_proto()), ..self }
    }

    /// Gives all samples the same noise. Default: each has its own.
    #[must_use]
    pub fn shared_noise(self, shared: SharedNoise) -> Self {
        Self { shared_noise: Some(shared), ..self }
    }

    /// Sets the encoding of samples. Default: u8 for pictures, f32 for points.
    #[must_use]
    pub fn format(self, format: Format) -> Self {
        Self { format: Some(format), ..self }
    }

    /// Requests previews of samples while they form. Default: none.
    #[must_use]
    pub fn watch(self, watch: Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Refuses to start unless the answer would match these.
    #[must_use]
    pub fn expect(self, expect: Expect) -> Self {
        Self { expect, ..self }
    }

    /// Sets the client's name for this request, at most 128 bytes.
    #[must_use]
    pub fn request_id(self, id: impl Into<String>) -> Self {
        Self { request_id: id.into(), ..self }
    }

    /// Sets what goes first among the requests of one principal. Default:
    /// [`Priority::Normal`].
    #[must_use]
    pub fn priority(self, priority: Priority) -> Self {
        Self { priority: Some(priority), ..self }
    }

    /// Sets what is promised of the bits. Default: [`Determinism::Relaxed`].
    #[must_use]
    pub fn determinism(self, determinism: Determinism) -> Self {
        Self { determinism: Some(determinism), ..self }
    }

    /// Sets which of the model's graphs computes; see [`Model::graphs`](crate::Model::graphs).
    /// Default: the server's choice.
    #[must_use]
    pub fn graph(self, graph: impl Into<String>) -> Self {
        Self { graph: graph.into(), ..self }
    }

    /// Sets the time for the whole run, interruptions included, from when its request goes out.
    /// A server refuses at once what it cannot do in time. Default: no limit.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// Sets what happens when the deadline is over. Default: [`OnDeadline::Fail`].
    #[must_use]
    pub fn on_deadline(self, on_deadline: OnDeadline) -> Self {
        Self { on_deadline: Some(on_deadline), ..self }
    }

    /// Sets whether another build, or another machine, may go on with a run, or with what
    /// [`expect`](Self::expect) names: model and rows stay the same, but samples may differ in
    /// the last bits. The run is then accepted again, with a new receipt. Default: it may not,
    /// and the run ends with an error for which
    /// [`is_other_build`](crate::Error::is_other_build) is true.
    #[must_use]
    pub fn accept_build(self, accept_build: bool) -> Self {
        Self { accept_build, ..self }
    }

    /// Returns the same request for `indices` only. It keeps everything samples start
    /// from, because a sample's index decides which part it uses.
    pub(crate) fn only(&self, indices: Indices) -> Self {
        let watch = self.watch.as_ref().and_then(|watch| watch.only(&indices));
        Self { watch, indices, ..self.clone() }
    }

    /// Returns the same request, to be accepted only if its samples match `receipt`.
    pub(crate) fn matching(self, receipt: &Receipt) -> Self {
        // By name, wherever it goes on: another replica may choose another graph.
        let graph = receipt.graph.clone();
        Self { seed: Some(receipt.seed), expect: Expect::from(receipt), graph, ..self }
    }

    /// Converts the request.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] if the number of steps in the grid's name differs from
    /// `num_steps`: the wire has only one field for both.
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
            priority: self.priority.map_or(0, Priority::to_proto),
            determinism: self.determinism.map_or(0, Determinism::to_proto),
            on_deadline: self.on_deadline.map_or(0, OnDeadline::to_proto),
            graph: self.graph.clone(),
        })
    }

    /// Returns `num_steps` for the wire, where a stride's steps are not part of the grid.
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
    /// Which samples; each must belong to the request. Empty: the first ones, up
    /// to the server's limit.
    pub indices: Vec<u64>,
    /// What to show of them.
    pub frames: Frames,
    /// Shows every n-th step, and always the last. At least 1.
    pub every_steps: u32,
    /// `None`: that of finished samples.
    pub format: Option<Format>,
    /// What happens to previews that are not read in time.
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

    /// Keeps the watched samples among `indices`. `None` if none are left: an empty
    /// list would mean the first ones.
    fn only(&self, indices: &Indices) -> Option<Self> {
        let kept = |index: &u64| indices.contains(*index);
        let indices: Vec<u64> = self.indices.iter().copied().filter(kept).collect();
        let nothing_left = indices.is_empty() && !self.indices.is_empty();
        (!nothing_left).then(|| Self { indices, ..self.clone() })
    }
}

/// What an answer must match; an empty field is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expect {
    /// As in [`Receipt::model_digest`].
    pub model_digest: String,
    /// As in [`Receipt::program_digest`].
    pub program_digest: String,
    /// As in [`Receipt::fingerprint`].
    pub fingerprint: String,
    /// As in [`Receipt::graph`].
    pub graph: String,
}

impl Expect {
    fn to_proto(&self) -> Option<v1::Expect> {
        (*self != Self::default()).then(|| v1::Expect {
            model_digest: self.model_digest.clone(),
            program_digest: self.program_digest.clone(),
            fingerprint: self.fingerprint.clone(),
            graph: self.graph.clone(),
        })
    }

    /// Returns the first field of `receipt` that is not as expected.
    pub(crate) fn mismatch(&self, receipt: &Receipt) -> Option<&'static str> {
        let fields = [
            ("model_digest", &self.model_digest, &receipt.model_digest),
            ("program_digest", &self.program_digest, &receipt.program_digest),
            ("graph", &self.graph, &receipt.graph),
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
            graph: receipt.graph.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Data;
    use crate::samplers::Heun;
    use crate::settings::Sampler;

    fn base() -> Request {
        Request::new("m", Indices::first(8))
    }

    #[test]
    fn a_part_of_a_request_keeps_everything_samples_start_from() {
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
    fn a_stride_sets_its_steps_and_refuses_others() {
        let stride = || base().grid(Grid::DdimStride(25));

        assert_eq!(stride().to_proto().unwrap().num_steps, Some(25));
        assert_eq!(stride().num_steps(25).to_proto().unwrap().num_steps, Some(25));
        let sentence = stride().num_steps(20).to_proto().unwrap_err().to_string();
        assert!(sentence.contains("cannot be 20"), "{sentence}");
    }

    #[test]
    fn numbers_of_grid_clip_and_guidance_have_fields_of_their_own() {
        let request = base()
            .sampler(Sampler::from(Heun))
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

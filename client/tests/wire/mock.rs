//! A `ddpm.v1` server without a model: samples are simple functions of seed and index,
//! and a script decides what goes wrong in each call of Generate.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ddpm_client::proto as v1;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};
use v1::generate_event::Event;

/// What one call of Generate does.
pub(crate) enum Script {
    /// Sends a valid answer.
    Serve,
    /// Refuses.
    Refuse(Status),
    /// Sends this number of events of a valid answer, then this status.
    BreakAfter(usize, Status),
    /// Sends this number of events of a valid answer, then nothing, forever.
    HangAfter(usize),
    /// Sends a valid answer after this change.
    Tamper(fn(&mut Vec<v1::GenerateEvent>)),
}

impl Script {
    /// Sends a valid answer with another fingerprint.
    pub(crate) fn another_build() -> Self {
        Self::Tamper(|events| {
            if let Some(Event::Accepted(accepted)) = &mut events[0].event {
                accepted.receipt.as_mut().unwrap().fingerprint = "another build".into();
            }
        })
    }
}

/// A running server; dropping it stops it and closes its connections.
pub(crate) struct Mock {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct State {
    scripts: Mutex<VecDeque<Script>>,
    requests: Mutex<Vec<v1::GenerateRequest>>,
    /// `grpc-timeout` of each request.
    timeouts: Mutex<Vec<Option<String>>>,
    /// 0: no limit.
    max_samples: AtomicU32,
}

impl Mock {
    /// Starts on a free port. After the last script, every call gets a valid answer.
    pub(crate) fn start(scripts: impl IntoIterator<Item = Script>) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), scripts)
    }

    pub(crate) fn start_at(address: SocketAddr, scripts: impl IntoIterator<Item = Script>) -> Self {
        let state = Arc::new(State {
            scripts: Mutex::new(scripts.into_iter().collect()),
            requests: Mutex::default(),
            timeouts: Mutex::default(),
            max_samples: AtomicU32::new(0),
        });
        let runtime = Runtime::new().unwrap();
        let socket = std::net::TcpListener::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let shared = Service(state.clone());
        runtime.spawn(async move {
            let incoming = TcpListenerStream::new(TcpListener::from_std(socket).unwrap());
            Server::builder()
                .add_service(v1::sampling_service_server::SamplingServiceServer::new(
                    shared.clone(),
                ))
                .add_service(v1::model_service_server::ModelServiceServer::new(shared.clone()))
                .add_service(v1::server_service_server::ServerServiceServer::new(shared))
                .serve_with_incoming(incoming)
                .await
        });
        Self { address, state, runtime: Some(runtime) }
    }

    /// Limits the samples per request.
    pub(crate) fn limit_samples(&self, max_samples: u32) {
        self.state.max_samples.store(max_samples, Relaxed);
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns `grpc-timeout` of all requests to generate.
    pub(crate) fn timeouts(&self) -> Vec<Option<String>> {
        self.state.timeouts.lock().unwrap().clone()
    }

    /// Returns all requests to generate, in order of arrival.
    pub(crate) fn requests(&self) -> Vec<v1::GenerateRequest> {
        self.state.requests.lock().unwrap().clone()
    }
}

/// Says what a server says that drains.
pub(crate) fn draining(pause: Duration) -> Status {
    refusal(Code::Unavailable, "DRAINING", Some(pause))
}

/// Says what a server says whose `field` of `expect` is another.
pub(crate) fn mismatch(field: &str) -> Status {
    let mut details = ErrorDetails::with_error_info("EXPECT_MISMATCH", "ddpm", []);
    details.add_precondition_failure_violation("EXPECT", field, "before");
    Status::with_error_details(Code::FailedPrecondition, "not the same samples", details)
}

/// Refuses with a reason.
pub(crate) fn refusal(code: Code, reason: &str, pause: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, "ddpm", []);
    if let Some(pause) = pause {
        details.set_retry_info(Some(pause));
    }
    Status::with_error_details(code, "no", details)
}

/// Keeps one sample of an answer; the deadline cut off the others.
pub(crate) fn cut_off_after_one(events: &mut Vec<v1::GenerateEvent>) {
    let unfinished = events.len() as u32 - 3;
    events.truncate(2);
    let completed = v1::Completed { samples: 1, unfinished, ..Default::default() };
    events.push(v1::GenerateEvent { sequence: 2, event: Some(Event::Completed(completed)) });
}

/// Returns when the port is free. Waits on its own thread, because a runtime must not
/// block inside another.
impl Drop for Mock {
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else { return };
        let stop = move || runtime.shutdown_timeout(Duration::from_secs(10));
        thread::spawn(stop).join().expect("stopping does not panic");
    }
}

#[derive(Clone)]
struct Service(Arc<State>);

type Events = Pin<Box<dyn Stream<Item = Result<v1::GenerateEvent, Status>> + Send>>;

#[tonic::async_trait]
impl v1::sampling_service_server::SamplingService for Service {
    type GenerateStream = Events;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Events>, Status> {
        let timeout = request.metadata().get("grpc-timeout");
        let timeout = timeout.map(|timeout| timeout.to_str().unwrap().to_owned());
        self.0.timeouts.lock().unwrap().push(timeout);
        let request = request.into_inner();
        self.0.requests.lock().unwrap().push(request.clone());
        let script = self.0.scripts.lock().unwrap().pop_front().unwrap_or(Script::Serve);
        let mut events = answer(&request);
        let stream: Events = match script {
            Script::Refuse(status) => return Err(status),
            Script::Serve => Box::pin(tokio_stream::iter(events.into_iter().map(Ok))),
            Script::BreakAfter(count, status) => {
                let whole = events.into_iter().take(count).map(Ok);
                Box::pin(tokio_stream::iter(whole.chain([Err(status)])))
            }
            Script::HangAfter(count) => {
                let whole = tokio_stream::iter(events.into_iter().take(count).map(Ok));
                Box::pin(whole.chain(tokio_stream::pending()))
            }
            Script::Tamper(change) => {
                change(&mut events);
                Box::pin(tokio_stream::iter(events.into_iter().map(Ok)))
            }
        };
        Ok(Response::new(stream))
    }

    /// Estimates 10 evals and 1 s a sample, behind 5 samples of 1 s.
    async fn estimate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        let count = indices(request.get_ref()).len() as i64;
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        Ok(Response::new(v1::EstimateResponse {
            evals_per_sample: 10,
            total_evals: 10 * count as u64,
            compute_time: seconds(count),
            queue_position: 5,
            eta: seconds(count + 5),
        }))
    }

    /// Answers every request with one row.
    async fn compile(
        &self,
        request: Request<v1::CompileRequest>,
    ) -> Result<Response<v1::CompileResponse>, Status> {
        let request = request.into_inner().request.unwrap_or_default();
        let receipt = receipt(&request);
        let mix = v1::Mix { u: 1.0 / 3.0, x_0: 1.0, ..Default::default() };
        let row = v1::Row {
            evals: v1::Evals::One.into(),
            t: 999.0,
            u: Some(mix),
            step: receipt.num_steps,
            ends_step: true,
            ..Default::default()
        };
        Ok(Response::new(v1::CompileResponse {
            program: Some(v1::Program { rows: vec![row] }),
            program_digest: receipt.program_digest,
            evals_per_sample: 1,
            sampler: receipt.sampler,
            num_steps: receipt.num_steps,
            grid: receipt.grid,
            clip: receipt.clip,
            dynamic_threshold: receipt.dynamic_threshold,
            ..Default::default()
        }))
    }
}

#[tonic::async_trait]
impl v1::model_service_server::ModelService for Service {
    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        Ok(Response::new(v1::ListModelsResponse { models: vec![glyphs(), toy()] }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let name = request.into_inner().model;
        let model = [glyphs(), toy()].into_iter().find(|model| model.name == name);
        let model = model.ok_or_else(|| Status::not_found(format!("no model `{name}`")))?;
        Ok(Response::new(v1::GetModelResponse { model: Some(model) }))
    }
}

#[tonic::async_trait]
impl v1::server_service_server::ServerService for Service {
    async fn get_server_info(
        &self,
        _: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let max_samples = self.0.max_samples.load(Relaxed);
        let limits = v1::Limits {
            max_watched_samples: 4,
            max_samples,
            max_principal_requests: 8,
            stall_time: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
            ..Default::default()
        };
        let device = v1::Device { name: "cpu".into(), ..Default::default() };
        Ok(Response::new(v1::GetServerInfoResponse {
            version: "1.2.3".into(),
            device: Some(device),
            limits: Some(limits),
            load: Some(v1::Load { principals: 2, blocked_requests: 3, ..Default::default() }),
            ..Default::default()
        }))
    }
}

fn glyphs() -> v1::Model {
    v1::Model {
        name: "glyphs".into(),
        version: "1".into(),
        kind: v1::ModelKind::Image.into(),
        shape: vec![3, 8, 8],
        class_names: vec!["ring".into(), "cross".into()],
        default_sampler: Some(sampler()),
        default_num_steps: 10,
        ..Default::default()
    }
}

fn toy() -> v1::Model {
    v1::Model {
        name: "toy".into(),
        kind: v1::ModelKind::Points2d.into(),
        shape: vec![2],
        class_names: Vec::new(),
        ..glyphs()
    }
}

fn sampler() -> v1::Sampler {
    let ddim = v1::Ddim { eta: 0.0, clip_rule: v1::DdimClipRule::RecomputeEps.into() };
    v1::Sampler { kind: Some(v1::sampler::Kind::Ddim(ddim)) }
}

/// The receipt of every answer; without a seed the server picks 4242.
fn receipt(request: &v1::GenerateRequest) -> v1::Receipt {
    v1::Receipt {
        model: request.model.clone(),
        version: "1".into(),
        model_digest: "m".repeat(64),
        graph: "portable".into(),
        program_digest: "p".repeat(64),
        fingerprint: "mock".into(),
        noise_layout: "none".into(),
        seed: request.seed.unwrap_or(4242),
        class_labels: request.class_labels.clone(),
        sampler: request.sampler.clone().or_else(|| Some(sampler())),
        num_steps: request.num_steps.unwrap_or(10),
        grid: v1::Grid::Trailing.into(),
        clip: v1::Clip::Unit.into(),
        ..Default::default()
    }
}

fn indices(request: &v1::GenerateRequest) -> Vec<u64> {
    match request.samples.clone().unwrap() {
        v1::generate_request::Samples::SampleCount(count) => (0..u64::from(count)).collect(),
        v1::generate_request::Samples::IndexRanges(ranges) => {
            let range = |range: v1::IndexRange| range.first..range.first + u64::from(range.count);
            ranges.ranges.into_iter().flat_map(range).collect()
        }
    }
}

/// Makes a valid answer: accepted, previews step by step, samples one by one.
pub(crate) fn answer(request: &v1::GenerateRequest) -> Vec<v1::GenerateEvent> {
    let (receipt, indices) = (receipt(request), indices(request));
    let mut events = vec![Event::Accepted(v1::Accepted {
        request_id: request.request_id.clone(),
        receipt: Some(receipt.clone()),
        evals_per_sample: 10,
        total_evals: 10 * indices.len() as u64,
        ..Default::default()
    })];
    if let Some(options) = &request.preview {
        events.extend(previews(request, options, &receipt));
    }
    events.extend(indices.iter().map(|&index| sample(request, &receipt, index)));
    let samples = indices.len() as u32;
    events.push(Event::Completed(v1::Completed { samples, ticks: 10, ..Default::default() }));
    number(events)
}

/// Numbers the events of a stream.
pub(crate) fn number(events: Vec<Event>) -> Vec<v1::GenerateEvent> {
    let numbered = events.into_iter().zip(0..);
    numbered.map(|(event, sequence)| v1::GenerateEvent { sequence, event: Some(event) }).collect()
}

fn previews(
    request: &v1::GenerateRequest,
    options: &v1::PreviewOptions,
    receipt: &v1::Receipt,
) -> Vec<Event> {
    let steps = 1..=receipt.num_steps;
    let shown =
        steps.filter(|step| step % options.every_steps.max(1) == 0 || *step == receipt.num_steps);
    let kinds = match options.kind() {
        v1::PreviewKind::Both => vec![v1::PreviewKind::XT, v1::PreviewKind::X0],
        kind => vec![kind],
    };
    let preview = |step: u32, kind: v1::PreviewKind| v1::Preview {
        kind: kind.into(),
        step,
        num_steps: receipt.num_steps,
        noise_level: 1.0 - f64::from(step) / f64::from(receipt.num_steps),
        packed: Some(packed(request, receipt, &options.indices, step)),
    };
    let event = |step| {
        let previews = kinds.iter().map(|&kind| preview(step, kind)).collect();
        Event::Previews(v1::Previews { previews, skipped: 0 })
    };
    shown.map(event).collect()
}

fn sample(request: &v1::GenerateRequest, receipt: &v1::Receipt, index: u64) -> Event {
    let packed = packed(request, receipt, &[index], receipt.num_steps);
    Event::Samples(v1::Samples {
        sha256: vec![Sha256::digest(&packed.data).to_vec().into()],
        packed: Some(packed),
        ..Default::default()
    })
}

/// Samples after `step` steps.
fn packed(
    request: &v1::GenerateRequest,
    receipt: &v1::Receipt,
    indices: &[u64],
    step: u32,
) -> v1::Packed {
    let share = step as f32 / receipt.num_steps as f32;
    let points = request.model == "toy";
    let floats = points || request.format() == v1::Format::RawF32;
    let (format, shape) = match (points, floats) {
        (true, _) => (v1::Format::RawF32, vec![2]),
        (false, true) => (v1::Format::RawF32, vec![3, 8, 8]),
        (false, false) => (v1::Format::RawU8, vec![8, 8, 3]),
    };
    let bytes = |&index: &u64| -> Vec<u8> {
        let turn = index as f32 + receipt.seed as f32;
        match (points, floats) {
            (true, _) => floats_of([turn.cos(), turn.sin()].map(|x| x * share)),
            (false, true) => floats_of((0..192).map(|i| (turn + i as f32).sin() * 2.0 * share)),
            (false, false) => pixels(receipt.seed, index, share),
        }
    };
    v1::Packed {
        indices: indices.to_vec(),
        format: format.into(),
        shape,
        data: indices.iter().flat_map(bytes).collect::<Vec<u8>>().into(),
        lengths: Vec::new(),
    }
}

fn floats_of(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Returns the 8 x 8 x 3 pixels of sample `index`: a ramp with a start of its own.
pub(crate) fn pixels(seed: u64, index: u64, share: f32) -> Vec<u8> {
    let start = seed.wrapping_mul(31).wrapping_add(index.wrapping_mul(17));
    let pixel = |i: u64| (start.wrapping_add(i) % 256) as f32 * share;
    (0..192).map(|i| pixel(i) as u8).collect()
}

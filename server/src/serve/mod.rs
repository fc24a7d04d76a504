//! Starts everything, drains it, and stops it in order.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ddpm_onnx::{Device, Runtime, RuntimeOptions};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

use crate::admission::Admission;
use crate::api::{Checks, CompiledCache, Services, Serving};
use crate::config::Settings;
use crate::cost::Costs;
use crate::engine::EngineHandle;
use crate::fingerprint::fingerprint;
use crate::registry::{LoadOptions, LoadedModels, Registry, Source};
use crate::runtime::{self, BoundDevice, BoundModel, HostDevice, SamplesOn};
use crate::transport::{self, BodyLayer, BodyTimes, Transport};

/// How long connections have to close once nothing is in flight.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The same after a second signal.
const HURRIED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Classes in an example.
const EXAMPLE_LABELS: usize = 8;

/// A server that is loaded and checked, but does not listen yet.
pub struct Loaded {
    settings: Settings,
    serving: Arc<Serving>,
    abort: CancellationToken,
    engine: thread::JoinHandle<()>,
}

impl Loaded {
    /// Returns what to try: the name of a model, and some of its classes, since samples of none in
    /// particular look worse.
    #[must_use]
    pub fn example(&self) -> String {
        let Some(model) = self.serving.registry.models().next() else { return "MODEL".into() };
        let name = &model.manifest.name;
        let labels = (0..model.manifest.classes.len().min(EXAMPLE_LABELS)).map(|it| it.to_string());
        match labels.collect::<Vec<_>>() {
            none if none.is_empty() => name.clone(),
            labels => format!("{name} --label {}", labels.join(",")),
        }
    }

    /// Returns whether browsers get the page.
    #[must_use]
    pub fn has_page(&self) -> bool {
        self.settings.web.is_some()
    }
}

/// Loads ONNX Runtime and the models, and starts the engine.
///
/// # Errors
///
/// Says what is missing or broken, and which command fixes it.
pub fn load(settings: Settings) -> anyhow::Result<Loaded> {
    let runtime = Runtime::load(&RuntimeOptions {
        library: settings.ort_lib.clone(),
        threads: settings.threads,
        spinning: settings.spin,
    })?;
    let device = Device::choose(runtime, settings.device)?;
    info!(
        device = device.name(),
        reason = device.reason(),
        onnxruntime = runtime.version(),
        "device"
    );
    if settings.web.is_some() {
        crate::web::prepare();
    }
    let source = settings.models.clone().map_or(Source::Embedded, Source::Folder);
    let fingerprint = fingerprint(runtime, &device);
    let options = LoadOptions {
        runtime,
        device: &device,
        graphs: &settings.graphs,
        fingerprint: &fingerprint,
        samples_on: settings.samples_on,
        sizes: settings.sizes,
        cache_dir: settings.cache_dir.as_deref(),
    };
    let LoadedModels { registry, networks, curves, upkeep } = Registry::load(&source, &options)?;
    let costs = Costs::new(curves);
    let abort = CancellationToken::new();
    let computing: Box<dyn runtime::Device> = match settings.samples_on {
        SamplesOn::Host => Box::new(HostDevice::new(networks)),
        SamplesOn::Device => {
            Box::new(BoundDevice::new(networks.into_iter().map(BoundModel::new).collect()))
        }
    };
    let (engine, thread) = EngineHandle::start(computing, costs.clone(), upkeep, abort.clone())?;
    let admission = Admission::new(settings.limits, costs.clone());
    let serving = Serving {
        registry,
        engine,
        costs,
        stop: abort.clone(),
        checks: Checks::new(max_concurrent_checks()),
        compiled: CompiledCache::new(&admission),
        admission,
        streams: TaskTracker::new(),
        fingerprint,
        onnxruntime_version: runtime.version().into(),
        device,
    };
    Ok(Loaded { settings, serving: Arc::new(serving), abort, engine: thread })
}

/// Returns how many requests of any size may be checked at once. Long programs take seconds, so
/// one core is left to the engine.
fn max_concurrent_checks() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// What ends a server.
#[derive(Debug, Clone, Default)]
pub struct Ending {
    /// Cancelled to drain: accepted requests are finished.
    pub drain: CancellationToken,
    /// Cancelled to end at once: open streams end with UNAVAILABLE.
    pub now: CancellationToken,
}

/// How a server has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// Nothing runs any more.
    Clean,
    /// The engine's thread is still inside a call: ONNX Runtime must not be taken down under it,
    /// so leave without running destructors.
    EngineBusy,
}

/// Serves until `ending` says otherwise and accepted requests are finished.
///
/// The end has an order: health reports NOT_SERVING; after a delay new requests are refused and
/// peers are told to call elsewhere; accepted requests have the rest of the drain time to
/// finish; then their streams end with UNAVAILABLE, connections close, and the engine's thread
/// ends. If the engine's thread dies, the order is the same, with less time.
///
/// # Errors
///
/// If the engine's thread dies, also while the server drains.
pub async fn serve(loaded: Loaded, listener: TcpListener, ending: Ending) -> anyhow::Result<Ended> {
    let Loaded { settings, serving, abort, engine } = loaded;
    let (health, routes) = routes(&serving).await?;
    let bodies = BodyLayer::new(&serving.admission, &serving.checks, BodyTimes::default());
    let service = transport::service(routes, &bodies);
    let memory = serving.admission.memory().clone();
    let transport = Transport::start(
        listener,
        service,
        settings.bounds,
        settings.proxies,
        settings.web,
        memory,
    );

    let ended = serving.engine.ended();
    let (drain, delay) = tokio::select! {
        () = ending.drain.cancelled() => (settings.drain, settings.drain_delay),
        () = ending.now.cancelled() => (Duration::ZERO, Duration::ZERO),
        // No more samples will be computed; readers can still take finished ones.
        () = ended.cancelled() => {
            error!("the engine's thread has died, so the server stops");
            (settings.drain.min(CLOSE_TIMEOUT), Duration::ZERO)
        }
    };
    info!(seconds = drain.as_secs(), "draining");
    set_health(&health, &serving, ServingStatus::NotServing).await;
    let deadline = Instant::now() + drain;
    // Load balancers take a while to see it.
    let hurry = &ending.now;
    hurry.run_until_cancelled(tokio::time::sleep(delay)).await;
    serving.admission.drain();
    transport.go_away();
    // Admission is idle when the engine is done with every request; streams may still wait
    // for their readers.
    let drained = async {
        serving.admission.idle().await;
        serving.streams.close();
        serving.streams.wait().await;
    };
    let drained = hurry.run_until_cancelled(timeout_at(deadline, drained)).await;
    if !matches!(drained, Some(Ok(()))) {
        let why = if drained.is_none() { "in a hurry" } else { "the drain time is over" };
        warn!(streams = serving.streams.len(), "{why}; ending open streams");
        abort.cancel();
    }
    close(&transport, &serving, hurry).await;
    drop(serving);
    abort.cancel();
    let ended = join(engine, limit(hurry)).await;
    info!("stopped");
    ended
}

/// Returns how long each part of closing may take.
fn limit(hurry: &CancellationToken) -> Duration {
    if hurry.is_cancelled() { HURRIED_CLOSE_TIMEOUT } else { CLOSE_TIMEOUT }
}

/// Ends every call and closes every connection.
async fn close(transport: &Transport, serving: &Serving, hurry: &CancellationToken) {
    let limit = limit(hurry);
    let deadline = Instant::now() + limit;
    // The engine ends its streams between two calls of the network; what it does not end in
    // time, such as health watches, ends here. Calls of other kinds may be about to be answered.
    serving.streams.close();
    let calls = async {
        serving.streams.wait().await;
        transport.no_calls().await;
    };
    let _ = timeout(limit / 4, calls).await;
    transport.stop();
    transport.close(deadline.saturating_duration_since(Instant::now())).await;
}

async fn routes(serving: &Arc<Serving>) -> anyhow::Result<(HealthReporter, Routes)> {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, serving, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(ddpm_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let services = Services::new(serving);
    let routes = Routes::default()
        .add_service(services.sampling)
        .add_service(services.models)
        .add_service(services.server)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok((health, routes))
}

/// Sets the status of the server, of each service and of each model.
async fn set_health(health: &HealthReporter, serving: &Serving, status: ServingStatus) {
    health.set_service_status("", status).await;
    for name in Services::NAMES {
        health.set_service_status(name, status).await;
    }
    for model in serving.registry.models() {
        health.set_service_status(format!("models/{}", model.manifest.name), status).await;
    }
}

/// Waits for the engine's thread without blocking the runtime.
///
/// # Errors
///
/// If it panicked, whenever it did.
async fn join(engine: thread::JoinHandle<()>, limit: Duration) -> anyhow::Result<Ended> {
    let joined = tokio::task::spawn_blocking(|| engine.join());
    match timeout(limit, joined).await {
        Ok(Ok(Ok(()))) => Ok(Ended::Clean),
        Ok(_) => anyhow::bail!(
            "the engine's thread panicked; report this with the log above, and restart the server"
        ),
        Err(_) => {
            warn!("the engine's thread is still inside a call; not waiting for it");
            Ok(Ended::EngineBusy)
        }
    }
}

#[cfg(test)]
mod tests;

//! Starts everything, drains it, and stops it in order.

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ddpm_onnx::{Device, Runtime, RuntimeOptions};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tracing::{error, info, warn};

use crate::admission::Admission;
use crate::api::{Services, Serving};
use crate::config::Settings;
use crate::cost::Costs;
use crate::engine::EngineHandle;
use crate::fingerprint::fingerprint;
use crate::registry::{LoadOptions, LoadedModels, Registry, Source};
use crate::runtime::HostDevice;

/// How long connections have to close once nothing is in flight.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A client that has not answered a ping for this long is gone.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// A server that is loaded and checked, but does not listen yet.
pub struct Loaded {
    settings: Settings,
    serving: Arc<Serving>,
    abort: CancellationToken,
    engine: thread::JoinHandle<()>,
}

impl Loaded {
    /// Returns the name of a model to try.
    #[must_use]
    pub fn example(&self) -> &str {
        self.serving.registry.models().first().map_or("MODEL", |model| &model.manifest.name)
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
    let source = settings.models.clone().map_or(Source::Embedded, Source::Folder);
    let fingerprint = fingerprint(runtime, &device);
    let options = LoadOptions {
        runtime,
        device: &device,
        fingerprint: &fingerprint,
        max_batch: settings.max_batch,
        cache_dir: settings.cache_dir.as_deref(),
    };
    let LoadedModels { registry, networks, curves, upkeep } = Registry::load(&source, &options)?;
    let costs = Costs::new(curves);
    let abort = CancellationToken::new();
    let host = Box::new(HostDevice::new(networks));
    let (engine, thread) = EngineHandle::start(host, costs.clone(), upkeep, abort.clone())?;
    let serving = Serving {
        registry,
        engine,
        admission: Admission::new(settings.limits, costs.clone()),
        costs,
        stop: abort.clone(),
        checks: Arc::new(Semaphore::new(max_concurrent_checks())),
        streams: TaskTracker::new(),
        fingerprint,
        onnxruntime_version: runtime.version().into(),
        device,
    };
    Ok(Loaded { settings, serving: Arc::new(serving), abort, engine: thread })
}

/// Returns how many requests may be checked at once. Long programs take seconds, so one core
/// is left to the engine.
fn max_concurrent_checks() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// Serves until `shutdown` completes and accepted requests are finished.
///
/// The end has an order: health reports NOT_SERVING, new requests are refused, accepted
/// ones have the drain time to finish, then their streams end with UNAVAILABLE,
/// connections close, and the engine's thread ends. If the engine's thread dies, the order
/// is the same, with less time.
///
/// # Errors
///
/// If the listener fails or the engine's thread dies.
pub async fn serve(
    loaded: Loaded,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Loaded { settings, serving, abort, engine } = loaded;
    let (health, router) = router(&serving).await?;
    let (close, closing) = oneshot::channel::<()>();
    // The server builder's own setting does not reach connections that are handed to it.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tokio::spawn(router.serve_with_incoming_shutdown(incoming, async {
        // A dropped sender closes too.
        let _ = closing.await;
    }));

    let ended = serving.engine.ended();
    let drain = tokio::select! {
        () = shutdown => settings.drain,
        // No more samples will be computed; readers can still take finished ones.
        () = ended.cancelled() => {
            error!("the engine's thread has died, so the server stops");
            settings.drain.min(CLOSE_TIMEOUT)
        }
    };
    let broken = ended.is_cancelled();
    info!(seconds = drain.as_secs(), "draining");
    set_health(&health, &serving, ServingStatus::NotServing).await;
    serving.admission.drain();
    // Admission is idle when the engine is done with every request; streams may still wait
    // for their readers.
    let drained = async {
        serving.admission.idle().await;
        serving.streams.close();
        serving.streams.wait().await;
    };
    if timeout(drain, drained).await.is_err() {
        warn!("the drain time is over; ending open streams");
        abort.cancel();
    }
    let _ = close.send(());
    let abort_handle = server.abort_handle();
    match timeout(CLOSE_TIMEOUT, server).await {
        Ok(result) => result??,
        // Streams that never end, such as health watches.
        Err(_) => abort_handle.abort(),
    }
    drop(serving);
    abort.cancel();
    join(engine).await;
    info!("stopped");
    anyhow::ensure!(
        !broken,
        "the engine's thread panicked; report this with the log above, and restart the server"
    );
    Ok(())
}

async fn router(serving: &Arc<Serving>) -> anyhow::Result<(HealthReporter, Router)> {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, serving, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(ddpm_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let services = Services::new(serving);
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(services.sampling)
        .add_service(services.models)
        .add_service(services.server)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?);
    Ok((health, router))
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
async fn join(engine: thread::JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(|| engine.join());
    match timeout(CLOSE_TIMEOUT, joined).await {
        Ok(Ok(Ok(()))) => {}
        Ok(_) => warn!("the engine's thread panicked"),
        Err(_) => warn!("the engine's thread is still inside a call; not waiting for it"),
    }
}

#[cfg(test)]
mod tests;

//! Starts everything, drains it, and stops it in order.

use std::{future::Future, sync::Arc, thread, time::Duration};

use ddpm_onnx::{Device, Runtime, RuntimeOptions};
use ddpm_proto::v1;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{
    Server,
    server::{Router, TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{error, info, warn};

use crate::{
    admission::Admission,
    api::{Services, Serving},
    config::Settings,
    engine::EngineHandle,
    fingerprint::fingerprint,
    registry::{Registry, Source},
    runtime::HostDevice,
};

/// How long connections get to close once nothing is in flight.
const CLOSING: Duration = Duration::from_secs(2);

/// A client that does not answer a ping for so long has gone.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Everything is loaded and checked; nothing listens yet.
pub struct Loaded {
    settings: Settings,
    serving: Arc<Serving>,
    abort: CancellationToken,
    engine: thread::JoinHandle<()>,
}

/// Loads ONNX Runtime and the models, and starts the engine.
///
/// # Errors
///
/// With what is missing or broken, and the command that mends it.
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
    let (registry, networks) = Registry::load(&source, runtime, &device, settings.max_batch)?;
    let costs = registry.models().iter().map(|model| model.cost).collect();
    let abort = CancellationToken::new();
    let (engine, thread) =
        EngineHandle::start(Box::new(HostDevice::new(networks)), costs, abort.clone())?;
    let serving = Serving {
        registry,
        engine,
        admission: Admission::new(settings.limits),
        checks: Arc::new(Semaphore::new(checks_at_once())),
        streams: TaskTracker::new(),
        fingerprint: fingerprint(runtime, &device),
        onnxruntime_version: runtime.version().into(),
        device: v1::Device {
            name: device.name(),
            provider: device.provider().into(),
            reason: device.reason().into(),
        },
    };
    Ok(Loaded { settings, serving: Arc::new(serving), abort, engine: thread })
}

/// Long programs take seconds to check: no more at once than leaves a core to the
/// engine.
fn checks_at_once() -> usize {
    thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}

/// Serves until `shutdown` is done and what was accepted is finished.
///
/// The order of the end: health says NOT_SERVING, new requests are refused,
/// accepted ones get the drain time, then their streams end with UNAVAILABLE,
/// connections close, the engine's thread ends. It is the same, in little time, if
/// the engine's thread ends by itself.
///
/// # Errors
///
/// If the listener fails, or the engine's thread ended by itself.
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
        // Nothing will be computed any more; what was can be read.
        () = ended.cancelled() => {
            error!("the engine's thread has ended by itself, so the server stops");
            settings.drain.min(CLOSING)
        }
    };
    let broken = ended.is_cancelled();
    info!(seconds = drain.as_secs(), "draining");
    set_health(&health, &serving, ServingStatus::NotServing).await;
    serving.admission.drain();
    // The admission is idle when the engine is done with every request; a stream may
    // still wait for its reader.
    let drained = async {
        serving.admission.idle().await;
        serving.streams.close();
        serving.streams.wait().await;
    };
    if timeout(drain, drained).await.is_err() {
        warn!("the drain time is over, open streams end");
        abort.cancel();
    }
    let _ = close.send(());
    let abort_handle = server.abort_handle();
    match timeout(CLOSING, server).await {
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
        "the engine's thread panicked; report it with the lines above, and start the server again"
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

/// Waits for the engine's thread without holding up the runtime.
async fn join(engine: thread::JoinHandle<()>) {
    let joined = tokio::task::spawn_blocking(|| engine.join());
    match timeout(CLOSING, joined).await {
        Ok(Ok(Ok(()))) => {}
        Ok(_) => warn!("the engine's thread panicked"),
        Err(_) => warn!("the engine's thread is inside a call; leaving it"),
    }
}

#[cfg(test)]
mod tests;

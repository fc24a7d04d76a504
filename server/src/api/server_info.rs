//! `ServerService`: versions, limits and load.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ddpm_onnx::Device;
use ddpm_proto::undecoded::server_service_server::ServerService;
use ddpm_proto::v1;
use tonic::{Request, Response, Status};

use super::Serving;
use super::incoming::decode;
use crate::cost::CostCurve;

/// Describes the server and its load.
pub(crate) struct Server(pub(super) Arc<Serving>);

#[tonic::async_trait]
impl ServerService for Server {
    async fn get_server_info(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        decode::<v1::GetServerInfoRequest>(request.into_inner())?;
        let serving = &self.0;
        Ok(Response::new(v1::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            onnxruntime_version: serving.onnxruntime_version.clone(),
            device: Some(device(&serving.device)),
            fingerprint: serving.fingerprint.clone(),
            limits: Some(limits(serving)),
            load: Some(load(serving)),
        }))
    }
}

fn device(device: &Device) -> v1::Device {
    v1::Device {
        name: device.name(),
        provider: device.provider().into(),
        reason: device.reason().into(),
    }
}

fn limits(serving: &Serving) -> v1::Limits {
    let limits = serving.admission.limits();
    let largest = serving.costs.lock().iter().map(CostCurve::bulk).max();
    v1::Limits {
        max_samples: limits.max_samples,
        max_evals: limits.max_evals,
        max_watched_samples: limits.max_watched_samples,
        max_queued_samples: limits.max_queued_samples,
        max_requests: limits.max_requests,
        max_batch: largest.unwrap_or(0),
        max_request_bytes: limits.max_request_bytes,
        max_held_bytes: limits.max_held_bytes,
        max_principal_requests: limits.max_principal_requests,
        max_principal_backlog: limits.max_principal_backlog.and_then(|time| time.try_into().ok()),
        max_principal_evals_per_minute: limits.max_principal_evals.unwrap_or(0),
        max_principal_queued_samples: limits.max_principal_samples,
        stall_time: limits.stall.try_into().ok(),
    }
}

fn load(serving: &Serving) -> v1::Load {
    let (counts, stats) = (serving.admission.counts(), serving.engine.stats());
    let backlog = Duration::try_from_secs_f64(counts.seconds);
    v1::Load {
        requests: counts.requests,
        samples_waiting: stats.waiting,
        samples_running: stats.running,
        backlog_evals: counts.evals,
        ticks: stats.ticks,
        evals: stats.evals,
        busy_ratio: stats.busy_ratio(),
        draining: counts.draining,
        busy_time: stats.network.try_into().ok(),
        active_time: stats.active.try_into().ok(),
        kernel_time: stats.kernel.try_into().ok(),
        held_bytes: counts.bytes,
        reader_bytes: counts.reader_bytes,
        principals: counts.principals,
        backlog_time: backlog.ok().and_then(|time| time.try_into().ok()),
        blocked_requests: counts.blocked,
    }
}

//! A server's versions, device, limits and load.

use ddpm_proto::v1;
use serde::Serialize;

use crate::error::Error;

/// The server's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerInfo {
    /// Version of ddpm-server.
    pub version: String,
    /// Version of ONNX Runtime.
    pub onnxruntime_version: String,
    /// The device that runs the models.
    pub device: Device,
    /// What else decides the bits of a sample.
    pub fingerprint: String,
    /// What requests are held to.
    pub limits: Limits,
    /// What the server is doing.
    pub load: Load,
}

/// A device that runs models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `cpu` or `cuda:N`.
    pub name: String,
    /// Execution provider of ONNX Runtime.
    pub provider: String,
    /// Why this device and no other.
    pub reason: String,
}

/// What requests are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Samples of one request.
    pub max_samples: u32,
    /// Network evaluations of one request.
    pub max_evals: u64,
    /// Samples of one request that previews may show.
    pub max_watched_samples: u32,
    /// Samples waiting or in flight over all requests.
    pub max_queued_samples: u64,
    /// Requests at the same time.
    pub max_requests: u32,
    /// Samples advanced by one call of the network.
    pub max_batch: u32,
    /// Bytes of one request message.
    pub max_request_bytes: u64,
}

/// What a server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Requests that are waiting or in flight.
    pub requests: u32,
    /// Samples that have not had their first step.
    pub samples_waiting: u64,
    /// Samples in flight.
    pub samples_running: u64,
    /// Network evaluations still to do.
    pub backlog_evals: u64,
    /// Calls of the network since the start.
    pub ticks: u64,
    /// Network evaluations since the start.
    pub evals: u64,
    /// Share of the busy time spent inside calls of the network, in [0, 1].
    pub busy_ratio: f64,
    /// Whether the server refuses new requests because it is shutting down.
    pub draining: bool,
}

impl ServerInfo {
    pub(crate) fn from_proto(info: v1::GetServerInfoResponse) -> Result<Self, Error> {
        let missing = |part: &str| Error::Protocol(format!("the server's {part} is missing"));
        Ok(Self {
            version: info.version,
            onnxruntime_version: info.onnxruntime_version,
            device: info.device.ok_or_else(|| missing("device"))?.into(),
            fingerprint: info.fingerprint,
            limits: info.limits.ok_or_else(|| missing("limits"))?.into(),
            load: info.load.ok_or_else(|| missing("load"))?.into(),
        })
    }
}

impl From<v1::Device> for Device {
    fn from(device: v1::Device) -> Self {
        Self { name: device.name, provider: device.provider, reason: device.reason }
    }
}

impl From<v1::Limits> for Limits {
    fn from(limits: v1::Limits) -> Self {
        Self {
            max_samples: limits.max_samples,
            max_evals: limits.max_evals,
            max_watched_samples: limits.max_watched_samples,
            max_queued_samples: limits.max_queued_samples,
            max_requests: limits.max_requests,
            max_batch: limits.max_batch,
            max_request_bytes: limits.max_request_bytes,
        }
    }
}

impl From<v1::Load> for Load {
    fn from(load: v1::Load) -> Self {
        Self {
            requests: load.requests,
            samples_waiting: load.samples_waiting,
            samples_running: load.samples_running,
            backlog_evals: load.backlog_evals,
            ticks: load.ticks,
            evals: load.evals,
            busy_ratio: load.busy_ratio,
            draining: load.draining,
        }
    }
}

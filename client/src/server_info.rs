//! A server's versions, device, limits and load.

use std::time::Duration;

use ddpm_proto::v1;
use serde::Serialize;

use crate::error::Error;
use crate::events::{duration, optional_seconds, seconds};

/// The server's state.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerInfo {
    /// Version of ddpm-server.
    pub version: String,
    /// Version of ONNX Runtime.
    pub onnxruntime_version: String,
    /// The device that runs the models.
    pub device: Device,
    /// What else determines the bits of a sample.
    pub fingerprint: String,
    /// The limits of requests.
    pub limits: Limits,
    /// The current load.
    pub load: Load,
}

/// A device that runs models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `cpu` or `cuda:N`.
    pub name: String,
    /// Execution provider of ONNX Runtime.
    pub provider: String,
    /// Why this device was chosen.
    pub reason: String,
}

/// The limits of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Samples of one request.
    pub max_samples: u32,
    /// Network evaluations of one request.
    pub max_evals: u64,
    /// Samples of one request that previews may show.
    pub max_watched_samples: u32,
    /// Samples waiting or in flight over all requests.
    pub max_queued_samples: u64,
    /// Concurrent requests.
    pub max_requests: u32,
    /// Samples per call of the network.
    pub max_batch: u32,
    /// Bytes of one request message.
    pub max_request_bytes: u64,
    /// Bytes that all requests may hold together: messages, rows, inputs, and what waits for
    /// readers.
    pub max_held_bytes: u64,
    /// Concurrent requests of one principal; 0: no limit is known.
    pub max_principal_requests: u32,
    /// Samples of one principal waiting or in flight.
    pub max_principal_queued_samples: u64,
    /// Time of the device that the requests of one principal may wait for together; `None`: no
    /// limit.
    #[serde(rename = "max_principal_backlog_seconds", serialize_with = "optional_seconds")]
    pub max_principal_backlog: Option<Duration>,
    /// Network evaluations that one principal may request per minute; 0: no limit.
    pub max_principal_evals_per_minute: u64,
    /// How long a stream may go unread before the server ends it; `None` if it does not say.
    #[serde(rename = "stall_seconds", serialize_with = "optional_seconds")]
    pub stall_time: Option<Duration>,
}

/// The load of a server.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Load {
    /// Requests waiting or in flight.
    pub requests: u32,
    /// Samples that have not had their first step.
    pub samples_waiting: u64,
    /// Samples in flight.
    pub samples_running: u64,
    /// Network evaluations still to be done.
    pub backlog_evals: u64,
    /// Calls of the network since the start.
    pub ticks: u64,
    /// Network evaluations since the start.
    pub evals: u64,
    /// Share of the active time spent in calls of the network, in [0, 1].
    pub busy_ratio: f64,
    /// Whether the server refuses new requests because it is shutting down.
    pub draining: bool,
    /// Time in calls of the network since the start.
    #[serde(rename = "busy_seconds", serialize_with = "seconds")]
    pub busy_time: Duration,
    /// Time of the device around them: inputs, kernel and noise.
    #[serde(rename = "kernel_seconds", serialize_with = "seconds")]
    pub kernel_time: Duration,
    /// Time with requests in flight since the start.
    #[serde(rename = "active_seconds", serialize_with = "seconds")]
    pub active_time: Duration,
    /// Bytes currently held by requests: messages, rows, inputs, and what waits for readers.
    pub held_bytes: u64,
    /// Of these, what waits for readers.
    pub reader_bytes: u64,
    /// Principals with requests.
    pub principals: u32,
    /// Time of the device that accepted requests still take.
    #[serde(rename = "backlog_seconds", serialize_with = "seconds")]
    pub backlog_time: Duration,
    /// Requests that wait for their readers.
    pub blocked_requests: u32,
}

impl Load {
    /// Returns the share of the time with requests in flight spent in kernel and noise,
    /// including gathering inputs and copying samples out; in [0, 1].
    #[must_use]
    pub fn kernel_ratio(&self) -> f64 {
        if self.active_time.is_zero() {
            return 0.0;
        }
        (self.kernel_time.as_secs_f64() / self.active_time.as_secs_f64()).min(1.0)
    }
}

impl ServerInfo {
    pub(crate) fn from_proto(info: v1::GetServerInfoResponse) -> Result<Self, Error> {
        let missing = |part: &str| Error::Protocol(format!("the server's {part} is missing"));
        Ok(Self {
            version: info.version,
            onnxruntime_version: info.onnxruntime_version,
            device: info.device.ok_or_else(|| missing("device"))?.into(),
            fingerprint: info.fingerprint,
            limits: Limits::from_proto(info.limits.ok_or_else(|| missing("limits"))?)?,
            load: Load::from_proto(info.load.ok_or_else(|| missing("load"))?)?,
        })
    }
}

impl From<v1::Device> for Device {
    fn from(device: v1::Device) -> Self {
        Self { name: device.name, provider: device.provider, reason: device.reason }
    }
}

impl Limits {
    fn from_proto(limits: v1::Limits) -> Result<Self, Error> {
        Ok(Self {
            max_samples: limits.max_samples,
            max_evals: limits.max_evals,
            max_watched_samples: limits.max_watched_samples,
            max_queued_samples: limits.max_queued_samples,
            max_requests: limits.max_requests,
            max_batch: limits.max_batch,
            max_request_bytes: limits.max_request_bytes,
            max_held_bytes: limits.max_held_bytes,
            max_principal_requests: limits.max_principal_requests,
            max_principal_queued_samples: limits.max_principal_queued_samples,
            max_principal_backlog: limits.max_principal_backlog.map(duration).transpose()?,
            max_principal_evals_per_minute: limits.max_principal_evals_per_minute,
            stall_time: limits.stall_time.map(duration).transpose()?,
        })
    }
}

impl Load {
    fn from_proto(load: v1::Load) -> Result<Self, Error> {
        let time = |time: Option<prost_types::Duration>| duration(time.unwrap_or_default());
        Ok(Self {
            requests: load.requests,
            samples_waiting: load.samples_waiting,
            samples_running: load.samples_running,
            backlog_evals: load.backlog_evals,
            ticks: load.ticks,
            evals: load.evals,
            busy_ratio: load.busy_ratio,
            draining: load.draining,
            busy_time: time(load.busy_time)?,
            kernel_time: time(load.kernel_time)?,
            active_time: time(load.active_time)?,
            held_bytes: load.held_bytes,
            reader_bytes: load.reader_bytes,
            principals: load.principals,
            backlog_time: time(load.backlog_time)?,
            blocked_requests: load.blocked_requests,
        })
    }
}

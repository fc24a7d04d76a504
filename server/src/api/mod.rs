//! The contract on the wire: checks requests and streams events. The only place that
//! knows protobuf; everything below uses our own types.

use std::sync::Arc;

use ddpm_onnx::Device;
use ddpm_proto::undecoded::model_service_server::ModelServiceServer;
use ddpm_proto::undecoded::sampling_service_server::SamplingServiceServer;
use ddpm_proto::undecoded::server_service_server::ServerServiceServer;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::cost::Costs;
use crate::engine::EngineHandle;
use crate::registry::Registry;

mod checks;
pub(crate) use checks::Checks;

mod compiled;
pub(crate) use compiled::CompiledCache;

mod faults;

mod generate;

mod incoming;

mod inputs;

mod models;

mod recipe;

mod sampling;

mod server_info;

mod stream;

mod wire;

#[cfg(test)]
pub(crate) use generate::Checked;

#[cfg(test)]
pub(crate) use incoming::Kind as MessageKind;

#[cfg(test)]
pub(crate) use sampling::{check_message, compiled};

#[cfg(test)]
pub(crate) use stream::{Script, events_of};

/// The state that all services share.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) registry: Registry,
    pub(crate) engine: EngineHandle,
    pub(crate) admission: Admission,
    pub(crate) costs: Costs,
    /// Where checks of requests get their turns.
    pub(crate) checks: Checks,
    /// Programs that were compiled lately.
    pub(crate) compiled: CompiledCache,
    /// Cancelled when the server stops, drained or not.
    pub(crate) stop: CancellationToken,
    /// The tasks that send events.
    pub(crate) streams: TaskTracker,
    pub(crate) fingerprint: String,
    pub(crate) onnxruntime_version: String,
    pub(crate) device: Device,
}

/// The services of `ddpm.v1`.
pub(crate) struct Services {
    pub(crate) sampling: SamplingServiceServer<sampling::Sampling>,
    pub(crate) models: ModelServiceServer<models::Models>,
    pub(crate) server: ServerServiceServer<server_info::Server>,
}

impl Services {
    /// Names of the services in health checks.
    pub(crate) const NAMES: [&str; 3] =
        ["ddpm.v1.SamplingService", "ddpm.v1.ModelService", "ddpm.v1.ServerService"];

    pub(crate) fn new(serving: &Arc<Serving>) -> Self {
        let max = serving.admission.limits().max_request_bytes as usize;
        let shared = || Arc::clone(serving);
        Self {
            sampling: SamplingServiceServer::new(sampling::Sampling(shared()))
                .max_decoding_message_size(max),
            models: ModelServiceServer::new(models::Models::new(shared())),
            server: ServerServiceServer::new(server_info::Server(shared())),
        }
    }
}

//! A server of the embedded models whose network is never called.

use ddpm_onnx::{Device, DeviceChoice, Runtime, RuntimeOptions};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::tests::limits;
use crate::admission::{Admission, Limits};
use crate::api::{Checks, CompiledCache, Serving};
use crate::cost::{CostCurve, Costs};
use crate::engine::EngineHandle;
use crate::registry::Registry;
use crate::runtime::stub::Stub;

/// Limits near those of a server, but smaller, so that inputs reach them.
fn small() -> Limits {
    Limits { max_samples: 10_000, max_evals: 10_000_000, max_request_bytes: 4 << 20, ..limits() }
}

pub(super) fn serving() -> Serving {
    let options = RuntimeOptions { library: None, threads: Some(1), spinning: false };
    let runtime = Runtime::load(&options).expect("ONNX Runtime is there: make setup-server");
    let device = Device::choose(runtime, DeviceChoice::Cpu).expect("every machine has one");
    let costs = Costs::new(vec![CostCurve::linear(0.1, 8); 2]);
    let stop = CancellationToken::new();
    let network = Box::new(Stub::default().device(2));
    let (engine, _thread) = EngineHandle::start(network, costs.clone(), vec![], stop.clone())
        .expect("a thread can be started");
    let admission = Admission::new(small(), costs.clone());
    Serving {
        registry: Registry::embedded().expect("they are in the binary"),
        engine,
        costs,
        stop,
        checks: Checks::new(1),
        compiled: CompiledCache::new(&admission),
        admission,
        streams: TaskTracker::new(),
        fingerprint: "fingerprint".into(),
        onnxruntime_version: runtime.version().into(),
        device,
    }
}

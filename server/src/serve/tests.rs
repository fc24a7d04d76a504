//! The server when its engine breaks.

use std::sync::Arc;

use clap::Parser;
use ddpm_proto::v1::generate_request::Samples;
use ddpm_proto::v1::sampling_service_client::SamplingServiceClient;
use ddpm_proto::v1::server_service_client::ServerServiceClient;
use ddpm_proto::v1::{CompileRequest, GenerateRequest, GetServerInfoRequest};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus as Answer;

use super::*;
use crate::config::Args;
use crate::principal::Principal;
use crate::runtime::stub::Stub;
use crate::runtime::{
    Device as EngineDevice, Outcome, RuntimeError, Slot, SlotStart, TickTimes, Work,
};

/// A device that panics outside a tick, where the engine is not guarded.
struct Deadly {
    device: HostDevice,
    /// It waits for this first.
    when: std::sync::mpsc::Receiver<()>,
}

impl EngineDevice for Deadly {
    fn start(&mut self, model: usize, start: SlotStart<'_>) -> Slot {
        self.device.start(model, start)
    }

    fn tick(
        &mut self,
        model: usize,
        work: &[Work<'_>],
        outcomes: &mut Vec<Result<Outcome, RuntimeError>>,
    ) -> Result<TickTimes, RuntimeError> {
        self.device.tick(model, work, outcomes)
    }

    fn probe(&mut self, model: usize, evals: u32) -> Result<Duration, RuntimeError> {
        self.device.probe(model, evals)
    }

    fn release(&mut self, slot: Slot) {
        self.device.release(slot);
    }

    fn slots(&self) -> usize {
        // A sender that is gone says so too.
        let _ = self.when.recv();
        panic!("deadly on purpose")
    }
}

/// Loads a server with its own device.
fn ordinary() -> Loaded {
    let args = Args::parse_from(["ddpm-server", "--device", "cpu", "--max-batch", "1"]);
    // Tests leave nothing in the user's home.
    let settings = Settings { cache_dir: None, ..Settings::new(args).unwrap() };
    load(settings).unwrap()
}

/// Loads a server with another device.
fn with_device(device: Box<dyn EngineDevice>) -> Loaded {
    let mut loaded = ordinary();
    let costs = loaded.serving.costs.clone();
    let (handle, thread) =
        EngineHandle::start(device, costs, Vec::new(), loaded.abort.clone()).unwrap();
    Arc::get_mut(&mut loaded.serving).unwrap().engine = handle;
    loaded.engine = thread;
    loaded
}

#[tokio::test]
async fn a_server_whose_engine_dies_reports_not_serving_and_ends_with_an_error() {
    let (_, when) = std::sync::mpsc::channel();
    let loaded = with_device(Box::new(Deadly { device: Stub::default().device(2), when }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(loaded, listener, Ending::default()));

    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let everything = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(everything).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Answer::Serving);

    let mut client = SamplingServiceClient::new(channel);
    let request = GenerateRequest {
        // The model with id 0, the only one of the stub.
        model: "glyphs".into(),
        samples: Some(Samples::SampleCount(1)),
        ..Default::default()
    };
    let mut events = client.generate(request).await.unwrap().into_inner();
    let end = loop {
        match events.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), tonic::Code::Unavailable, "{end}");
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Answer::NotServing);
    drop(watch);
    let error = server.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("engine's thread panicked"), "{error}");
}

#[tokio::test]
async fn an_engine_that_dies_while_the_server_drains_is_an_error_too() {
    let (die, when) = std::sync::mpsc::channel();
    let loaded = with_device(Box::new(Deadly { device: Stub::default().device(2), when }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (ending, admission) = (Ending::default(), loaded.serving.admission.clone());
    let server = tokio::spawn(serve(loaded, listener, ending.clone()));
    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let mut client = SamplingServiceClient::new(channel);
    let request = GenerateRequest {
        model: "glyphs".into(),
        samples: Some(Samples::SampleCount(1)),
        ..Default::default()
    };
    let events = client.generate(request).await.unwrap().into_inner();
    ending.drain.cancel();
    while !admission.counts().draining {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let began = Instant::now();
    drop(die);
    drop(events);
    let error = server.await.unwrap().unwrap_err().to_string();
    assert!(error.contains("engine's thread panicked"), "{error}");
    // Of the 25 seconds.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_call_that_is_about_to_be_answered_is_not_cut_by_a_clean_drain() {
    let loaded = ordinary();
    let serving = Arc::clone(&loaded.serving);
    let principal = Principal::of_address([127, 0, 0, 1].into());
    let mut others = Vec::new();
    while let Ok(turn) =
        timeout(Duration::from_millis(100), serving.checks.turn(&principal, 1)).await
    {
        others.push(turn.unwrap());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let ending = Ending::default();
    let server = tokio::spawn(serve(loaded, listener, ending.clone()));
    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let request = GenerateRequest { model: "toy".into(), ..Default::default() };
    let mut client = SamplingServiceClient::new(channel);
    let compiled =
        tokio::spawn(
            async move { client.compile(CompileRequest { request: Some(request) }).await },
        );
    while serving.admission.counts().bytes == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ending.drain.cancel();
    while !serving.admission.counts().draining {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(others);
    drop(serving);
    assert!(compiled.await.unwrap().is_ok());
    assert_eq!(server.await.unwrap().unwrap(), Ended::Clean);
}

#[tokio::test]
async fn other_calls_are_answered_while_a_request_waits_for_its_check() {
    let loaded = ordinary();
    let serving = Arc::clone(&loaded.serving);
    let principal = Principal::of_address([127, 0, 0, 1].into());
    // Every lane is taken, that of small checks too.
    let mut others = Vec::new();
    while let Ok(turn) =
        timeout(Duration::from_millis(100), serving.checks.turn(&principal, 1)).await
    {
        others.push(turn.unwrap());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(loaded, listener, Ending::default()));

    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let request = GenerateRequest { model: "toy".into(), ..Default::default() };
    let compiled = tokio::spawn({
        let mut client = SamplingServiceClient::new(channel.clone());
        async move { client.compile(CompileRequest { request: Some(request) }).await }
    });
    let mut client = ServerServiceClient::new(channel);
    let mut load = async || {
        let info = client.get_server_info(GetServerInfoRequest {}).await.unwrap().into_inner();
        info.load.unwrap()
    };
    // Its bytes are held before the check begins.
    while load().await.held_bytes == 0 {}
    assert!(!compiled.is_finished());
    drop(others);
    assert!(compiled.await.unwrap().is_ok());
    assert_eq!(load().await.held_bytes, 0);
    server.abort();
}

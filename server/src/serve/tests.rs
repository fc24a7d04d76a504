//! The server when its engine breaks.

use std::sync::Arc;

use clap::Parser;
use ddpm_proto::v1::{
    CompileRequest, GenerateRequest, GetServerInfoRequest, generate_request::Samples,
    sampling_service_client::SamplingServiceClient, server_service_client::ServerServiceClient,
};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus as Answer};

use super::*;
use crate::{
    config::Args,
    runtime::{Device as EngineDevice, Outcome, RuntimeError, Slot, Start, Took, Work, stub::Stub},
};

/// A device that breaks the engine itself: not in a tick, which is guarded.
struct Deadly(HostDevice);

impl EngineDevice for Deadly {
    fn start(&mut self, model: usize, start: Start<'_>) -> Slot {
        self.0.start(model, start)
    }

    fn tick(
        &mut self,
        model: usize,
        work: &[Work<'_>],
        outcomes: &mut Vec<Result<Outcome, RuntimeError>>,
    ) -> Result<Took, RuntimeError> {
        self.0.tick(model, work, outcomes)
    }

    fn release(&mut self, slot: Slot) {
        self.0.release(slot);
    }

    fn slots(&self) -> usize {
        panic!("deadly on purpose")
    }
}

/// A server as it is.
fn ordinary() -> Loaded {
    let args = Args::parse_from(["ddpm-server", "--device", "cpu", "--max-batch", "1"]);
    load(Settings::new(args).unwrap()).unwrap()
}

/// A server with another device.
fn with_device(device: Box<dyn EngineDevice>) -> Loaded {
    let mut loaded = ordinary();
    let costs = loaded.serving.registry.models().iter().map(|model| model.cost).collect();
    let (handle, thread) = EngineHandle::start(device, costs, loaded.abort.clone()).unwrap();
    Arc::get_mut(&mut loaded.serving).unwrap().engine = handle;
    loaded.engine = thread;
    loaded
}

#[tokio::test]
async fn a_server_whose_engine_dies_says_not_serving_and_ends_with_an_error() {
    let loaded = with_device(Box::new(Deadly(Stub::default().device(2))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(loaded, listener, std::future::pending()));

    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let everything = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(everything).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Answer::Serving);

    let mut client = SamplingServiceClient::new(channel);
    let request = GenerateRequest {
        // The model of id 0, the only one that the stub has.
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
async fn a_request_waits_for_its_check_and_others_are_answered_meanwhile() {
    let loaded = ordinary();
    let serving = Arc::clone(&loaded.serving);
    let others = serving.checks.available_permits() as u32;
    let others = Arc::clone(&serving.checks).acquire_many_owned(others).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(loaded, listener, std::future::pending()));

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
    // Its bytes are held from before the check.
    while load().await.held_bytes == 0 {}
    assert!(!compiled.is_finished());
    drop(others);
    assert!(compiled.await.unwrap().is_ok());
    assert_eq!(load().await.held_bytes, 0);
    server.abort();
}

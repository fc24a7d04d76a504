//! The server when its engine breaks.

use std::sync::Arc;

use clap::Parser;
use ddpm_proto::v1::{GenerateRequest, generate_request::Samples};
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

/// A server as it is, but for its device.
fn loaded(device: Box<dyn EngineDevice>) -> Loaded {
    let args = Args::parse_from(["ddpm-server", "--device", "cpu", "--max-batch", "1"]);
    let mut loaded = load(Settings::new(args).unwrap()).unwrap();
    let costs = loaded.serving.registry.models().iter().map(|model| model.cost).collect();
    let (handle, thread) = EngineHandle::start(device, costs, loaded.abort.clone()).unwrap();
    Arc::get_mut(&mut loaded.serving).unwrap().engine = handle;
    loaded.engine = thread;
    loaded
}

#[tokio::test]
async fn a_server_whose_engine_dies_says_not_serving_and_ends_with_an_error() {
    let loaded = loaded(Box::new(Deadly(Stub::default().device(2))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(loaded, listener, std::future::pending()));

    let channel = tonic::transport::Endpoint::new(address).unwrap().connect().await.unwrap();
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let everything = HealthCheckRequest { service: String::new() };
    let mut watch = health.watch(everything).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), Answer::Serving);

    let mut client = v1::sampling_service_client::SamplingServiceClient::new(channel);
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

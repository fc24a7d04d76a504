//! A signal drains, a second one stops at once.

use std::time::{Duration, Instant};

use ddpm_client::{
    Client, Code, Delivery, Error, Event, Frames, Generation, Indices, Refusal, Request, Watch,
};

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{TestServer, glyphs};

/// After this time, a signal is a second one.
const LATER: Duration = Duration::from_millis(150);

/// Sends requests until the server refuses them as draining: a signal takes a moment.
async fn draining(client: &Client) -> Refusal {
    loop {
        match client.generate(glyphs(1)).await {
            Err(Error::Refused(refusal)) => return *refusal,
            Ok(generation) => drop(generation),
            Err(other) => panic!("{other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Begins a request of 24 samples that takes a while.
async fn accepted(client: &Client) -> Generation {
    let slow = Request::new("glyphs", Indices::first(24)).num_steps(100);
    let mut running = client.generate(slow).await.unwrap();
    assert!(matches!(running.next().await.unwrap(), Some(Event::Accepted(_))));
    running
}

#[tokio::test]
async fn accepted_requests_are_finished_and_new_ones_are_refused() {
    let server = TestServer::start(&["--drain-seconds", "600"]);
    let client = server.client().await;
    let running = accepted(&client).await;
    server.signal("TERM");

    let refusal = draining(&client).await;
    assert_eq!(refusal.code, Code::Unavailable);
    assert_eq!(refusal.reason.as_deref(), Some("DRAINING"));

    assert_eq!(running.collect().await.unwrap().samples.len(), 24);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("draining") && log.contains("stopped"), "{log}");
}

#[tokio::test]
async fn streams_that_outlast_the_drain_end_with_unavailable() {
    let server = TestServer::start(&["--drain-seconds", "0"]);
    let endless = Request::new("glyphs", Indices::first(5000)).num_steps(1000);
    let mut running = server.client().await.generate(endless).await.unwrap();
    assert!(matches!(running.next().await.unwrap(), Some(Event::Accepted(_))));
    server.signal("INT");
    match running.collect().await {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.code, Code::Unavailable);
            assert_eq!(refusal.reason.as_deref(), Some("STOPPED"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.wait().0.code(), Some(0));
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let server = TestServer::start(&["--drain-seconds", "600"]);
    let endless = Request::new("glyphs", Indices::first(5000)).num_steps(1000);
    let client = server.client().await;
    let _running = client.generate(endless).await.unwrap();
    server.signal("TERM");
    draining(&client).await;
    tokio::time::sleep(LATER).await;
    server.signal("TERM");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(143), "{log}");
}

#[tokio::test]
async fn a_signal_that_is_sent_twice_drains() {
    let server = TestServer::start(&["--drain-seconds", "600"]);
    let client = server.client().await;
    let running = accepted(&client).await;
    // As `timeout` does: to the program, and to its group.
    server.signal_twice("TERM");
    assert_eq!(running.collect().await.unwrap().samples.len(), 24);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_second_signal_ends_streams_as_stopped() {
    let server = TestServer::start(&["--drain-seconds", "600"]);
    let endless = Request::new("glyphs", Indices::first(5000)).num_steps(1000);
    let client = server.client().await;
    let mut running = client.generate(endless).await.unwrap();
    assert!(matches!(running.next().await.unwrap(), Some(Event::Accepted(_))));
    server.signal("TERM");
    draining(&client).await;
    tokio::time::sleep(LATER).await;
    server.signal("INT");
    let start = Instant::now();
    match running.collect().await {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.code, Code::Unavailable);
            assert_eq!(refusal.reason.as_deref(), Some("STOPPED"));
        }
        other => panic!("{other:?}"),
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(log.contains("stopping at once"), "{log}");
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

/// Returns what a health check says of the server.
async fn health(server: &TestServer) -> ServingStatus {
    let endpoint = tonic::transport::Endpoint::new(server.address().to_owned()).unwrap();
    let mut client = HealthClient::new(endpoint.connect().await.unwrap());
    let answer = client.check(HealthCheckRequest { service: String::new() }).await.unwrap();
    answer.into_inner().status()
}

#[tokio::test]
async fn health_says_not_serving_while_requests_are_still_accepted() {
    let server = TestServer::start(&["--drain-seconds", "60", "--drain-delay-seconds", "2"]);
    assert_eq!(health(&server).await, ServingStatus::Serving);
    let endless = Request::new("glyphs", Indices::first(5000)).num_steps(1000);
    let client = server.client().await;
    let _running = client.generate(endless).await.unwrap();
    server.signal("TERM");
    while health(&server).await == ServingStatus::Serving {}
    assert_eq!(server.sample(glyphs(1)).await.samples.len(), 1);
    assert_eq!(draining(&client).await.reason.as_deref(), Some("DRAINING"));
    assert_eq!(health(&server).await, ServingStatus::NotServing);
}

#[tokio::test]
async fn a_drain_with_a_reader_that_takes_nothing_ends_in_time() {
    let server = TestServer::start(&["--drain-seconds", "1"]);
    let (frames, delivery) = (Frames::X0, Delivery::All);
    let watch = Watch { indices: Vec::new(), frames, every_steps: 1, format: None, delivery };
    let endless = Request::new("glyphs", Indices::first(5000)).num_steps(1000).watch(watch);
    let mut running = server.client().await.generate(endless).await.unwrap();
    assert!(matches!(running.next().await.unwrap(), Some(Event::Accepted(_))));
    // From here on nobody reads.
    server.signal("TERM");
    let start = Instant::now();
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(start.elapsed() < Duration::from_secs(1 + 4 + 2), "{:?}", start.elapsed());
    drop(running);
}

#[tokio::test]
async fn an_idle_server_stops_at_a_signal() {
    let server = TestServer::start(&[]);
    let client = server.client().await;
    assert!(client.server_info().await.is_ok());
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

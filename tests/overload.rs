//! A full server refuses with a time to come back, and takes requests again.

use ddpm_client::{Code, Error, Indices, Request};

use crate::harness::{TestServer, glyphs};

#[tokio::test]
async fn samples_above_the_queue_are_refused_with_a_time_to_come_back() {
    let server = TestServer::start(&["--max-queue", "64"]);
    let client = server.client().await;
    let large = Request::new("glyphs", Indices::first(60)).num_steps(1000);
    let running = client.generate(large).await.unwrap();

    match client.generate(glyphs(16)).await {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.code, Code::ResourceExhausted);
            assert_eq!(refusal.reason.as_deref(), Some("QUEUE_FULL"));
            assert!(refusal.retry_after.is_some());
        }
        other => panic!("{other:?}"),
    }
    // What fits is still taken.
    assert_eq!(server.sample(glyphs(4)).await.samples.len(), 4);

    drop(running);
    let samples = client.generate_resumable(glyphs(16)).collect().await.unwrap().samples;
    assert_eq!(samples.len(), 16);
}

#[tokio::test]
async fn requests_above_the_limit_are_refused() {
    let server = TestServer::start(&["--max-requests", "1"]);
    let client = server.client().await;
    let large = Request::new("glyphs", Indices::first(60)).num_steps(1000);
    let _running = client.generate(large).await.unwrap();
    match client.generate(glyphs(1)).await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.code, Code::ResourceExhausted),
        other => panic!("{other:?}"),
    }
}

//! A full server refuses requests, says when to retry, and later accepts them.

use ddpm_client::{Client, Code, Error, Indices, Program, Request};
use ddpm_diffusion::{Label, Row};

use crate::harness::{TestServer, glyphs};

#[tokio::test]
async fn samples_beyond_the_queue_are_refused_with_a_time_to_retry() {
    let server = TestServer::start(&["--max-queue", "64", "--principal-max-samples", "64"]);
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
    // A request that fits is still accepted.
    assert_eq!(server.sample(glyphs(4)).await.samples.len(), 4);

    drop(running);
    let samples = client.generate_resumable(glyphs(16)).collect().await.unwrap().samples;
    assert_eq!(samples.len(), 16);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused() {
    let server = TestServer::start(&["--max-requests", "1"]);
    let client = server.client().await;
    let large = Request::new("glyphs", Indices::first(60)).num_steps(1000);
    let _running = client.generate(large).await.unwrap();
    match client.generate(glyphs(1)).await {
        Err(Error::Refused(refusal)) => assert_eq!(refusal.code, Code::ResourceExhausted),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn programs_that_hold_too_much_memory_are_refused_until_there_is_room() {
    let server = TestServer::start(&["--max-memory-mib", "1"]);
    let client = server.client().await;
    let row = |step| {
        let label = Label { step, num_steps: 1500, ends_step: true, noise_level: 0.0 };
        Row { label, ..Row::at(10.0) }
    };
    let rows: Vec<Row> = (1..=1500).map(row).collect();
    // It takes half of the memory while it runs, and all of it while it is checked.
    let long = || Request::new("glyphs", Indices::first(60)).sampler(Program::new(rows.clone()));
    let running = client.generate(long()).await.unwrap();
    let info = client.server_info().await.unwrap();
    assert_eq!(info.limits.max_held_bytes, 1 << 20);
    let held = info.load.held_bytes;
    assert!(held >= 1500 * size_of::<Row>() as u64, "{held}");

    match client.generate(long()).await {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.code, Code::ResourceExhausted);
            assert!(refusal.retry_after.is_some_and(|pause| !pause.is_zero()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(server.sample(glyphs(4)).await.samples.len(), 4);
    // A run reports its end shortly before its memory is freed.
    holds(&client, held).await;

    drop(running);
    holds(&client, 0).await;
    assert!(client.generate(long()).await.is_ok());
}

/// Waits until requests hold `bytes` bytes.
async fn holds(client: &Client, bytes: u64) {
    while client.server_info().await.unwrap().load.held_bytes != bytes {
        tokio::task::yield_now().await;
    }
}

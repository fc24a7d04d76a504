//! Clients that leave free what they held.

use std::time::Duration;

use ddpm_client::{Event, Indices, Request};

use crate::harness::{TestServer, glyphs, idle};

/// Requests far more work than a test has time for.
fn endless() -> Request {
    Request::new("glyphs", Indices::first(5000)).num_steps(1000)
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_samples_and_the_next_is_served() {
    let server = TestServer::start(&[]);
    let client = server.client().await;
    let mut generation = client.generate(endless()).await.unwrap();
    assert!(matches!(generation.next().await.unwrap(), Some(Event::Accepted(_))));
    drop(generation);
    idle(&client).await;
    assert_eq!(server.sample(glyphs(2)).await.samples.len(), 2);
}

#[tokio::test]
async fn twenty_clients_that_leave_at_any_time_leave_nothing_behind() {
    let server = TestServer::start(&[]);
    let before = server.sample(glyphs(3)).await.samples;
    let client = server.client().await;
    let mut leaving = Vec::new();
    for delay in 0..20 {
        let client = client.clone();
        leaving.push(tokio::spawn(async move {
            let generation = client.generate(endless()).await;
            tokio::time::sleep(Duration::from_millis(7 * delay)).await;
            drop(generation);
        }));
    }
    for task in leaving {
        task.await.unwrap();
    }
    idle(&client).await;
    assert_eq!(server.sample(glyphs(3)).await.samples, before);
}

//! A log that cannot be written never fails work: its reader may be gone or stuck, its disk full.

use std::fs::File;
use std::process::Stdio;
use std::time::Duration;

use ddpm_client::{Client, Event, Indices, Request};

use crate::harness::{TestServer, glyphs};

/// Where a log goes that nobody can read.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

/// Draws samples, some of them refused so that there is more to log.
async fn works(client: &Client) {
    for _ in 0..3 {
        let drawn = client.generate(glyphs(2)).await.unwrap().collect().await.unwrap();
        assert_eq!(drawn.samples.len(), 2);
        let refused = client.generate(Request::new("no such model", Indices::first(1))).await;
        assert!(refused.is_err());
    }
}

#[tokio::test]
async fn requests_are_answered_and_a_signal_drains_without_a_reader_of_the_log() {
    for log in [closed_pipe(), full_disk()] {
        let server = TestServer::start_logging_to(log, &[("RUST_LOG", "debug,ort=warn")]);
        works(&server.client().await).await;
        server.signal("TERM");
        assert_eq!(server.wait().0.code(), Some(0));
    }
}

#[tokio::test]
async fn requests_do_not_wait_for_a_reader_of_the_log_that_is_stuck() {
    // Nobody reads this pipe, and it holds 64 KiB: less than a log of everything.
    let (_reader, writer) = std::io::pipe().unwrap();
    let server = TestServer::start_logging_to(writer.into(), &[("RUST_LOG", "trace")]);
    let work = async {
        let client = server.client().await;
        for _ in 0..20 {
            works(&client).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("requests wait for the log");
}

#[tokio::test]
async fn a_closed_terminal_drains_the_server_unless_it_was_started_to_outlive_it() {
    let server = TestServer::start(&["--drain-seconds", "600"]);
    let mut running = server.client().await.generate(glyphs(24)).await.unwrap();
    assert!(matches!(running.next().await.unwrap(), Some(Event::Accepted(_))));
    // Shells send it twice.
    server.signal("HUP");
    server.signal("HUP");
    assert_eq!(running.collect().await.unwrap().samples.len(), 24);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");

    let server = TestServer::start_under_nohup();
    server.signal("HUP");
    works(&server.client().await).await;
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

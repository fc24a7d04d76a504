//! A peer that sends HTTP/2 frame by frame, as no library would.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The message of a call without fields.
const EMPTY_MESSAGE: [u8; 5] = [0; 5];

/// Type, stream and payload of a frame.
pub(super) type Frame = (u8, u32, Vec<u8>);

pub(super) struct Peer(TcpStream);

impl Peer {
    /// Sends the preface and empty SETTINGS.
    pub(super) async fn greet(connection: TcpStream) -> Self {
        Self::greet_with(connection, &[]).await
    }

    /// Sends the preface and SETTINGS.
    pub(super) async fn greet_with(connection: TcpStream, settings: &[u8]) -> Self {
        let mut peer = Self(connection);
        peer.0.write_all(PREFACE).await.unwrap();
        peer.send_frame(4, 0, 0, settings).await;
        peer
    }

    /// Sends a frame; whether it arrives is another question.
    pub(super) async fn send_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        let head = [&[high, middle, low, kind, flags][..], &stream.to_be_bytes()].concat();
        let _ = self.0.write_all(&[&head, payload].concat()).await;
    }

    /// Makes a unary call with an empty message.
    pub(super) async fn call(&mut self, stream: u32, path: &str) {
        self.begin_call(stream, path, &[]).await;
        self.send_frame(0, 1, stream, &EMPTY_MESSAGE).await;
    }

    /// Sends the headers of a call.
    pub(super) async fn begin_call(&mut self, stream: u32, path: &str, more: &[(&[u8], &[u8])]) {
        // HPACK: POST and http from the static table, the rest literal and never indexed.
        let mut block = vec![0x83, 0x86];
        let literal = |name: &[u8], value: &[u8]| {
            [&[0x10, name.len() as u8][..], name, &[value.len() as u8], value].concat()
        };
        block.extend(literal(b":path", path.as_bytes()));
        block.extend(literal(b":authority", b"server"));
        block.extend(literal(b"content-type", b"application/grpc"));
        block.extend(literal(b"te", b"trailers"));
        block.extend(more.iter().flat_map(|(name, value)| literal(name, value)));
        self.send_frame(1, 4, stream, &block).await;
    }

    /// Reads up to the next frame of a type; `None` at the end of the connection.
    pub(super) async fn frame_of_kind(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame().await?;
            if frame.0 == kind {
                return Some(frame);
            }
        }
    }

    /// Waits until the server closes the connection.
    pub(super) async fn closed(&mut self) {
        while self.frame().await.is_some() {}
    }

    async fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [high, middle, low, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((kind, u32::from_be_bytes(stream), payload))
    }
}

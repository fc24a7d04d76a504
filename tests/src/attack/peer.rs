//! A connection whose every byte we choose.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::attack::wire::{ACK, Frame, Frames, PREFACE, frame, kind};

/// How long a write or an answer may take before a peer gives up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A TCP connection to a server, with what is needed to speak HTTP/2 by hand.
#[derive(Debug)]
pub struct Peer {
    socket: TcpStream,
    frames: Frames,
}

impl Peer {
    /// Connects from `source` and says nothing.
    ///
    /// # Errors
    ///
    /// The connection fails or takes more than 5 s.
    pub async fn silent(server: SocketAddr, source: IpAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(source, 0))?;
        let socket = timeout(PATIENCE, socket.connect(server)).await??;
        socket.set_nodelay(true)?;
        Ok(Self { socket, frames: Frames::default() })
    }

    /// Connects from `source` and opens HTTP/2.
    ///
    /// * `window`: bytes of a stream that the server may send unread.
    ///
    /// # Errors
    ///
    /// As [`Peer::silent`].
    pub async fn open(server: SocketAddr, source: IpAddr, window: u32) -> io::Result<Self> {
        let mut peer = Self::silent(server, source).await?;
        let initial_window_size = [&[0, 4][..], &window.to_be_bytes()].concat();
        let opening = [
            PREFACE.to_vec(),
            frame(kind::SETTINGS, 0, 0, &initial_window_size),
            frame(kind::SETTINGS, ACK, 0, &[]),
            // The connection's own window never matters.
            frame(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()),
        ];
        peer.send(&opening.concat()).await?;
        Ok(peer)
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The connection is closed, or takes nothing for 5 s.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(PATIENCE, self.socket.write_all(bytes)).await?
    }

    /// Throws away what has come.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0; 1 << 16];
        loop {
            match self.socket.try_read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the next frame. Pings are answered on the way.
    ///
    /// Cancel safe: no frame is lost if the future is dropped while it waits.
    ///
    /// # Errors
    ///
    /// The connection is closed.
    pub async fn next_frame(&mut self) -> io::Result<Frame> {
        let mut buffer = [0; 1 << 16];
        loop {
            while let Some(next) = self.frames.next_frame() {
                if (next.kind, next.flags & ACK) == (kind::PING, 0) {
                    let answer = frame(kind::PING, ACK, 0, &next.payload);
                    // A full socket loses the answer; that is no harm to us.
                    let _ = self.socket.try_write(&answer);
                    continue;
                }
                return Ok(next);
            }
            let read = self.socket.read(&mut buffer).await?;
            if read == 0 {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.frames.feed(&buffer[..read]);
        }
    }
}

//! One connection, from its first byte to its last.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::bounds::Bounds;
use super::calls::Calls;
use super::front::Front;
use super::lines::Requests;
use super::place::Host;
use super::streams::Streams;
use super::table::{ConnectionId, ConnectionTable, Place};
use super::wire::{Wire, WireBounds};
use super::{CallService, Connections, Shared};

/// A client that has not answered a ping for this long is gone.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Bytes of a request's body that a peer may send before they are read, for one stream and for
/// all of its connection.
const WINDOW_BYTES: u32 = 1 << 20;

/// Most bytes of headers of one request.
const HEADER_BYTES: u32 = 16 << 10;

/// Most bytes that a connection of HTTP/1.1 reads ahead, and as many that wait to be written. The
/// head of a request must fit. Nobody counts them, and there may be many connections.
const BUFFER_BYTES: usize = 16 << 10;

/// Most bytes that the connection takes of one stream before the peer has taken them: all streams
/// of all connections may hold as many, so it is as little as keeps a socket busy.
const SEND_BYTES: usize = 64 << 10;

/// Streams that a peer may open and reset before we have seen them.
const UNSEEN_RESETS: usize = 20;

/// Streams that we may reset for errors of the peer.
const ERROR_RESETS: usize = 200;

/// How long a connection that was told to go away has to do so, if it has no stream.
const LEAVE: Duration = Duration::from_secs(2);

/// The same for a connection whose place another one takes. Watches do not keep it, and a call
/// that came before the peer knew only for [`LEAVE`].
const LEAVE_FOR_ANOTHER: Duration = Duration::from_millis(100);

/// Gives the place of a connection back.
struct Closed {
    connections: Connections,
    id: u64,
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.connections.lock().closed(self.id, Instant::now());
    }
}

/// A connection that was told to go away.
#[derive(Debug, Default)]
struct Leaving {
    /// When it is closed if it has no stream then.
    end: Option<Instant>,
    /// Since when another connection has waited for its place.
    displaced: Option<Instant>,
}

impl Leaving {
    fn displace(&mut self) {
        let now = Instant::now();
        *self = Self { end: Some(now + LEAVE_FOR_ANOTHER), displaced: Some(now) };
    }

    /// Returns whether it is closed now; if not, sets when to look again.
    fn is_over(&mut self, table: &ConnectionTable, id: ConnectionId) -> bool {
        // A call came before the peer knew, unless it does not want to know.
        let late = self.displaced.is_some_and(|since| since.elapsed() >= LEAVE);
        let watches = self.displaced.is_some() && table.only_watches(id);
        self.end = Some(self.displaced.unwrap_or_else(Instant::now) + LEAVE);
        table.streams(id) == 0 || watches || late
    }
}

/// Serves a connection until it is closed, idle for too long, displaced or stopped.
pub(super) async fn serve<S: CallService>(
    io: TcpStream,
    peer: std::net::SocketAddr,
    place: Place,
    service: S,
    shared: Arc<Shared>,
) {
    let connections = Connections::clone(&shared.connections);
    let _closed = Closed { connections: Connections::clone(&connections), id: place.id };
    // An error shows again when the connection is read.
    let _ = io.set_nodelay(true);
    let host = Host::new(Arc::clone(&shared), place.id);
    let streams = Streams::new(&shared);
    let calls = Calls {
        host: host.clone(),
        streams: streams.clone(),
        peer,
        local: io.local_addr().ok(),
        http1: false,
        service: TowerToHyperService::new(service),
    };
    let web = shared.web.clone();
    let (greeted, id) = (Connections::clone(&connections), place.id);
    let bounds = WireBounds::from(&shared.bounds);
    let requests = Requests::default();
    let greeted = move || greeted.lock().greeted(id);
    let wire = Wire::new(io, bounds, requests.clone(), place.frames, greeted);
    let builder = builder(streams.clone(), &shared.bounds, web.is_some());
    let front = Front { web, requests, calls };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(wire), front));
    let mut stalled = pin!(streams.http1_stalled());

    // Those that come later are told when their calls have been refused: by the close.
    let mut told = shared.goaway.is_cancelled();
    let mut closing = false;
    let mut leaving = Leaving::default();
    let mut look = Instant::now() + shared.bounds.idle;
    loop {
        tokio::select! {
            result = &mut connection => {
                if let Err(error) = result {
                    debug!(%peer, %error, "a connection failed");
                }
                return;
            }
            () = shared.abort.cancelled() => return,
            () = &mut stalled => return,
            () = place.leave.cancelled(), if leaving.displaced.is_none() => leaving.displace(),
            () = host.leaves(), if !told => told = true,
            () = shared.closing.cancelled(), if !closing => closing = true,
            () = sleep_until(look), if leaving.end.is_none() => {
                let idle_since = connections.lock().idle_since(id);
                let since = idle_since.unwrap_or_else(Instant::now);
                look = since + shared.bounds.idle;
                if look > Instant::now() {
                    continue;
                }
                leaving.end = Some(Instant::now() + LEAVE);
            }
            () = sleep_until(leaving.end.unwrap_or(look)), if leaving.end.is_some() => {
                if leaving.is_over(&connections.lock(), id) {
                    return;
                }
                continue;
            }
        }
        connection.as_mut().graceful_shutdown();
    }
}

/// * `web`: whether HTTP/1.1 is spoken too.
fn builder(streams: Streams, bounds: &Bounds, web: bool) -> Builder<Streams> {
    let mut builder = Builder::new(streams);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .max_concurrent_streams(bounds.connection_streams)
        .max_header_list_size(HEADER_BYTES)
        .max_pending_accept_reset_streams(UNSEEN_RESETS)
        .max_local_error_reset_streams(ERROR_RESETS)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES);
    builder
        .http1()
        .timer(TokioTimer::new())
        // Between two requests too.
        .header_read_timeout(bounds.frame)
        .max_buf_size(BUFFER_BYTES);
    if web { builder } else { builder.http2_only() }
}

//! Connections: taken within bounds, served over HTTP/2 or HTTP/1.1, and ended in order.
//!
//! What a peer can do to others is bounded here before any service sees it:
//!
//! * [`accept`]: connections in all and of each peer; descriptors that run out;
//! * [`table`]: who is connected, and who makes room; streams in all and of each peer;
//! * [`wire`]: silent connections, half frames, floods of frames (by [`watch`] and [`tokens`]),
//!   peers that take nothing;
//! * [`connection`]: one connection; streams, windows, headers; idle ones are told to go away;
//! * [`front`]: what browsers may ask for; gRPC-web;
//! * [`calls`]: each call gets a place, its principal and its deadline;
//! * [`body`]: a request's message is collected, decompressed and counted;
//! * [`reply`] and [`streams`]: answers that are not read are reset; a server that stops says so;
//! * [`refusals`] and [`seldom`]: no peer fills the log.
//!
//! The end has an order too: [`Transport::go_away`] tells peers to call elsewhere, while their
//! calls and new connections are still served; [`Transport::stop`] ends calls with a status;
//! [`Transport::close`] closes the listener and every connection.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Layer, Service};

use crate::admission::Memory;
use crate::principal::TrustedProxies;
use crate::web::{GateLayer, WebRules};

mod accept;

mod body;
#[cfg(test)]
pub(crate) use body::collect_pieces;
pub(crate) use body::{BodyLayer, BodyTimes, MessageRoom};

mod bounds;
pub(crate) use bounds::{Bounds, default_connections, default_peer_connections};

mod calls;

mod connection;

mod front;

mod frames;
#[cfg(test)]
pub(crate) use frames::FrameWatch;

mod lines;

mod place;

mod refusals;
use refusals::Refusals;

mod reply;

mod seldom;

mod streams;
use streams::Resets;

mod table;
use table::ConnectionTable;

mod tokens;

mod watch;

mod wire;

/// What answers calls.
pub(crate) trait CallService:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> CallService for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Puts what all calls go through in front of the services.
pub(crate) fn service(routes: Routes, bodies: &BodyLayer) -> impl CallService {
    GateLayer.layer(bodies.layer(routes.prepare()))
}

/// Connections and the listener they come from.
#[derive(Debug)]
pub(crate) struct Transport {
    shared: Arc<Shared>,
}

/// The state that all connections share.
#[derive(Debug)]
struct Shared {
    bounds: Bounds,
    proxies: Option<TrustedProxies>,
    /// `None` if browsers may not call.
    web: Option<Arc<WebRules>>,
    /// Counts what waits for peers.
    memory: Memory,
    connections: Connections,
    refusals: Refusals,
    resets: Resets,
    /// Notified when the last stream that is no watch ends.
    no_calls: Notify,
    /// The accept loop, the connections and their streams.
    tasks: TaskTracker,
    /// Peers are told to call elsewhere.
    goaway: CancellationToken,
    /// Calls end with a status.
    stop: CancellationToken,
    /// No further connection is taken.
    closing: CancellationToken,
    /// Connections are dropped.
    abort: CancellationToken,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, ConnectionTable> {
        self.connections.lock()
    }
}

/// The table of connections, shared.
#[derive(Debug, Clone)]
struct Connections(Arc<Mutex<ConnectionTable>>);

impl Connections {
    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport {
    /// Starts to accept and serve connections.
    ///
    /// * `web`: what browsers may ask for; `None`: nothing.
    /// * `memory`: what waits for peers counts against it.
    pub(crate) fn start(
        listener: TcpListener,
        service: impl CallService,
        bounds: Bounds,
        proxies: Option<TrustedProxies>,
        web: Option<WebRules>,
        memory: Memory,
    ) -> Self {
        let shared = Arc::new(Shared {
            connections: Connections(Arc::new(Mutex::new(ConnectionTable::new(
                bounds.clone(),
                Instant::now(),
            )))),
            bounds,
            proxies,
            web: web.map(Arc::new),
            memory,
            refusals: Refusals::default(),
            resets: Resets::default(),
            no_calls: Notify::new(),
            tasks: TaskTracker::new(),
            goaway: CancellationToken::new(),
            stop: CancellationToken::new(),
            closing: CancellationToken::new(),
            abort: CancellationToken::new(),
        });
        shared.tasks.spawn(accept::accept(listener, service, Arc::clone(&shared)));
        Self { shared }
    }

    /// Tells every peer that is connected to call elsewhere: at once if it has no open call,
    /// else when those are over or it calls anew, since clients fail calls that they begin on a
    /// connection that goes away. Open calls go on. Connections that come later are served, so
    /// that they hear why their calls are refused.
    pub(crate) fn go_away(&self) {
        self.shared.goaway.cancel();
    }

    /// Completes when no call is open but health watches.
    pub(crate) async fn no_calls(&self) {
        loop {
            let none = self.shared.no_calls.notified();
            if self.shared.table().calls() == 0 {
                return;
            }
            none.await;
        }
    }

    /// Ends every open call that has nothing more to hand on with UNAVAILABLE.
    pub(crate) fn stop(&self) {
        self.shared.stop.cancel();
    }

    /// Closes the listener, and waits for connections to close, but no longer than `limit`.
    pub(crate) async fn close(&self, limit: Duration) {
        self.go_away();
        self.shared.closing.cancel();
        self.shared.tasks.close();
        if timeout(limit, self.shared.tasks.wait()).await.is_err() {
            self.shared.abort.cancel();
            self.shared.tasks.wait().await;
        }
    }
}

#[cfg(test)]
mod tests;

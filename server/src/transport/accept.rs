//! Takes connections from the listener, within the bounds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::seldom::Seldom;
use super::table::NoPlace;
use super::{CallService, Shared, connection};
use crate::principal::Principal;

/// Pause after an error that the next attempt would meet again.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections until `closing` is cancelled; then the listener is closed.
pub(super) async fn accept<S: CallService>(listener: TcpListener, service: S, shared: Arc<Shared>) {
    let mut acceptor = Acceptor { service, shared, refused: Seldom::default() };
    let mut failed = Seldom::default();
    let closing = acceptor.shared.closing.clone();
    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((io, peer)) => acceptor.place(io, peer),
            Err(error) if is_of_the_peer(&error) => {}
            Err(error) => {
                let now = Instant::now();
                if let Some(times) = failed.happened(now) {
                    report(&error, times);
                }
                acceptor.shared.table().make_room(now);
                sleep(PAUSE).await;
            }
        }
    }
}

struct Acceptor<S> {
    service: S,
    shared: Arc<Shared>,
    refused: Seldom,
}

impl<S: CallService> Acceptor<S> {
    /// Starts serving a connection, or closes it if there is no place for it.
    fn place(&mut self, io: TcpStream, peer: SocketAddr) {
        let now = Instant::now();
        let trusted = self.shared.proxies.as_ref().is_some_and(|all| all.contains(peer.ip()));
        let principal = (!trusted).then(|| Principal::of_address(peer.ip()));
        let placed = self.shared.table().admit(principal.as_ref(), now);
        match placed {
            Ok(place) => {
                let (service, shared) = (self.service.clone(), Arc::clone(&self.shared));
                let serving = connection::serve(io, peer, place, service, shared);
                self.shared.tasks.spawn(serving);
            }
            Err(full) => {
                if let Some(times) = self.refused.happened(now) {
                    self.report(full, peer, times);
                }
            }
        }
    }

    fn report(&self, full: NoPlace, peer: SocketAddr, times: u64) {
        let bounds = &self.shared.bounds;
        let (limit, flag) = match full {
            NoPlace::Peer => (bounds.peer_connections, "--max-peer-connections"),
            NoPlace::Server => (bounds.connections, "--max-connections"),
        };
        warn!(%peer, limit, times, "too many connections: closed at once; see {flag}");
    }
}

/// Returns whether an error is the end of the connection that was accepted, so that the next
/// attempt meets another.
fn is_of_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

fn report(error: &io::Error, times: u64) {
    let no_descriptors = matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE));
    if no_descriptors {
        warn!(times, "no file descriptors left; raise `ulimit -n` or lower --max-connections");
    } else {
        warn!(times, %error, "a connection could not be accepted");
    }
}

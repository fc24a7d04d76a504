//! Who is connected, and who may be. Pure; time is an input.
//!
//! A connection that finds the server, or its peer, at a bound takes the place of the one that
//! has been idle for longest: first those that never spoke, last those that only watch health.
//! That keeps health checks alive while somebody opens connections and leaves them. A peer at its
//! own bound can only displace itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::bounds::Bounds;
use super::tokens::{PeerTokens, ServerTokens, SharedTokens};
use crate::principal::Principal;

mod streams;
use streams::StreamCounts;
pub(super) use streams::{Stream, StreamKind, TooManyStreams};

/// Connections that were asked to leave and have not yet: so many more than the bound are open
/// for a moment.
const MAX_LEAVING: usize = 32;

/// Seconds' worth of frames that a peer, or all of them together, may send at once.
const FRAME_BURST_SECONDS: f64 = 2.0;

/// How many times the frames of one peer all peers may send together.
const PEERS_AT_FULL_RATE: f64 = 10.0;

/// Peers without a connection that are remembered before all are looked through.
const MAX_FORGOTTEN_LATE: usize = 1024;

pub(super) type ConnectionId = u64;

/// The tokens of a peer's frames, shared by its connections.
pub(super) type FrameTokens = Arc<Mutex<PeerTokens>>;

/// All open connections.
#[derive(Debug)]
pub(super) struct ConnectionTable {
    bounds: Bounds,
    next: ConnectionId,
    open: HashMap<ConnectionId, Connection>,
    peers: HashMap<Principal, Peer>,
    idle: Idle,
    leaving: usize,
    streams: StreamCounts,
    /// What pays for the frames of all peers.
    frames: ServerTokens,
    /// Peers with a connection.
    connected: usize,
}

#[derive(Debug)]
struct Connection {
    /// `None` for a trusted proxy, which the bounds of a peer spare.
    peer: Option<Principal>,
    greeted: bool,
    /// Open streams, with the watches among them.
    streams: usize,
    watches: usize,
    /// Since when it has had no stream, or only watches.
    idle_since: Option<Instant>,
    /// Tells the connection to make room.
    leave: CancellationToken,
}

#[derive(Debug)]
struct Peer {
    connections: usize,
    leaving: usize,
    idle: Idle,
    frames: FrameTokens,
}

/// Connections without a stream other than watches, the longest idle first; those of a kind
/// before the next kind.
#[derive(Debug, Default)]
struct Idle {
    /// Those that have not sent a preface and SETTINGS.
    silent: BTreeSet<(Instant, ConnectionId)>,
    greeted: BTreeSet<(Instant, ConnectionId)>,
    watching: BTreeSet<(Instant, ConnectionId)>,
}

/// The place of a new connection.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: ConnectionId,
    /// Cancelled when it must make room for another.
    pub(super) leave: CancellationToken,
    /// What pays for its frames; `None` for a trusted proxy.
    pub(super) frames: Option<FrameTokens>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The peer has as many connections as one may have.
    Peer,
    /// There are as many connections as there may be.
    Server,
}

impl Idle {
    /// The connections of a kind like this.
    fn set(&mut self, greeted: bool, watches: bool) -> &mut BTreeSet<(Instant, ConnectionId)> {
        match (watches, greeted) {
            (true, _) => &mut self.watching,
            (false, true) => &mut self.greeted,
            (false, false) => &mut self.silent,
        }
    }

    /// Returns the connection that has been idle for longest, and since `before` at least.
    fn longest(&self, before: Option<Instant>) -> Option<ConnectionId> {
        let settled = |set: &BTreeSet<(Instant, ConnectionId)>| {
            set.first().copied().filter(|(since, _)| before.is_some_and(|before| *since <= before))
        };
        let sets = [&self.silent, &self.greeted, &self.watching];
        sets.into_iter().find_map(settled).map(|(_, id)| id)
    }
}

impl ConnectionTable {
    pub(super) fn new(bounds: Bounds, now: Instant) -> Self {
        let frames = frame_tokens(PEERS_AT_FULL_RATE * f64::from(bounds.peer_frames), now);
        Self {
            frames: Arc::new(Mutex::new(frames)),
            connected: 0,
            streams: StreamCounts::new(&bounds),
            bounds,
            next: 0,
            open: HashMap::new(),
            peers: HashMap::new(),
            idle: Idle::default(),
            leaving: 0,
        }
    }

    /// Returns the number of open connections.
    #[cfg(test)]
    pub(super) fn connections(&self) -> usize {
        self.open.len()
    }

    /// Gives a new connection a place, if need be another's, which is told to leave.
    ///
    /// * `peer`: `None` for a trusted proxy.
    ///
    /// # Errors
    ///
    /// If a bound is reached and every connection under it is in use.
    pub(super) fn admit(
        &mut self,
        peer: Option<&Principal>,
        now: Instant,
    ) -> Result<Place, NoPlace> {
        if let Some(known) = peer.and_then(|peer| self.peers.get(peer))
            && known.connections - known.leaving >= self.bounds.peer_connections
        {
            let longest = known.idle.longest(now.checked_sub(self.bounds.settled));
            let room = longest.filter(|_| known.leaving < MAX_LEAVING);
            self.displace(room.ok_or(NoPlace::Peer)?);
        } else if self.open.len() - self.leaving >= self.bounds.connections {
            self.make_room(now).ok_or(NoPlace::Server)?;
        }
        self.forget_peers(now);
        let id = self.next;
        self.next += 1;
        let frames = peer.map(|peer| {
            let frames = frame_tokens(f64::from(self.bounds.peer_frames), now);
            let server = Arc::clone(&self.frames);
            let entry = self.peers.entry(peer.clone());
            let known = entry.or_insert_with(|| Peer::new(PeerTokens::new(frames, server, now)));
            known.set_connections(known.connections + 1);
            self.connected += usize::from(known.connections == 1);
            Arc::clone(&known.frames)
        });
        self.share_frames();
        let leave = CancellationToken::new();
        let connection = Connection {
            peer: peer.cloned(),
            greeted: false,
            streams: 0,
            watches: 0,
            idle_since: None,
            leave: leave.clone(),
        };
        self.open.insert(id, connection);
        self.set_idle(id, Some(now));
        Ok(Place { id, leave, frames })
    }

    /// Tells the connection that has been idle for longest to leave; returns it.
    pub(super) fn make_room(&mut self, now: Instant) -> Option<ConnectionId> {
        let longest = self.idle.longest(now.checked_sub(self.bounds.settled));
        let id = longest.filter(|_| self.leaving < MAX_LEAVING)?;
        self.displace(id);
        Some(id)
    }

    fn displace(&mut self, id: ConnectionId) {
        self.set_idle(id, None);
        let Some(connection) = self.open.get(&id) else { return };
        connection.leave.cancel();
        self.leaving += 1;
        if let Some(peer) = connection.peer.as_ref().and_then(|peer| self.peers.get_mut(peer)) {
            peer.leaving += 1;
        }
    }

    /// Notes that a connection has sent its preface and SETTINGS.
    pub(super) fn greeted(&mut self, id: ConnectionId) {
        let Some(connection) = self.open.get_mut(&id) else { return };
        let since = connection.idle_since;
        self.set_idle(id, None);
        if let Some(connection) = self.open.get_mut(&id) {
            connection.greeted = true;
        }
        self.set_idle(id, since);
    }

    /// Returns since when a connection has had no stream; `None` while it has one.
    pub(super) fn idle_since(&self, id: ConnectionId) -> Option<Instant> {
        let connection = self.open.get(&id).filter(|connection| connection.streams == 0);
        connection.and_then(|connection| connection.idle_since)
    }

    /// Returns whether every open stream of a connection is a watch.
    pub(super) fn only_watches(&self, id: ConnectionId) -> bool {
        self.open.get(&id).is_none_or(|connection| connection.streams == connection.watches)
    }

    /// Returns the number of open streams that are no watches.
    pub(super) fn calls(&self) -> usize {
        self.streams.calls()
    }

    /// Returns the number of a connection's open streams.
    pub(super) fn streams(&self, id: ConnectionId) -> usize {
        self.open.get(&id).map_or(0, |connection| connection.streams)
    }

    /// Counts a stream of a connection.
    ///
    /// # Errors
    ///
    /// If its principal, or all of them, have as many streams as they may.
    pub(super) fn open_stream(
        &mut self,
        id: ConnectionId,
        stream: &Stream,
        now: Instant,
    ) -> Result<(), TooManyStreams> {
        self.streams.open(stream)?;
        self.count_stream(id, now, |connection| {
            connection.streams += 1;
            connection.watches += usize::from(stream.kind == StreamKind::Watch);
        });
        Ok(())
    }

    /// Counts a stream of [`Self::open_stream`] out, even if its connection is closed by now.
    pub(super) fn end_stream(&mut self, id: ConnectionId, stream: &Stream, now: Instant) {
        self.streams.end(stream);
        self.count_stream(id, now, |connection| {
            connection.streams -= 1;
            connection.watches -= usize::from(stream.kind == StreamKind::Watch);
        });
    }

    /// Changes the number of a connection's streams.
    fn count_stream(&mut self, id: ConnectionId, now: Instant, count: impl Fn(&mut Connection)) {
        let Some(connection) = self.open.get(&id) else { return };
        let (before, watches) = (connection.idle_since, connection.watches > 0);
        self.set_idle(id, None);
        let Some(connection) = self.open.get_mut(&id) else { return };
        count(connection);
        let stays = !connection.leave.is_cancelled();
        if stays && connection.streams == connection.watches {
            // Watches that come or go make it no busier than it was.
            let since = before.filter(|_| watches && connection.watches > 0);
            self.set_idle(id, Some(since.unwrap_or(now)));
        }
    }

    /// Forgets a connection that is closed; what its streams still hold counts until they end.
    pub(super) fn closed(&mut self, id: ConnectionId, now: Instant) {
        self.set_idle(id, None);
        let Some(connection) = self.open.remove(&id) else { return };
        let leaving = usize::from(connection.leave.is_cancelled());
        self.leaving -= leaving;
        let Some(name) = connection.peer else { return };
        let Some(peer) = self.peers.get_mut(&name) else { return };
        peer.set_connections(peer.connections - 1);
        peer.leaving -= leaving;
        self.connected -= usize::from(peer.connections == 0);
        if peer.is_forgettable(now) {
            self.peers.remove(&name);
        }
        self.share_frames();
    }

    /// Divides the frames of all among the peers that have a connection.
    fn share_frames(&self) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.set_sharers(self.connected);
    }

    /// Notes since when a connection has had no stream, or only watches.
    fn set_idle(&mut self, id: ConnectionId, since: Option<Instant>) {
        let Self { open, peers, idle, .. } = self;
        let Some(connection) = open.get_mut(&id) else { return };
        let before = std::mem::replace(&mut connection.idle_since, since);
        let of_peer = connection.peer.as_ref().and_then(|peer| peers.get_mut(peer));
        for idle in [Some(idle), of_peer.map(|peer| &mut peer.idle)].into_iter().flatten() {
            let set = idle.set(connection.greeted, connection.watches > 0);
            if let Some(before) = before {
                set.remove(&(before, id));
            }
            set.extend(since.map(|since| (since, id)));
        }
    }

    /// Forgets peers that are gone. They are kept until their tokens are full again, seconds
    /// later: else a peer would renew them by connecting anew.
    fn forget_peers(&mut self, now: Instant) {
        if self.peers.len() > 2 * self.open.len() + MAX_FORGOTTEN_LATE {
            self.peers.retain(|_, peer| !peer.is_forgettable(now));
        }
    }
}

/// Returns full tokens for frames, with a burst.
fn frame_tokens(rate: f64, now: Instant) -> SharedTokens {
    SharedTokens::new(rate, FRAME_BURST_SECONDS * rate, now)
}

impl Peer {
    fn new(frames: PeerTokens) -> Self {
        Self {
            connections: 0,
            leaving: 0,
            idle: Idle::default(),
            frames: Arc::new(Mutex::new(frames)),
        }
    }

    fn set_connections(&mut self, connections: usize) {
        self.connections = connections;
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        frames.set_connections(connections);
    }

    fn is_forgettable(&self, now: Instant) -> bool {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        self.connections == 0 && frames.is_full(now)
    }
}

#[cfg(test)]
mod tests;

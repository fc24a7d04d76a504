//! What one peer, and all of them together, may take of the transport.

use std::time::Duration;

use rustix::process::Resource;

/// Most connections, unless descriptors are fewer or an option says otherwise.
const MAX_CONNECTIONS: usize = 10_000;

/// Descriptors that are not for connections: models, logs, the runtime.
const OTHER_DESCRIPTORS: usize = 64;

/// The bounds of the transport. Those without an option are the same everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    /// Connections in all.
    pub(crate) connections: usize,
    /// Connections of one peer.
    pub(crate) peer_connections: usize,
    /// Open streams of one connection.
    pub(crate) connection_streams: u32,
    /// Open streams in all.
    pub(crate) streams: usize,
    /// Of these, streams that are left to [short calls](super::table::StreamKind::Short).
    pub(crate) reserved_streams: usize,
    /// And streams that are left to principals with few open streams.
    pub(crate) streams_for_few: usize,
    /// Open streams of one principal.
    pub(crate) principal_streams: usize,
    /// Health watches in all: they have no end of their own.
    pub(crate) watches: usize,
    /// Health watches of one principal.
    pub(crate) principal_watches: usize,
    /// Control frames that one peer may send per second, over all its connections, or 8 KiB of
    /// anything for each.
    pub(crate) peer_frames: u32,
    /// How long a connection without a stream is kept.
    pub(crate) idle: Duration,
    /// How long a peer may take for the preface and its SETTINGS.
    pub(crate) greeting: Duration,
    /// How long a peer may take for one frame or one header block.
    pub(crate) frame: Duration,
    /// How long a peer may leave a piece of an answer unread before its stream is reset. A
    /// little more than what event streams wait, so that those end with a status.
    pub(crate) stall: Duration,
    /// How long a connection must have had no stream, or only watches, to make room for a new
    /// one.
    pub(crate) settled: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        let connections = default_connections();
        Self {
            connections,
            peer_connections: default_peer_connections(connections),
            connection_streams: 200,
            streams: 8192,
            reserved_streams: 512,
            streams_for_few: 1024,
            principal_streams: 2048,
            watches: 2048,
            principal_watches: 256,
            peer_frames: 2000,
            idle: Duration::from_secs(300),
            greeting: Duration::from_secs(10),
            frame: Duration::from_secs(10),
            stall: Duration::from_secs(32),
            settled: Duration::from_secs(1),
        }
    }
}

/// Returns the bound that leaves descriptors for everything else.
pub(crate) fn default_connections() -> usize {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    limit.saturating_sub(OTHER_DESCRIPTORS).clamp(1, MAX_CONNECTIONS)
}

/// Returns the bound for one peer that leaves most connections to others.
pub(crate) fn default_peer_connections(connections: usize) -> usize {
    connections.div_ceil(4)
}

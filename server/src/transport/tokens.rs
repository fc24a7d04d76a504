//! Token buckets: rates with a burst, shared by connections and by peers. Time is an input.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Fills at a rate up to a burst, and is paid from.
#[derive(Debug)]
pub(super) struct TokenBucket {
    /// Tokens per second.
    rate: f64,
    /// Most tokens that it holds.
    burst: f64,
    /// Below zero when more was paid than it held.
    tokens: f64,
    /// When `tokens` was true.
    at: Instant,
}

impl TokenBucket {
    /// Returns a full bucket.
    pub(super) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { rate, burst, tokens: burst, at: now }
    }

    /// Changes rate and burst from now on.
    fn set(&mut self, rate: f64, burst: f64, now: Instant) {
        self.fill(now);
        (self.rate, self.burst) = (rate, burst);
    }

    /// Takes tokens, even those that it does not hold yet: what they pay for has happened.
    pub(super) fn pay(&mut self, tokens: f64, now: Instant) {
        self.fill(now);
        self.tokens -= tokens;
    }

    /// Returns how long to wait until debts are paid; zero if there are none.
    pub(super) fn wait(&mut self, now: Instant) -> Duration {
        self.fill(now);
        match self.tokens < 0.0 {
            true => Duration::from_secs_f64(-self.tokens / self.rate),
            false => Duration::ZERO,
        }
    }

    /// Returns whether nothing would be lost if it were forgotten.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= self.burst
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.rate).min(self.burst);
        self.at = self.at.max(now);
    }
}

/// Frames that every sharer may send at once, however many there are.
const LEAST_BURST: f64 = 20.0;

/// Least rate of one sharer, in frames per second.
const LEAST_RATE: f64 = 1.0;

/// A rate that several share: each may use its part whatever the others do, and more while they
/// leave it.
#[derive(Debug)]
pub(super) struct SharedTokens {
    all: TokenBucket,
    sharers: usize,
}

impl SharedTokens {
    pub(super) fn new(rate: f64, burst: f64, now: Instant) -> Self {
        Self { all: TokenBucket::new(rate, burst, now), sharers: 0 }
    }

    /// Sets how many share it.
    pub(super) fn set_sharers(&mut self, sharers: usize) {
        self.sharers = sharers;
    }

    /// Returns the tokens of one more sharer.
    pub(super) fn share(&self, now: Instant) -> TokenBucket {
        TokenBucket::new(self.all.rate, self.all.burst, now)
    }

    /// Returns how long a sharer waits: until the debts of all or its own are paid.
    fn wait(&mut self, own: &mut TokenBucket, now: Instant) -> Duration {
        let sharers = self.sharers.max(1) as f64;
        let (rate, burst) = (self.all.rate / sharers, self.all.burst / sharers);
        own.set(rate.max(LEAST_RATE), burst.max(LEAST_BURST), now);
        self.all.wait(now).min(own.wait(now))
    }

    /// Pays for frames of a sharer.
    fn pay(&mut self, own: &mut TokenBucket, tokens: f64, now: Instant) {
        self.all.pay(tokens, now);
        own.pay(tokens, now);
    }
}

/// What pays for the frames of all peers, each of which has a part.
pub(super) type ServerTokens = Arc<Mutex<SharedTokens>>;

/// What pays for the frames of a peer, shared by its connections.
#[derive(Debug)]
pub(super) struct PeerTokens {
    connections: SharedTokens,
    server: ServerTokens,
    /// Its part of the server's.
    own: TokenBucket,
}

impl PeerTokens {
    /// Makes full tokens of a peer, which is one that `server` counts.
    pub(super) fn new(connections: SharedTokens, server: ServerTokens, now: Instant) -> Self {
        let own = lock(&server).share(now);
        Self { connections, server, own }
    }

    /// Sets how many connections share it.
    pub(super) fn set_connections(&mut self, connections: usize) {
        self.connections.set_sharers(connections);
    }

    /// Returns whether nothing would be lost if it were forgotten.
    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.connections.all.is_full(now) && self.own.is_full(now)
    }

    /// Returns the tokens of one more connection.
    pub(super) fn share(&self, now: Instant) -> TokenBucket {
        self.connections.share(now)
    }

    /// Returns how long a connection waits. One that keeps to its part of its peer's rate never
    /// waits for what the others of its peer send; a peer that keeps to its part of the server's
    /// never waits for other peers.
    pub(super) fn wait(&mut self, own: &mut TokenBucket, now: Instant) -> Duration {
        let among_peers = lock(&self.server).wait(&mut self.own, now);
        self.connections.wait(own, now).max(among_peers)
    }

    /// Pays for frames of a connection.
    pub(super) fn pay(&mut self, own: &mut TokenBucket, tokens: f64, now: Instant) {
        self.connections.pay(own, tokens, now);
        lock(&self.server).pay(&mut self.own, tokens, now);
    }
}

fn lock(tokens: &ServerTokens) -> MutexGuard<'_, SharedTokens> {
    tokens.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits_for_the_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 200.0, start);
        bucket.pay(200.0, start);
        assert_eq!(bucket.wait(start), Duration::ZERO);
        bucket.pay(50.0, start);
        assert_eq!(bucket.wait(start), seconds(0.5));
        assert_eq!(bucket.wait(start + seconds(0.25)), seconds(0.25));
        assert_eq!(bucket.wait(start + seconds(0.5)), Duration::ZERO);
    }

    #[test]
    fn it_never_holds_more_than_its_burst() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(100.0, 200.0, start);
        assert!(bucket.is_full(start + seconds(60.0)));
        bucket.pay(201.0, start + seconds(60.0));
        assert_eq!(bucket.wait(start + seconds(60.0)), seconds(0.01));
        assert!(!bucket.is_full(start + seconds(62.0)));
        assert!(bucket.is_full(start + seconds(62.02)));
    }

    #[test]
    fn a_clock_that_another_thread_read_earlier_changes_nothing() {
        let start = Instant::now() + seconds(1.0);
        let mut bucket = TokenBucket::new(100.0, 200.0, start);
        bucket.pay(300.0, start);
        assert_eq!(bucket.wait(start - seconds(1.0)), seconds(1.0));
        assert_eq!(bucket.wait(start), seconds(1.0));
    }

    /// The tokens of a peer that sends 100 frames per second, at a server that nobody fills.
    fn peer(now: Instant) -> PeerTokens {
        let server = Arc::new(Mutex::new(SharedTokens::new(1e6, 1e6, now)));
        PeerTokens::new(SharedTokens::new(100.0, 200.0, now), server, now)
    }

    #[test]
    fn a_connection_waits_for_its_own_frames_and_not_for_those_of_its_peer() {
        let now = Instant::now();
        let mut peer = peer(now);
        peer.set_connections(2);
        let (mut flood, mut quiet) = (peer.share(now), peer.share(now));
        for own in [&mut flood, &mut quiet] {
            assert_eq!(peer.wait(own, now), Duration::ZERO);
        }
        peer.pay(&mut flood, 250.0, now);
        peer.pay(&mut quiet, 100.0, now);
        // 150 of the peer at 100 per second: more than the flood's own 150 at 50 allow.
        assert_eq!(peer.wait(&mut flood, now), seconds(1.5));
        assert_eq!(peer.wait(&mut quiet, now), Duration::ZERO);
        peer.pay(&mut quiet, 1.0, now);
        assert_eq!(peer.wait(&mut quiet, now), seconds(0.02));
    }

    #[test]
    fn a_connection_of_many_may_still_greet_and_call() {
        let now = Instant::now();
        let mut peer = peer(now);
        peer.set_connections(1000);
        let mut own = peer.share(now);
        peer.connections.all.pay(10_000.0, now);
        assert_eq!(peer.wait(&mut own, now), Duration::ZERO);
        peer.pay(&mut own, 20.0, now);
        assert_eq!(peer.wait(&mut own, now), Duration::ZERO);
        peer.pay(&mut own, 1.0, now);
        assert_eq!(peer.wait(&mut own, now), seconds(1.0));
    }

    #[test]
    fn peers_that_flood_together_wait_for_each_other_and_a_modest_one_for_none_of_them() {
        let now = Instant::now();
        let server = Arc::new(Mutex::new(SharedTokens::new(1000.0, 1000.0, now)));
        lock(&server).set_sharers(10);
        let peer = || {
            let connections = SharedTokens::new(500.0, 1000.0, now);
            let peer = PeerTokens::new(connections, Arc::clone(&server), now);
            let own = peer.share(now);
            (peer, own)
        };
        let mut floods: Vec<_> = (0..9).map(|_| peer()).collect();
        let (mut modest, mut own) = peer();
        assert!(floods.iter_mut().all(|(peer, own)| peer.wait(own, now) == Duration::ZERO));
        for (peer, own) in &mut floods {
            peer.pay(own, 300.0, now);
        }
        // 1,700 of the server at 1,000 per second; 200 of its own at 100 take longer. Its peer
        // alone, with 1,000 at once, would not wait.
        let (flood, of_flood) = &mut floods[0];
        assert_eq!(flood.wait(of_flood, now), seconds(1.7));
        assert_eq!(modest.wait(&mut own, now), Duration::ZERO);
        modest.pay(&mut own, 100.0, now);
        assert_eq!(modest.wait(&mut own, now), Duration::ZERO);
        modest.pay(&mut own, 1.0, now);
        assert_eq!(modest.wait(&mut own, now), seconds(0.01));
        assert!(!modest.is_full(now + seconds(1.0)), "its part of the server's is not");
        assert!(modest.is_full(now + seconds(1.1)));
    }
}

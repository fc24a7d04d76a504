//! The attacks by name.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::attack::{bodies, floods, slow_headers};

/// Whom an attack is aimed at, from where, until when.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server.
    pub server: SocketAddr,
    /// Addresses of the attackers, at least one; connections take them in turn.
    pub sources: Vec<IpAddr>,
    /// When it ends.
    pub until: Instant,
}

impl Target {
    /// Returns the addresses of one attacker, or of 64.
    #[must_use]
    pub fn sources(many: bool) -> Vec<IpAddr> {
        let count = if many { 64 } else { 1 };
        (1..=count).map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 66, last))).collect()
    }

    /// Returns the address of connection `number`.
    #[must_use]
    pub fn source(&self, number: usize) -> IpAddr {
        self.sources[number % self.sources.len()]
    }

    /// Returns whether the attack goes on.
    #[must_use]
    pub fn lasts(&self) -> bool {
        Instant::now() < self.until
    }
}

/// An attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Nothing but a busy processor: what floods are compared with.
    Burn,
    /// TCP connections that never say anything.
    Silent,
    /// HTTP/2 connections that never ask anything.
    Idle,
    /// Headers that come a byte at a time and never end.
    SlowHeaders,
    /// Requests that send all but the last byte of a message.
    HalfBodies,
    /// Streams that are opened and get no body.
    HalfOpen,
    /// Requests whose answers never fit into a window of nothing.
    ZeroWindow,
    /// Health watches by the thousand.
    Watches,
    /// Requests that are reset right after they were sent.
    RapidReset,
    /// Headers that are reset right after they were sent.
    EmptyReset,
    /// Pings whose answers are read.
    Ping,
    /// Pings whose answers are not read.
    PingUnread,
    /// Settings.
    Settings,
    /// A header block that never ends.
    Continuation,
    /// Messages of 16 MiB of empty index ranges.
    RangeBomb,
    /// Messages of 16 MiB of class labels.
    LabelBomb,
}

impl Kind {
    /// Every attack.
    pub const ALL: [Self; 15] = [
        Self::Silent,
        Self::Idle,
        Self::SlowHeaders,
        Self::HalfBodies,
        Self::HalfOpen,
        Self::ZeroWindow,
        Self::Watches,
        Self::RapidReset,
        Self::EmptyReset,
        Self::Ping,
        Self::PingUnread,
        Self::Settings,
        Self::Continuation,
        Self::RangeBomb,
        Self::LabelBomb,
    ];

    /// Returns whether the attacker itself uses a processor without pause: on the same machine,
    /// that alone slows everybody down, and the attack is compared with [`Kind::Burn`].
    #[must_use]
    pub fn is_flood(self) -> bool {
        use Kind::{Burn, Continuation, EmptyReset, LabelBomb, Ping, PingUnread, RangeBomb};
        use Kind::{RapidReset, Settings};
        matches!(
            self,
            Burn | RapidReset
                | EmptyReset
                | Ping
                | PingUnread
                | Settings
                | Continuation
                | RangeBomb
                | LabelBomb
        )
    }

    /// Runs the attack; returns what it did as a sentence.
    pub async fn run(self, target: Target) -> String {
        match self {
            Self::Burn => burn(target).await,
            Self::Silent => slow_headers::silent(target).await,
            Self::Idle => slow_headers::idle(target).await,
            Self::SlowHeaders => slow_headers::slow_headers(target).await,
            Self::HalfBodies => bodies::half_bodies(target).await,
            Self::HalfOpen => bodies::half_open(target).await,
            Self::ZeroWindow => bodies::zero_window(target).await,
            Self::Watches => bodies::watches(target).await,
            Self::RangeBomb => bodies::bombs(target, &bodies::empty_ranges()).await,
            Self::LabelBomb => bodies::bombs(target, &bodies::labels()).await,
            Self::RapidReset
            | Self::EmptyReset
            | Self::Ping
            | Self::PingUnread
            | Self::Settings
            | Self::Continuation => floods::flood(self, target).await,
        }
    }
}

/// Uses one processor until the end.
async fn burn(target: Target) -> String {
    let end = target.until.into_std();
    let burnt = tokio::task::spawn_blocking(move || {
        let mut rounds = 0_u64;
        while std::time::Instant::now() < end {
            rounds = std::hint::black_box(rounds + 1);
        }
    });
    // It cannot panic, and the runtime goes on until it has ended.
    let _ = burnt.await;
    "one processor was busy".to_owned()
}

/// Runs `one` for each number from 0 to `count` - 1 at once and adds up what they return.
pub(crate) async fn together<F>(count: usize, one: impl Fn(usize) -> F) -> Vec<u64>
where
    F: Future<Output = Vec<u64>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    (0..count).for_each(|number| {
        tasks.spawn(one(number));
    });
    let mut sums = Vec::new();
    for counts in tasks.join_all().await {
        sums.resize(sums.len().max(counts.len()), 0);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    sums
}

/// Waits until shortly before the end, so that what is held can be counted.
pub(crate) async fn hold(target: &Target) {
    sleep_until(target.until - Duration::from_millis(200)).await;
}

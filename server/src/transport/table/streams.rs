//! How many streams are open, in all and of each principal. Pure.
//!
//! A watch has no end of its own, and a request may take minutes. So the first have a bound of
//! their own, and some streams are left to calls that end within the time of a body, and to
//! principals with few open: they find a way in while others hold all they can get.

use std::collections::HashMap;

use super::super::bounds::Bounds;
use crate::principal::Principal;

/// One principal may have one of so many of the reserved streams.
const SHARES_OF_RESERVE: usize = 4;

/// A principal with fewer streams has few.
const FEW: usize = 8;

/// What is counted of a stream.
#[derive(Debug, Clone)]
pub(in crate::transport) struct Stream {
    pub(in crate::transport) principal: Principal,
    pub(in crate::transport) kind: StreamKind,
}

/// How long a stream may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) enum StreamKind {
    /// A health watch: for ever.
    Watch,
    /// A check of health, or a question about models or the server.
    Short,
    /// Everything else.
    Long,
}

impl StreamKind {
    /// Returns the kind of a call to a method.
    pub(in crate::transport) fn of_path(path: &str) -> Self {
        const SHORT: [&str; 2] = ["/ddpm.v1.ModelService/", "/ddpm.v1.ServerService/"];
        match path {
            "/grpc.health.v1.Health/Watch" => Self::Watch,
            "/grpc.health.v1.Health/Check" | "/grpc.health.v1.Health/List" => Self::Short,
            _ if SHORT.iter().any(|service| path.starts_with(service)) => Self::Short,
            _ => Self::Long,
        }
    }
}

/// There are as many streams as the principal, or all of them, may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::transport) struct TooManyStreams {
    pub(in crate::transport) what: &'static str,
    pub(in crate::transport) limit: usize,
}

/// The open streams.
#[derive(Debug)]
pub(super) struct StreamCounts {
    limits: Limits,
    all: Count,
    /// Only those that have some.
    principals: HashMap<Principal, Count>,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    all: usize,
    reserved: usize,
    reserved_for_few: usize,
    principal: usize,
    watches: usize,
    principal_watches: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    streams: usize,
    watches: usize,
    short: usize,
}

impl Count {
    fn of(kind: StreamKind) -> Self {
        Self {
            streams: 1,
            watches: usize::from(kind == StreamKind::Watch),
            short: usize::from(kind == StreamKind::Short),
        }
    }

    fn add(&mut self, other: Self) {
        self.streams += other.streams;
        self.watches += other.watches;
        self.short += other.short;
    }

    fn remove(&mut self, other: Self) {
        self.streams -= other.streams;
        self.watches -= other.watches;
        self.short -= other.short;
    }
}

impl StreamCounts {
    pub(super) fn new(bounds: &Bounds) -> Self {
        let limits = Limits {
            all: bounds.streams,
            reserved: bounds.reserved_streams,
            reserved_for_few: bounds.streams_for_few,
            principal: bounds.principal_streams,
            watches: bounds.watches,
            principal_watches: bounds.principal_watches,
        };
        Self { limits, all: Count::default(), principals: HashMap::new() }
    }

    /// Returns the number of open streams that are no watches.
    pub(super) fn calls(&self) -> usize {
        self.all.streams - self.all.watches
    }

    /// Counts a stream.
    ///
    /// # Errors
    ///
    /// [`TooManyStreams`].
    pub(super) fn open(&mut self, stream: &Stream) -> Result<(), TooManyStreams> {
        let own = self.principals.get(&stream.principal).copied().unwrap_or_default();
        self.limits.check(self.all, own, stream.kind)?;
        let one = Count::of(stream.kind);
        self.all.add(one);
        self.principals.entry(stream.principal.clone()).or_default().add(one);
        Ok(())
    }

    /// Counts a stream out.
    pub(super) fn end(&mut self, stream: &Stream) {
        let one = Count::of(stream.kind);
        self.all.remove(one);
        let Some(own) = self.principals.get_mut(&stream.principal) else { return };
        own.remove(one);
        if *own == Count::default() {
            self.principals.remove(&stream.principal);
        }
    }
}

impl Limits {
    fn check(self, all: Count, own: Count, kind: StreamKind) -> Result<(), TooManyStreams> {
        let below = |count: usize, limit: usize, what: &'static str| {
            if count < limit { Ok(()) } else { Err(TooManyStreams { what, limit }) }
        };
        below(own.streams, self.principal, "too many calls of this client are open")?;
        if kind == StreamKind::Watch {
            let what = "too many health watches of this client are open";
            below(own.watches, self.principal_watches, what)?;
            below(all.watches, self.watches, "too many health watches are open")?;
        }
        let share = self.reserved.div_ceil(SHARES_OF_RESERVE);
        let left_to_others = match kind {
            StreamKind::Short if own.short < share => 0,
            StreamKind::Long if own.streams < FEW => self.reserved,
            StreamKind::Short | StreamKind::Long | StreamKind::Watch => {
                self.reserved + self.reserved_for_few
            }
        };
        let limit = self.all.saturating_sub(left_to_others);
        below(all.streams, limit, "too many calls are open")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> StreamCounts {
        StreamCounts::new(&Bounds {
            streams: 20,
            reserved_streams: 8,
            streams_for_few: 0,
            principal_streams: 10,
            watches: 6,
            principal_watches: 4,
            ..Bounds::default()
        })
    }

    fn stream(number: u8, kind: StreamKind) -> Stream {
        Stream { principal: Principal::of_address([127, 0, 0, number].into()), kind }
    }

    /// Opens streams until one is refused; returns how many, and the bound that was met.
    fn fill(counts: &mut StreamCounts, number: u8, kind: StreamKind) -> (usize, usize) {
        for opened in 0.. {
            if let Err(full) = counts.open(&stream(number, kind)) {
                return (opened, full.limit);
            }
        }
        unreachable!()
    }

    #[test]
    fn streams_are_bounded_by_principal_and_in_all_and_given_back() {
        let mut counts = counts();
        assert_eq!(fill(&mut counts, 1, StreamKind::Long), (10, 10));
        assert_eq!(fill(&mut counts, 2, StreamKind::Long), (2, 12));
        counts.end(&stream(1, StreamKind::Long));
        assert_eq!(fill(&mut counts, 2, StreamKind::Long), (1, 12));
        assert_eq!(fill(&mut counts, 1, StreamKind::Long), (0, 12));
    }

    #[test]
    fn watches_are_bounded_by_principal_and_in_all_and_leave_room_for_calls() {
        let mut counts = counts();
        assert_eq!(fill(&mut counts, 1, StreamKind::Watch), (4, 4));
        assert_eq!(fill(&mut counts, 2, StreamKind::Watch), (2, 6));
        assert_eq!(counts.calls(), 0);
        assert_eq!(fill(&mut counts, 1, StreamKind::Long), (6, 10));
        assert_eq!(counts.calls(), 6);
    }

    #[test]
    fn short_calls_find_a_stream_when_all_others_are_taken_and_no_principal_takes_them_all() {
        let mut counts = counts();
        fill(&mut counts, 1, StreamKind::Long);
        fill(&mut counts, 2, StreamKind::Long);
        for number in 3..=6 {
            let (opened, _) = fill(&mut counts, number, StreamKind::Short);
            assert_eq!(opened, 2, "a quarter of eight");
        }
        assert_eq!(fill(&mut counts, 7, StreamKind::Short), (0, 20));
    }

    #[test]
    fn principals_with_few_streams_find_one_when_all_others_are_taken() {
        let bounds = Bounds { streams: 60, streams_for_few: 20, ..Bounds::default() };
        let mut counts =
            StreamCounts::new(&Bounds { reserved_streams: 10, principal_streams: 40, ..bounds });
        // 60 without the 10 for short calls and the 20 for principals with few.
        assert_eq!(fill(&mut counts, 1, StreamKind::Long), (30, 30));
        assert_eq!(fill(&mut counts, 2, StreamKind::Long), (8, 30), "then it has many");
        assert_eq!(fill(&mut counts, 3, StreamKind::Watch).0, 0, "they have no end");
        assert_eq!(fill(&mut counts, 3, StreamKind::Long), (8, 30));
        assert_eq!(fill(&mut counts, 4, StreamKind::Long), (4, 50));
        counts.end(&stream(2, StreamKind::Long));
        assert_eq!(fill(&mut counts, 2, StreamKind::Long), (1, 30));
        assert_eq!(fill(&mut counts, 5, StreamKind::Short).0, 3, "a quarter of ten");
    }

    #[test]
    fn principals_without_a_stream_are_forgotten() {
        let mut counts = counts();
        for kind in [StreamKind::Watch, StreamKind::Short, StreamKind::Long] {
            counts.open(&stream(1, kind)).unwrap();
            counts.end(&stream(1, kind));
        }
        assert!(counts.principals.is_empty() && counts.all == Count::default());
    }

    #[test]
    fn the_kind_of_a_call_is_that_of_its_method() {
        for (path, kind) in [
            ("/grpc.health.v1.Health/Watch", StreamKind::Watch),
            ("/grpc.health.v1.Health/Check", StreamKind::Short),
            ("/ddpm.v1.ServerService/GetServerInfo", StreamKind::Short),
            ("/ddpm.v1.ModelService/ListModels", StreamKind::Short),
            ("/ddpm.v1.SamplingService/Generate", StreamKind::Long),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", StreamKind::Long),
            ("/", StreamKind::Long),
        ] {
            assert_eq!(StreamKind::of_path(path), kind, "{path}");
        }
    }
}

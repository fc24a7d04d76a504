//! The bounds of connections and streams, reached and just below.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn table(connections: usize, peer_connections: usize) -> ConnectionTable {
    let bounds = Bounds {
        connections,
        peer_connections,
        streams: 5,
        reserved_streams: 0,
        streams_for_few: 0,
        principal_streams: 3,
        settled: Duration::from_secs(1),
        ..Bounds::default()
    };
    ConnectionTable::new(bounds, Instant::now())
}

fn peer(number: u8) -> Principal {
    Principal::of_address([127, 0, 0, number].into())
}

fn stream(number: u8, kind: StreamKind) -> Stream {
    Stream { principal: peer(number), kind }
}

fn call(number: u8) -> Stream {
    stream(number, StreamKind::Long)
}

fn later(start: Instant, seconds: f64) -> Instant {
    start + Duration::from_secs_f64(seconds)
}

#[test]
fn a_peer_at_its_bound_gets_no_further_connection_while_its_own_are_in_use() {
    let (start, mut table) = (Instant::now(), table(10, 2));
    let one = peer(1);
    for _ in 0..2 {
        let place = table.admit(Some(&one), start).unwrap();
        table.open_stream(place.id, &call(1), start).unwrap();
    }
    assert_eq!(table.admit(Some(&one), later(start, 60.0)).unwrap_err(), NoPlace::Peer);
    assert!(table.admit(Some(&peer(2)), later(start, 60.0)).is_ok());
    assert!(table.admit(None, later(start, 60.0)).is_ok(), "a trusted proxy");
}

#[test]
fn a_peer_at_its_bound_displaces_its_own_idle_connection_and_no_other() {
    let (start, mut table) = (Instant::now(), table(10, 1));
    let other = table.admit(Some(&peer(2)), start).unwrap();
    let mine = table.admit(Some(&peer(1)), later(start, 1.0)).unwrap();
    let early = table.admit(Some(&peer(1)), later(start, 1.9));
    assert_eq!(early.unwrap_err(), NoPlace::Peer, "it may be about to speak");
    let next = table.admit(Some(&peer(1)), later(start, 2.0)).unwrap();
    assert!(mine.leave.is_cancelled());
    assert!(!other.leave.is_cancelled() && !next.leave.is_cancelled());
}

#[test]
fn a_full_server_displaces_who_never_spoke_and_then_who_has_been_idle_for_longest() {
    let (start, mut table) = (Instant::now(), table(4, 4));
    let places: Vec<Place> = (0..4)
        .map(|second| {
            let now = later(start, f64::from(second));
            table.admit(Some(&peer(second as u8)), now).unwrap()
        })
        .collect();
    // The first is in use, the second and the third have spoken, the last is silent.
    table.greeted(places[0].id);
    table.open_stream(places[0].id, &call(0), start).unwrap();
    table.greeted(places[1].id);
    table.greeted(places[2].id);
    let displaced = |table: &mut ConnectionTable| {
        let place = table.admit(None, later(start, 10.0));
        let left = places.iter().filter(|place| place.leave.is_cancelled()).map(|place| place.id);
        let left: Vec<ConnectionId> = left.collect();
        place.map(|_| left)
    };
    assert_eq!(displaced(&mut table), Ok(vec![places[3].id]));
    assert_eq!(displaced(&mut table), Ok(vec![places[1].id, places[3].id]));
    assert_eq!(displaced(&mut table), Ok(vec![places[1].id, places[2].id, places[3].id]));
    // What is left is in use or has just come.
    assert_eq!(displaced(&mut table), Err(NoPlace::Server));
    table.end_stream(places[0].id, &call(0), later(start, 9.0));
    assert!(displaced(&mut table).is_ok());
}

#[test]
fn only_so_many_connections_leave_at_a_time() {
    let (start, mut table) = (Instant::now(), table(100, 100));
    let places: Vec<Place> = (0..100).map(|_| table.admit(None, start).unwrap()).collect();
    let soon = later(start, 5.0);
    for _ in 0..MAX_LEAVING {
        assert!(table.admit(None, soon).is_ok());
    }
    assert_eq!(table.admit(None, soon).unwrap_err(), NoPlace::Server);
    assert_eq!(table.connections(), 100 + MAX_LEAVING);
    let left = places.iter().find(|place| place.leave.is_cancelled()).unwrap();
    table.closed(left.id, soon);
    assert!(table.admit(None, soon).is_ok());
}

#[test]
fn a_connection_that_only_watches_makes_room_after_those_that_do_nothing() {
    let (start, mut table) = (Instant::now(), table(3, 3));
    let places = [1, 2, 3].map(|number| table.admit(Some(&peer(number)), start).unwrap());
    for (at, kind) in [(0, StreamKind::Watch), (1, StreamKind::Watch), (1, StreamKind::Short)] {
        table.greeted(places[at].id);
        let stream = stream(at as u8 + 1, kind);
        table.open_stream(places[at].id, &stream, later(start, 1.0)).unwrap();
    }
    assert!(table.only_watches(places[0].id) && !table.only_watches(places[1].id));
    assert_eq!(table.idle_since(places[0].id), None, "a watch keeps it while there is room");
    assert_eq!(table.make_room(later(start, 1.5)), Some(places[2].id));
    assert_eq!(table.make_room(later(start, 1.9)), None, "it began to watch just now");
    // A second watch makes it no busier.
    let watch = stream(1, StreamKind::Watch);
    table.open_stream(places[0].id, &watch, later(start, 1.95)).unwrap();
    table.end_stream(places[0].id, &watch, later(start, 1.99));
    assert_eq!(table.make_room(later(start, 2.0)), Some(places[0].id));
    assert_eq!(table.make_room(later(start, 9.0)), None);
    table.end_stream(places[1].id, &stream(2, StreamKind::Short), later(start, 9.0));
    assert_eq!(table.make_room(later(start, 10.0)), Some(places[1].id));
}

#[test]
fn streams_are_counted_by_principal_whatever_their_connections_are() {
    let (start, mut table) = (Instant::now(), table(10, 10));
    let proxy = [(); 3].map(|()| table.admit(None, start).unwrap().id);
    for id in [proxy[0], proxy[0], proxy[1]] {
        table.open_stream(id, &call(1), start).unwrap();
    }
    assert_eq!(table.open_stream(proxy[2], &call(1), start).unwrap_err().limit, 3);
    table.open_stream(proxy[2], &call(2), start).unwrap();
    // What a connection's streams hold counts until they end.
    table.closed(proxy[0], start);
    assert!(table.open_stream(proxy[2], &call(1), start).is_err());
    table.end_stream(proxy[0], &call(1), start);
    table.open_stream(proxy[2], &call(1), start).unwrap();
}

#[test]
fn a_peer_does_not_renew_its_tokens_by_connecting_anew() {
    let (start, mut table) = (Instant::now(), table(10, 10));
    let mut wait = |now| {
        let place = table.admit(Some(&peer(1)), now).unwrap();
        let frames = place.frames.unwrap();
        let mut frames = frames.lock().unwrap();
        let mut own = frames.share(now);
        // It has sent as much as its peer.
        own.pay(8000.0, now);
        let wait = frames.wait(&mut own, now);
        frames.pay(&mut own, 6000.0, now);
        drop(frames);
        table.closed(place.id, now);
        wait
    };
    assert_eq!(wait(start), Duration::ZERO);
    assert_eq!(wait(start), Duration::from_secs(1), "4000 of 6000 frames were in the burst");
}

#[test]
fn peers_that_are_gone_are_forgotten() {
    let (start, mut table) = (Instant::now(), table(10, 10));
    for number in 0..3000_u32 {
        let now = later(start, f64::from(number) * 0.01);
        let one = Principal::of_address(number.to_be_bytes().into());
        let place = table.admit(Some(&one), now).unwrap();
        let frames = place.frames.unwrap();
        let mut frames = frames.lock().unwrap();
        let mut own = frames.share(now);
        frames.pay(&mut own, 1.0, now);
        drop(frames);
        table.closed(place.id, now);
    }
    assert!(table.peers.len() <= MAX_FORGOTTEN_LATE + 2, "{}", table.peers.len());
}

proptest! {
    #[test]
    fn bounds_hold_and_everything_is_given_back(
        steps in prop::collection::vec((0u8..5, 0usize..20, 0u64..3), 1..200),
    ) {
        let (mut now, mut table) = (Instant::now(), table(6, 3));
        let mut places: Vec<(Place, u8, Vec<Stream>)> = Vec::new();
        for (action, which, seconds) in steps {
            now += Duration::from_secs(seconds);
            let at = which % places.len().max(1);
            match (action, places.get_mut(at)) {
                (0 | 1, _) => {
                    let number = which as u8 % 4;
                    // Peer 0 is a trusted proxy.
                    let name = (number > 0).then(|| peer(number));
                    if let Ok(place) = table.admit(name.as_ref(), now) {
                        places.push((place, number, Vec::new()));
                    }
                }
                (2, Some((place, number, streams))) => {
                    let kinds = [StreamKind::Watch, StreamKind::Short, StreamKind::Long];
                    let stream = stream(*number, kinds[which % 3]);
                    if table.open_stream(place.id, &stream, now).is_ok() {
                        streams.push(stream);
                    }
                }
                (3, Some((place, _, streams))) => {
                    if let Some(stream) = streams.pop() {
                        table.end_stream(place.id, &stream, now);
                    }
                }
                (4, Some(_)) => {
                    let (place, _, streams) = places.swap_remove(at);
                    table.closed(place.id, now);
                    for stream in &streams {
                        table.end_stream(place.id, stream, now);
                    }
                }
                _ => {}
            }
            let staying = |number: Option<u8>| {
                let of = |of: &u8| number.is_none_or(|number| number == *of);
                places.iter().filter(|(place, peer, _)| {
                    !place.leave.is_cancelled() && of(peer)
                }).count()
            };
            prop_assert!(staying(None) <= 6);
            prop_assert!((1..4).all(|number| staying(Some(number)) <= 3));
            prop_assert_eq!(table.connections(), places.len());
            let streams: Vec<&Stream> = places.iter().flat_map(|(_, _, open)| open).collect();
            let calls = streams.iter().filter(|stream| stream.kind != StreamKind::Watch);
            prop_assert_eq!(table.calls(), calls.count());
            prop_assert!(streams.len() <= 5);
            let of = |number| streams.iter().filter(move |open| open.principal == peer(number));
            prop_assert!((0..4).all(|number| of(number).count() <= 3));
        }
        for (place, _, streams) in places {
            for stream in &streams {
                table.end_stream(place.id, stream, now);
            }
            table.closed(place.id, now);
        }
        prop_assert_eq!((table.connections(), table.calls(), table.leaving), (0, 0, 0));
        prop_assert!(table.idle.silent.is_empty() && table.idle.greeted.is_empty());
        prop_assert!(table.idle.watching.is_empty());
        prop_assert!(table.peers.is_empty());
    }
}

#[test]
fn a_connection_that_leaves_takes_no_place_of_its_peer_nor_of_the_server() {
    for (connections, peer_connections, number) in [(10, 2, 1), (2, 10, 7)] {
        let (start, mut table) = (Instant::now(), table(connections, peer_connections));
        let first = table.admit(Some(&peer(1)), start).unwrap();
        let second = table.admit(Some(&peer(number)), start).unwrap();
        let third = table.admit(Some(&peer(1)), later(start, 2.0)).unwrap();
        assert!(first.leave.is_cancelled() && !second.leave.is_cancelled());
        table.closed(second.id, later(start, 3.0));
        // The first is still there, but leaves: there is room for one more.
        let fourth = table.admit(Some(&peer(1)), later(start, 5.0)).unwrap();
        assert!(!third.leave.is_cancelled(), "{connections} {peer_connections}");
        let _fifth = table.admit(Some(&peer(1)), later(start, 8.0)).unwrap();
        assert!(third.leave.is_cancelled() && !fourth.leave.is_cancelled());
    }
}

#[test]
fn a_connection_is_idle_since_its_last_stream_ended() {
    let (start, mut table) = (Instant::now(), table(10, 10));
    let place = table.admit(Some(&peer(1)), start).unwrap();
    assert_eq!((table.streams(place.id), table.idle_since(place.id)), (0, Some(start)));
    for _ in 0..2 {
        table.open_stream(place.id, &call(1), later(start, 1.0)).unwrap();
    }
    assert_eq!((table.streams(place.id), table.idle_since(place.id)), (2, None));
    table.end_stream(place.id, &call(1), later(start, 2.0));
    assert_eq!((table.streams(place.id), table.idle_since(place.id)), (1, None));
    table.end_stream(place.id, &call(1), later(start, 3.0));
    assert_eq!((table.streams(place.id), table.idle_since(place.id)), (0, Some(later(start, 3.0))));
}

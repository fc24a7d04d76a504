//! Streams over a socket: whole, in parts, and malformed.

use std::time::Duration;

use ddpm_client::{
    Client, Collected, Data, Error, Event, Indices, Options, Request, Retry, proto as v1,
};

use crate::mock::{Mock, Script, pixels};

/// Options with pauses that do not slow down the tests.
pub(crate) fn options() -> Options {
    let retry = Retry {
        patience: Duration::from_millis(500),
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(40),
        seed: Some(7),
    };
    Options { retry, ..Options::default() }
}

pub(crate) async fn client(mock: &Mock) -> Client {
    Client::connect(&mock.endpoint(), options()).await.unwrap()
}

pub(crate) fn four() -> Request {
    Request::new("glyphs", Indices::first(4)).seed(7)
}

pub(crate) fn assert_four_samples(collected: &Collected) {
    let got: Vec<_> = collected.samples.iter().map(|s| (s.index, s.data.clone())).collect();
    let expected = [0, 1, 2, 3].map(|index| (index, Data::Pixels(pixels(7, index, 1.0))));
    assert_eq!(got, expected);
}

/// Returns the requested indices as ranges: first and count.
pub(crate) fn requested(request: &v1::GenerateRequest) -> Vec<(u64, u32)> {
    match request.samples.clone().unwrap() {
        v1::generate_request::Samples::SampleCount(count) => vec![(0, count)],
        v1::generate_request::Samples::IndexRanges(ranges) => {
            ranges.ranges.iter().map(|range| (range.first, range.count)).collect()
        }
    }
}

#[tokio::test]
async fn a_run_collects_its_samples_by_index_with_their_receipt() {
    let mock = Mock::start([]);

    let collected = client(&mock).await.generate(four()).await.unwrap().collect().await.unwrap();

    assert_four_samples(&collected);
    assert_eq!((collected.receipt.seed, collected.completed.samples), (7, 4));
    assert!(collected.errors.is_empty());
}

#[tokio::test]
async fn samples_in_reverse_order_are_sorted() {
    let reversed = |events: &mut Vec<v1::GenerateEvent>| {
        events[1..5].reverse();
        events.iter_mut().zip(0..).for_each(|(event, sequence)| event.sequence = sequence);
    };
    let mock = Mock::start([Script::Tamper(reversed)]);

    let generation = client(&mock).await.generate(four()).await.unwrap();

    assert_four_samples(&generation.collect().await.unwrap());
}

#[tokio::test]
async fn a_run_larger_than_a_request_becomes_several_of_one_seed() {
    let mock = Mock::start([]);
    mock.limit_samples(3);
    let request = Request::new("glyphs", Indices::first(8));

    let collected = client(&mock).await.generate(request).await.unwrap().collect().await.unwrap();

    let requests = mock.requests();
    let parts: Vec<_> = requests.iter().flat_map(requested).collect();
    assert_eq!(parts, [(0, 3), (3, 3), (6, 2)]);
    assert_eq!(requests.iter().map(|r| r.seed).collect::<Vec<_>>(), [None, Some(4242), Some(4242)]);
    assert_eq!(requests[2].expect.as_ref().unwrap().fingerprint, "mock");
    assert!(collected.samples.iter().map(|sample| sample.index).eq(0..8));
    assert_eq!((collected.completed.samples, collected.completed.ticks), (8, 30));
}

#[tokio::test]
async fn a_run_in_parts_is_one_run_to_its_reader() {
    let halfway = |events: &mut Vec<v1::GenerateEvent>| {
        let progress = v1::Progress { samples_done: 1, evals_done: 10, ..Default::default() };
        let event = v1::generate_event::Event::Progress(progress);
        events.insert(2, v1::GenerateEvent { sequence: 0, event: Some(event) });
        events.iter_mut().zip(0..).for_each(|(event, sequence)| event.sequence = sequence);
    };
    let mock = Mock::start([Script::Tamper(halfway), Script::Tamper(halfway)]);
    mock.limit_samples(3);
    let mut generation =
        client(&mock).await.generate_resumable(Request::new("glyphs", Indices::first(5)));
    let (mut accepted, mut progress, mut completed) = (Vec::new(), Vec::new(), 0);
    while let Some(event) = generation.next().await.unwrap() {
        match event {
            Event::Accepted(event) => accepted.push(event.total_evals),
            Event::Progress(event) => {
                progress.push((event.samples_waiting, event.samples_done, event.evals_done));
            }
            Event::Completed(_) => completed += 1,
            _ => {}
        }
    }

    assert_eq!((accepted, completed), (vec![50], 1));
    assert_eq!(progress, [(2, 1, 10), (0, 4, 40)]);
}

#[tokio::test]
async fn damaged_bytes_are_noticed() {
    let flip = |events: &mut Vec<v1::GenerateEvent>| {
        if let Some(v1::generate_event::Event::Samples(samples)) = &mut events[2].event {
            let packed = samples.packed.as_mut().unwrap();
            packed.data = packed.data.iter().map(|byte| byte ^ 1).collect::<Vec<_>>().into();
        }
    };
    let mock = Mock::start([Script::Tamper(flip)]);

    let generation = client(&mock).await.generate(four()).await.unwrap();

    assert!(matches!(generation.collect().await, Err(Error::Damaged { index: 1 })));
}

#[tokio::test]
async fn a_split_sample_arrives_whole() {
    let split = |events: &mut Vec<v1::GenerateEvent>| {
        let mut second = events[1].clone();
        for (event, (offset, end)) in [(&mut events[1], (0, 100)), (&mut second, (100, 192))] {
            let Some(v1::generate_event::Event::Samples(samples)) = &mut event.event else {
                continue;
            };
            let packed = samples.packed.as_mut().unwrap();
            packed.data = packed.data.slice(offset..end);
            (samples.offset, samples.total_bytes) = (offset as u64, 192);
        }
        events.insert(2, second);
        events.iter_mut().zip(0..).for_each(|(event, sequence)| event.sequence = sequence);
    };
    let mock = Mock::start([Script::Tamper(split)]);

    let generation = client(&mock).await.generate(four()).await.unwrap();

    assert_four_samples(&generation.collect().await.unwrap());
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_unreachable() {
    let mock = Mock::start([]);
    let endpoint = mock.endpoint();
    drop(mock);

    let error = Client::connect(&endpoint, options()).await.unwrap_err();

    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}

//! Streams over a socket: whole, broken, resumed and malformed.

use std::time::Duration;

use ddpm_client::{
    Client, Collected, Data, Error, Event, Indices, Initial, Inpaint, Known, Options, Request,
    Retry, SharedNoise, proto as v1,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::mock::{Mock, Script, pixels};

/// Options with pauses that do not slow down the tests.
fn options() -> Options {
    let retry = Retry {
        attempts: 3,
        first_pause: Duration::from_millis(10),
        longest_pause: Duration::from_millis(40),
    };
    Options { retry, ..Options::default() }
}

async fn client(mock: &Mock) -> Client {
    Client::connect(&mock.endpoint(), options()).await.unwrap()
}

fn four() -> Request {
    Request::new("glyphs", Indices::first(4)).seed(7)
}

fn assert_four_samples(collected: &Collected) {
    let got: Vec<_> = collected.samples.iter().map(|s| (s.index, s.data.clone())).collect();
    let expected = [0, 1, 2, 3].map(|index| (index, Data::Pixels(pixels(7, index, 1.0))));
    assert_eq!(got, expected);
}

/// Returns the requested indices as ranges: first and count.
fn requested(request: &v1::GenerateRequest) -> Vec<(u64, u32)> {
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
async fn after_a_broken_stream_exactly_the_missing_indices_are_requested() {
    let mock = Mock::start([Script::BreakAfter(3, Status::unavailable("draining"))]);
    let request = Request::new("glyphs", Indices::first(4));

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    let requests = mock.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requested(&requests[1]), requests[0].seed), (vec![(2, 2)], None));
    // The second part must match the first: its seed, digests and fingerprint.
    assert_eq!(requests[1].seed, Some(4242));
    let expect = v1::Expect {
        model_digest: "m".repeat(64),
        program_digest: "p".repeat(64),
        fingerprint: "mock".into(),
    };
    assert_eq!(requests[1].expect, Some(expect));
    assert_eq!(collected.samples.len(), 4);
    assert_eq!(collected.completed.samples, 4);
}

#[tokio::test]
async fn a_resumed_run_sends_its_inputs_again() {
    let mock = Mock::start([Script::BreakAfter(3, Status::unavailable("draining"))]);
    let image = || Data::Pixels(vec![7; 192]);
    let request = four()
        .initial(&Initial::Images { images: vec![image(), image()], strength: Some(0.5) })
        .known(&Known { image: image(), mask: image(), method: Some(Inpaint::ReplaceX0) })
        .shared_noise(SharedNoise { index: 9, start: true, steps: true });

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    assert_eq!(collected.samples.len(), 4);
    let [first, second] = mock.requests().try_into().unwrap();
    assert_eq!(requested(&second), [(2, 2)]);
    assert!(first.initial.is_some() && first.inpaint.is_some() && first.shared_noise.is_some());
    assert_eq!(
        (first.initial, first.inpaint, first.shared_noise),
        (second.initial, second.inpaint, second.shared_noise)
    );
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
async fn a_broken_part_is_requested_again_before_the_next() {
    let broken = Script::BreakAfter(2, Status::unavailable("draining"));
    let mock = Mock::start([Script::Serve, broken]);
    mock.limit_samples(3);
    let request = Request::new("glyphs", Indices::first(8)).seed(7);

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    let parts: Vec<_> = mock.requests().iter().flat_map(requested).collect();
    assert_eq!(parts, [(0, 3), (3, 3), (4, 2), (6, 2)]);
    let got: Vec<_> = collected.samples.iter().map(|s| s.data.clone()).collect();
    assert!(got.into_iter().eq((0..8).map(|index| Data::Pixels(pixels(7, index, 1.0)))));
}

#[tokio::test]
async fn a_server_that_restarts_costs_no_sample() {
    let mock = Mock::start([Script::HangAfter(2)]);
    let client = client(&mock).await;
    let mut generation = client.generate_resumable(four());
    assert!(matches!(generation.next().await.unwrap(), Some(Event::Accepted(_))));
    assert!(matches!(generation.next().await.unwrap(), Some(Event::Samples(_))));

    let address = mock.address;
    drop(mock);
    let interrupted = generation.next().await.unwrap();
    let Some(Event::Interrupted(interruption)) = interrupted else { panic!("{interrupted:?}") };
    assert!(matches!(interruption.error, Error::Interrupted(_)), "{}", interruption.error);
    assert_eq!(interruption.missing.to_string(), "1-3");
    let mock = Mock::start_at(address, []);
    let mut indices = Vec::new();
    while let Some(event) = generation.next().await.unwrap() {
        if let Event::Samples(samples) = event {
            indices.extend(samples.iter().map(|sample| sample.index));
        }
    }

    assert_eq!(indices, [1, 2, 3]);
    assert_eq!(requested(&mock.requests()[0]), [(1, 3)]);
}

#[tokio::test]
async fn a_server_that_always_fails_is_retried_a_bounded_number_of_times() {
    let refuse = || Script::Refuse(Status::unavailable("draining"));
    let mock = Mock::start([refuse(), refuse(), refuse(), refuse()]);

    let error = client(&mock).await.generate_resumable(four()).collect().await.unwrap_err();

    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert_eq!(mock.requests().len(), 1 + 3);
}

#[tokio::test]
async fn the_server_sets_the_pause() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(123)));
    let full = Status::with_error_details(Code::ResourceExhausted, "queue is full", details);
    let mock = Mock::start([Script::Refuse(full)]);

    let mut generation = client(&mock).await.generate_resumable(four());

    let event = generation.next().await.unwrap();
    let Some(Event::Interrupted(interruption)) = event else { panic!("{event:?}") };
    assert_eq!(interruption.pause, Duration::from_millis(123));
    assert_four_samples(&generation.collect().await.unwrap());
}

#[tokio::test]
async fn a_resumed_run_never_mixes_two_fingerprints() {
    let elsewhere = |events: &mut Vec<v1::GenerateEvent>| {
        if let Some(v1::generate_event::Event::Accepted(accepted)) = &mut events[0].event {
            accepted.receipt.as_mut().unwrap().fingerprint = "another machine".into();
        }
    };
    let broken = Script::BreakAfter(3, Status::unavailable("draining"));
    let mock = Mock::start([broken, Script::Tamper(elsewhere)]);

    let error = client(&mock).await.generate_resumable(four()).collect().await.unwrap_err();

    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert!(error.to_string().contains("fingerprint"), "{error}");
}

#[tokio::test]
async fn a_lost_end_after_the_last_sample_is_no_loss() {
    let mock = Mock::start([Script::BreakAfter(5, Status::unavailable("draining"))]);

    let collected = client(&mock).await.generate_resumable(four()).collect().await.unwrap();

    assert_four_samples(&collected);
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn without_resuming_a_broken_stream_is_an_error() {
    let mock = Mock::start([Script::Tamper(|events| events.truncate(3))]);

    let generation = client(&mock).await.generate(four()).await.unwrap();

    assert!(matches!(generation.collect().await, Err(Error::Interrupted(_))));
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

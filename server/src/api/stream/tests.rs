//! How samples get from the outbox to the wire.

use ddpm_diffusion::{Label, Program, Row};
use ddpm_package::Manifest;
use ddpm_proto::v1;
use tokio_stream::StreamExt;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::encoding::on_blocking_thread;
use super::packing::{EVENT_BYTES, Packer, PreviewPacker};
use super::*;
use crate::admission::Memory;
use crate::frames::{Encoder, Encoding};
use crate::outbox::{Delivery, Finished, Outbox, outbox};
use crate::request::{Indices, Initial, Request};
use crate::scheduler::Priority;

/// Elements of a glyph.
const LEN: usize = 3 * 16 * 16;

fn encoder(encoding: Encoding) -> Encoder {
    let json = include_bytes!("../../../../models/glyphs/ddpm.json");
    Encoder::new(encoding, &Manifest::parse("glyphs".as_ref(), json).unwrap()).unwrap()
}

/// Makes a checked request for that number of samples.
fn checked(encoding: Encoding, samples: u64) -> Checked {
    let label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
    let program = Program::new(vec![Row { label, ..Row::at(0.0) }]).unwrap();
    Checked {
        request: Request {
            request_id: String::new(),
            model: 0,
            program_digest: program.digest(),
            program: Arc::new(program),
            seed: 0,
            indices: Indices::new(vec![(0, samples)]).unwrap(),
            class_labels: vec![],
            initial: Arc::new(Initial::Noise),
            known: None,
            watch: None,
            priority: Priority::Normal,
            deadline: None,
        },
        receipt: v1::Receipt::default(),
        encoder: encoder(encoding),
        preview_encoder: encoder(encoding),
    }
}

/// Makes a sample of `len` values; the encoders of glyphs take [`LEN`].
fn finished(index: u64, len: usize) -> Finished {
    Finished { index, values: Some(vec![0.0; len]) }
}

const STALL: Duration = Duration::from_secs(30);

/// Starts the stream of a request that nothing is known about.
fn start(checked: Checked, reader: Reader) -> Events {
    start_with(Patience { stall: STALL, stop: CancellationToken::new() }, checked, reader)
}

fn start_with(patience: Patience, checked: Checked, reader: Reader) -> Events {
    let forecast = Forecast { queue_position: 3, compute: 1.0, eta: 1.5 };
    EventStream::start(&TaskTracker::new(), patience, checked, &forecast, reader)
}

/// Returns all events of a request that succeeds after these samples.
async fn events(encoding: Encoding, finished: Vec<Finished>) -> Vec<Event> {
    let samples = finished.len() as u64;
    let (outbox, reader) = outbox(Delivery::Latest, &Memory::new(1 << 30));
    let account = Account { samples_begun: samples, samples_done: samples, ..Account::default() };
    outbox.put(vec![], finished, account);
    outbox.end(Ok(()));
    let checked = checked(encoding, samples);
    let stream = start(checked, reader);
    stream.map(|event| event.unwrap().event.unwrap()).collect().await
}

/// Returns index, code and reason of each sample that failed.
fn failures(events: &[Event]) -> Vec<(u64, i32, &str)> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::SampleError(error) => Some((error.index, error.code, error.reason.as_str())),
            _ => None,
        })
        .collect()
}

/// Returns the counts of the `Completed` that ends a stream: samples sent, samples failed.
fn completed(events: &[Event]) -> (u32, u32) {
    match events.last() {
        Some(Event::Completed(completed)) => (completed.samples, completed.failed),
        other => panic!("{other:?}"),
    }
}

/// Returns the indices of the samples that were sent.
fn sent(events: &[Event]) -> Vec<u64> {
    let packs = events.iter().filter_map(|event| match event {
        Event::Samples(samples) => samples.packed.as_ref(),
        _ => None,
    });
    packs.flat_map(|packed| packed.indices.clone()).collect()
}

const INTERNAL: i32 = Code::Internal as i32;

#[tokio::test]
async fn a_sample_that_fails_to_encode_or_is_not_finite_fails_alone_with_its_own_reason() {
    // The PNG encoder refuses data of another size than the picture's.
    let broken = finished(1, 3);
    let not_finite = Finished { index: 2, values: None };
    let events = events(Encoding::Png, vec![finished(0, LEN), broken, not_finite]).await;
    let expected = [(1, INTERNAL, "ENCODING_FAILED"), (2, INTERNAL, "NON_FINITE")];
    assert_eq!(failures(&events), expected);
    assert_eq!(sent(&events), [0]);
    assert_eq!(completed(&events), (1, 2));
}

#[tokio::test]
async fn samples_whose_encoding_panics_are_all_answered_and_counted_as_failed() {
    // Converting to pixels panics unless the values fill whole channels.
    let not_finite = Finished { index: 2, values: None };
    let finished = vec![finished(0, LEN), finished(1, LEN + 1), not_finite];
    let events = events(Encoding::RawU8, finished).await;
    let expected = [
        (0, INTERNAL, "ENCODING_FAILED"),
        (1, INTERNAL, "ENCODING_FAILED"),
        (2, INTERNAL, "NON_FINITE"),
    ];
    assert_eq!(failures(&events), expected);
    assert_eq!(sent(&events), [0; 0]);
    assert_eq!(completed(&events), (0, 3));
}

#[tokio::test]
async fn a_task_that_panics_fails_its_parcel_and_the_next_one_is_encoded() {
    let parcel = || Parcel { finished: vec![finished(7, LEN)], ..Parcel::default() };
    let events = on_blocking_thread(parcel(), |_| panic!("on purpose")).await;
    assert_eq!(failures(&events), [(7, INTERNAL, "ENCODING_FAILED")]);
    let checked = checked(Encoding::RawU8, 8);
    let encode = move |parcel| encoding::events(&checked, parcel);
    assert_eq!(sent(&on_blocking_thread(parcel(), encode).await), [7]);
}

#[test]
fn packs_stay_within_an_event_and_give_lengths_only_if_they_differ() {
    let encoder = encoder(Encoding::Png);
    let mut packer = Packer::new(&encoder);
    for (index, len) in [(0, 10), (1, 10), (2, EVENT_BYTES - 100), (3, EVENT_BYTES + 1), (4, 5)] {
        packer.push(index, vec![0; len]);
    }
    let packs = packer.finish();
    let indices: Vec<_> = packs.iter().map(|pack| pack.indices.clone()).collect();
    assert_eq!(indices, [vec![0, 1], vec![2], vec![3], vec![4]]);
    assert!(packs.iter().all(|pack| pack.lengths.is_empty()));

    let mut packer = Packer::new(&encoder);
    packer.push(0, vec![0; 10]);
    packer.push(1, vec![0; 11]);
    assert_eq!(packer.finish()[0].lengths, [10, 11]);
}

#[test]
fn previews_stay_within_an_event_and_the_first_tells_how_many_were_skipped() {
    let preview = |len: usize| {
        let packed = v1::Packed { data: vec![0; len].into(), ..v1::Packed::default() };
        v1::Preview { packed: Some(packed), ..v1::Preview::default() }
    };
    let mut packer = PreviewPacker::new(3);
    for len in [10, EVENT_BYTES - 10, 1, EVENT_BYTES + 1] {
        packer.push(preview(len));
    }
    let messages = packer.finish();
    let found: Vec<_> =
        messages.iter().map(|message| (message.previews.len(), message.skipped)).collect();
    assert_eq!(found, [(2, 3), (1, 0), (1, 0)]);
    assert!(PreviewPacker::new(3).finish().is_empty());
}

/// Fills an outbox with samples of a third of a mebibyte each, and the stream that reads it.
fn busy(samples: u64) -> (Outbox, Reader, Checked, Memory) {
    let memory = Memory::new(1 << 30);
    let (outbox, reader) = outbox(Delivery::Latest, &memory);
    for index in 0..samples {
        outbox.put(vec![], vec![finished(index, 1 << 18)], Account::default());
    }
    (outbox, reader, checked(Encoding::RawF32, samples), memory)
}

async fn next(stream: &mut Events) -> Result<Event, Status> {
    stream.next().await.expect("the stream goes on").map(|event| event.event.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_ends_after_the_stall_time_and_frees_what_it_held() {
    let (outbox, reader, checked, memory) = busy(5);
    let started = tokio::time::Instant::now();
    let mut stream = start(checked, reader);
    while !outbox.reader_left() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let waited = started.elapsed();
    assert!(waited >= STALL && waited < STALL + Duration::from_secs(1), "{waited:?}");
    drop(outbox);
    // `accepted` still waits; it holds nothing.
    assert_eq!(memory.held().readers, 0);

    assert!(matches!(next(&mut stream).await, Ok(Event::Accepted(_))));
    let end = next(&mut stream).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
    let info = end.get_details_error_info().unwrap();
    assert_eq!(info.reason, "CLIENT_STALLED");
    assert!(end.get_details_retry_info().is_some(), "it can be resumed");
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn progress_is_told_ten_times_per_second_while_there_is_some() {
    let (outbox, reader) = outbox(Delivery::Latest, &Memory::new(1 << 20));
    let mut stream = start(checked(Encoding::RawF32, 1), reader);
    assert!(matches!(next(&mut stream).await, Ok(Event::Accepted(_))));
    let calls = tokio::spawn(async move {
        for ticks in 1..100 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            outbox.put(vec![], vec![], Account { ticks, ..Account::default() });
        }
        // Nothing more happens for a while.
        tokio::time::sleep(Duration::from_secs(1)).await;
        outbox.end(Ok(()));
    });
    let mut told = 0;
    while let Event::Progress(_) = next(&mut stream).await.unwrap() {
        told += 1;
    }
    assert_eq!(told, 5, "in half a second");
    calls.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_that_takes_an_event_in_each_stall_time_goes_on() {
    let (outbox, reader, checked, memory) = busy(5);
    outbox.end(Ok(()));
    let mut stream = start(checked, reader);
    let mut events = 0;
    let pause = STALL - Duration::from_secs(1);
    loop {
        tokio::time::sleep(pause).await;
        events += 1;
        if matches!(next(&mut stream).await.unwrap(), Event::Completed(_)) {
            break;
        }
    }
    assert!(events >= 6, "{events}");
    assert_eq!(memory.held().readers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_read_ends_soon_when_the_server_stops() {
    let (outbox, reader, checked, _memory) = busy(5);
    let stop = CancellationToken::new();
    let mut stream = start_with(Patience { stall: STALL, stop: stop.clone() }, checked, reader);
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    let started = tokio::time::Instant::now();
    while !outbox.reader_left() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(matches!(next(&mut stream).await, Ok(Event::Accepted(_))));
    let end = next(&mut stream).await.unwrap_err();
    assert_eq!(end.get_details_error_info().unwrap().reason, "STOPPED");
}

#[tokio::test]
async fn a_stream_that_is_read_gets_everything_before_the_error_that_ends_it() {
    let (outbox, reader, checked, _memory) = busy(3);
    outbox.end(Err(Error::Stopped));
    let mut stream = start(checked, reader);
    let mut samples = 0;
    let end = loop {
        match next(&mut stream).await {
            Ok(Event::Samples(_)) => samples += 1,
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    assert_eq!((samples, end.code()), (3, Code::Unavailable));
}

#[tokio::test]
async fn events_are_numbered_without_a_gap_and_the_receipt_comes_once() {
    let (outbox, reader, checked, _memory) = busy(4);
    outbox.end(Ok(()));
    let events: Vec<_> = start(checked, reader).map(Result::unwrap).collect().await;
    let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let receipts = events.iter().filter(|event| match event.event.as_ref().unwrap() {
        Event::Accepted(accepted) => accepted.receipt.is_some(),
        Event::Samples(samples) => samples.receipt.is_some(),
        _ => false,
    });
    assert_eq!(receipts.count(), 1);
}

#[tokio::test]
async fn accepted_tells_the_forecast_and_completed_what_is_unfinished() {
    let (outbox, reader) = outbox(Delivery::Latest, &Memory::new(1 << 30));
    let account = Account { samples_begun: 5, samples_done: 3, ..Account::default() };
    let samples = (0..3).map(|index| finished(index, LEN)).collect();
    outbox.put(vec![], samples, account);
    outbox.end(Ok(()));
    let mut stream = start(checked(Encoding::RawU8, 8), reader);
    match next(&mut stream).await.unwrap() {
        Event::Accepted(accepted) => {
            assert_eq!(accepted.queue_position, 3);
            let eta = accepted.eta.unwrap();
            assert_eq!((eta.seconds, eta.nanos), (1, 500_000_000));
        }
        other => panic!("{other:?}"),
    }
    let rest: Vec<_> = stream.map(|event| event.unwrap().event.unwrap()).collect().await;
    match rest.last() {
        Some(Event::Completed(end)) => assert_eq!((end.samples, end.unfinished), (3, 5)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_says_now_and_then_that_it_lives() {
    let (outbox, reader) = outbox(Delivery::Latest, &Memory::new(1 << 30));
    let mut stream = start(checked(Encoding::RawF32, 7), reader);
    let began = Instant::now();
    assert!(matches!(next(&mut stream).await.unwrap(), Event::Accepted(_)));
    for heartbeat in 1..=4 {
        let Event::Progress(progress) = next(&mut stream).await.unwrap() else {
            panic!("no progress")
        };
        assert_eq!((progress.samples_waiting, progress.evals_done), (7, 0));
        let seconds = began.elapsed().as_secs_f64();
        let due = 15.0 * f64::from(heartbeat);
        assert!((due..due + 1.1 * f64::from(heartbeat)).contains(&seconds), "{seconds}");
    }
    let account = Account { samples_begun: 2, evals: 9, ..Account::default() };
    outbox.put(vec![], vec![], account);
    let before = Instant::now();
    let Event::Progress(progress) = next(&mut stream).await.unwrap() else { panic!("no progress") };
    assert_eq!((progress.samples_running, progress.evals_done), (2, 9));
    assert!(before.elapsed() <= Duration::from_secs(1), "{:?}", before.elapsed());
}

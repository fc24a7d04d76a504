//! How samples get from the outbox to the wire.

use ddpm_diffusion::{Label, Program, Row};
use ddpm_package::Manifest;
use tokio_stream::StreamExt;
use tonic::Code;

use super::encoding::on_blocking_thread;
use super::packing::{EVENT_BYTES, Packer, PreviewPacker};
use super::*;
use crate::frames::{Encoder, Encoding};
use crate::outbox::{Delivery, Finished, outbox};
use crate::request::{Indices, Initial, Request};

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
        },
        receipt: v1::Receipt::default(),
        encoder: encoder(encoding),
        preview_encoder: encoder(encoding),
        seconds_per_eval: 0.0,
    }
}

/// Makes a sample of `len` values; the encoders of glyphs take [`LEN`].
fn finished(index: u64, len: usize) -> Finished {
    Finished { index, values: Some(vec![0.0; len]) }
}

/// Returns all events of a request that succeeds after these samples.
async fn events(encoding: Encoding, finished: Vec<Finished>) -> Vec<Event> {
    let samples = finished.len() as u64;
    let (outbox, reader) = outbox(Delivery::Latest, 1 << 20);
    let account = Account { samples_begun: samples, samples_done: samples, ..Account::default() };
    outbox.put(vec![], finished, account);
    outbox.end(Ok(()));
    let checked = checked(encoding, samples);
    let stream = EventStream::start(&TaskTracker::new(), checked, &Counts::default(), reader);
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

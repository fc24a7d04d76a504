//! A parcel of the engine becomes events; each finished sample is either sent or
//! answered with the reason why not.

use std::collections::BTreeMap;

use ddpm_proto::v1;
use ddpm_proto::v1::generate_event::Event;
use prost::bytes::Bytes;
use sha2::{Digest, Sha256};
use tonic::Code;
use tracing::error;

use super::packing::{EVENT_BYTES, Packer, PreviewPacker, empty_pack};
use crate::api::generate::Checked;
use crate::api::wire;
use crate::frames::Encoder;
use crate::outbox::{Finished, Frame, Parcel};

/// Why a finished sample cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SampleFailure {
    /// One of its values is not finite.
    #[error("the network's output is not a number for this sample")]
    NonFinite,
    /// The encoder failed or panicked. The cause is in our log, not on the wire.
    #[error("this sample could not be encoded; the server's log says why")]
    Encoding,
}

impl SampleFailure {
    /// Returns the stable reason on the wire.
    fn reason(self) -> &'static str {
        match self {
            Self::NonFinite => "NON_FINITE",
            Self::Encoding => "ENCODING_FAILED",
        }
    }

    fn event(self, index: u64) -> Event {
        Event::SampleError(v1::SampleError {
            index,
            code: Code::Internal as i32,
            reason: self.reason().into(),
            message: self.to_string(),
        })
    }
}

/// Encodes a parcel on a blocking thread, away from the threads that serve
/// connections. If `encode` panics, every sample of the parcel fails, so none is lost.
pub(super) async fn on_blocking_thread(
    parcel: Parcel,
    encode: impl FnOnce(Parcel) -> Vec<Event> + Send + 'static,
) -> Vec<Event> {
    let failure_of = |sample: &Finished| match sample.values {
        Some(_) => SampleFailure::Encoding,
        None => SampleFailure::NonFinite,
    };
    let failures: Vec<Event> =
        parcel.finished.iter().map(|sample| failure_of(sample).event(sample.index)).collect();
    tokio::task::spawn_blocking(move || encode(parcel)).await.unwrap_or_else(|error| {
        error!(%error, samples = failures.len(), "a parcel could not be encoded");
        failures
    })
}

/// Turns a parcel into events, none with more than [`EVENT_BYTES`] of data unless a
/// single preview has more.
pub(super) fn events(checked: &Checked, parcel: Parcel) -> Vec<Event> {
    let mut events = previews(&checked.preview_encoder, parcel.frames, parcel.skipped);
    events.extend(samples(checked, parcel.finished));
    events
}

/// Packs frames of the same step and kind, in the order of steps.
fn previews(encoder: &Encoder, frames: Vec<Frame>, skipped: u32) -> Vec<Event> {
    let mut groups: BTreeMap<_, Vec<Frame>> = BTreeMap::new();
    for frame in frames {
        groups.entry((frame.step, frame.kind)).or_default().push(frame);
    }
    let mut events = PreviewPacker::new(skipped);
    for ((step, kind), frames) in groups {
        let Some(first) = frames.first() else { continue };
        let (num_steps, noise_level) = (first.num_steps, first.noise_level);
        let kind = wire::preview_kind(kind).into();
        let mut packer = Packer::new(encoder);
        for frame in &frames {
            if let Ok(bytes) = encode(encoder, frame.index, &frame.values) {
                packer.push(frame.index, bytes);
            }
        }
        for packed in packer.finish() {
            let packed = Some(packed);
            events.push(v1::Preview { kind, step, num_steps, noise_level, packed });
        }
    }
    events.finish().into_iter().map(Event::Previews).collect()
}

/// Packs finished samples; large samples and failures get events of their own.
fn samples(checked: &Checked, finished: Vec<Finished>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut packer = Packer::new(&checked.encoder);
    for Finished { index, values } in finished {
        let values = values.ok_or(SampleFailure::NonFinite);
        match values.and_then(|values| encode(&checked.encoder, index, &values)) {
            Err(failure) => events.push(failure.event(index)),
            Ok(bytes) if bytes.len() > EVENT_BYTES => events.extend(split(checked, index, &bytes)),
            Ok(bytes) => packer.push(index, bytes),
        }
    }
    for packed in packer.finish() {
        let sha256 = digests(&packed);
        let packed = Some(packed);
        events.push(Event::Samples(v1::Samples { packed, sha256, ..Default::default() }));
    }
    events
}

fn encode(encoder: &Encoder, index: u64, values: &[f32]) -> Result<Vec<u8>, SampleFailure> {
    encoder.encode(values).map_err(|error| {
        error!(%error, index, "a sample could not be encoded");
        SampleFailure::Encoding
    })
}

/// Splits a sample that is larger than an event.
fn split(checked: &Checked, index: u64, bytes: &[u8]) -> Vec<Event> {
    let sha256 = vec![Sha256::digest(bytes).to_vec().into()];
    let parts = bytes.chunks(EVENT_BYTES).enumerate();
    parts
        .map(|(number, part)| {
            let mut packed = empty_pack(&checked.encoder);
            packed.indices.push(index);
            packed.data = part.to_vec().into();
            Event::Samples(v1::Samples {
                receipt: None,
                packed: Some(packed),
                sha256: sha256.clone(),
                offset: (number * EVENT_BYTES) as u64,
                total_bytes: bytes.len() as u64,
            })
        })
        .collect()
}

/// Returns the SHA-256 of each sample of a pack.
fn digests(packed: &v1::Packed) -> Vec<Bytes> {
    let equal = packed.data.len() / packed.indices.len();
    let mut rest = &packed.data[..];
    let lengths =
        (0..packed.indices.len()).map(|i| packed.lengths.get(i).map_or(equal, |n| *n as usize));
    lengths
        .map(|length| {
            let (sample, tail) = rest.split_at(length);
            rest = tail;
            Sha256::digest(sample).to_vec().into()
        })
        .collect()
}

//! The log of a run for TensorBoard: event files, which are TFRecords of protobuf messages.
//!
//! A record consists of the length of the message, a checksum of the length, the message, and its
//! checksum. The messages have only the fields that we write; numbers and types are those of
//! TensorFlow's `event.proto` and `summary.proto`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use crate::error::TrainError;
use crate::monitor::append::append_whole;

/// Version of the format, in the first record of a file.
const VERSION: &str = "brain.Event:2";

/// The event file that one process writes.
#[derive(Debug)]
pub(crate) struct Events {
    path: PathBuf,
    file: File,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
    #[prost(message, optional, tag = "7")]
    session_log: Option<SessionLog>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
    #[prost(message, optional, tag = "4")]
    image: Option<Image>,
}

#[derive(Clone, PartialEq, Message)]
struct Image {
    #[prost(int32, tag = "1")]
    height: i32,
    #[prost(int32, tag = "2")]
    width: i32,
    /// Channels.
    #[prost(int32, tag = "3")]
    colorspace: i32,
    #[prost(bytes = "vec", tag = "4")]
    encoded_image_string: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionLog {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Makes TensorBoard forget the steps from this event's on, which an earlier process may have
/// logged.
const START: i32 = 1;

impl Events {
    /// Creates a file in `folder`, for a run that continues after `steps_done` steps.
    pub(crate) fn open(folder: &Path, steps_done: u32) -> Result<Self, TrainError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // TensorBoard reads files in the order of their names.
        let name = format!("events.out.tfevents.{:010}.{:09}", now.as_secs(), now.subsec_nanos());
        let path = folder.join(name);
        let file = fs::create_dir_all(folder)
            .and_then(|()| File::create_new(&path))
            .map_err(TrainError::write(&path))?;
        let mut events = Self { path, file };
        let next = i64::from(steps_done) + 1;
        for event in [version(now.as_secs_f64()), start(now.as_secs_f64(), next)] {
            events.write(&event)?;
        }
        Ok(events)
    }

    /// Logs numbers by name after `step` steps.
    pub(crate) fn scalars(&mut self, step: u32, values: &[(&str, f64)]) -> Result<(), TrainError> {
        let event = scalars(now(), step, values);
        self.write(&event)
    }

    /// Logs a PNG file by name after `step` steps.
    pub(crate) fn picture(&mut self, step: u32, tag: &str, png: &[u8]) -> Result<(), TrainError> {
        let event = picture(now(), step, tag, png);
        self.write(&event)
    }

    fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        append_whole(&mut self.file, &record(event)).map_err(TrainError::write(&self.path))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn version(wall_time: f64) -> Event {
    Event { wall_time, file_version: Some(VERSION.to_owned()), ..Event::default() }
}

fn start(wall_time: f64, step: i64) -> Event {
    let session_log = Some(SessionLog { status: START });
    Event { wall_time, step, session_log, ..Event::default() }
}

fn scalars(wall_time: f64, step: u32, values: &[(&str, f64)]) -> Event {
    let value = |(tag, value): &(&str, f64)| Value {
        tag: (*tag).to_owned(),
        simple_value: Some(*value as f32),
        image: None,
    };
    let summary = Summary { value: values.iter().map(value).collect() };
    Event { wall_time, step: step.into(), summary: Some(summary), ..Event::default() }
}

fn picture(wall_time: f64, step: u32, tag: &str, png: &[u8]) -> Event {
    // A PNG file begins with 8 bytes of signature, 8 of the header's length and type, then width
    // and height, 4 bytes each.
    let number = |at: usize| {
        let bytes = png.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        i32::from_be_bytes(bytes.unwrap_or_default())
    };
    let image = Image {
        height: number(20),
        width: number(16),
        colorspace: 3,
        encoded_image_string: png.to_vec(),
    };
    let value = Value { tag: tag.to_owned(), simple_value: None, image: Some(image) };
    let summary = Summary { value: vec![value] };
    Event { wall_time, step: step.into(), summary: Some(summary), ..Event::default() }
}

/// Encodes an event as a TFRecord.
fn record(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(message.len() + 16);
    record.extend(length);
    record.extend(masked_crc(&length).to_le_bytes());
    record.extend(&message);
    record.extend(masked_crc(&message).to_le_bytes());
    record
}

/// Computes the checksum of TFRecords: CRC-32C, rotated and shifted, because the CRC of data that
/// contains its own CRCs is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Computes CRC-32C (Castagnoli), reflected.
fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes
        .iter()
        .fold(!0, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_has_the_known_answers_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    }

    #[test]
    fn an_event_file_has_the_bytes_that_tensorboard_writes() {
        // `tests/fixtures/events/events.py` wrote the same events with the package `tensorboard`.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/events");
        let expected = fs::read(folder.join("events.out.tfevents.1700000000")).unwrap();
        let png = fs::read(folder.join("two_by_one.png")).unwrap();
        let events = [
            version(1_700_000_000.0),
            start(1_700_000_000.25, 1),
            scalars(1_700_000_001.5, 50, &[("train/loss", 0.125), ("train/lr", 0.0)]),
            scalars(1_700_000_002.5, 4_000_000_000, &[("held_out/loss", 1e-3)]),
            picture(1_700_000_003.0, 100, "samples", &png),
        ];
        assert_eq!(events.iter().flat_map(record).collect::<Vec<u8>>(), expected);
    }
}

//! Encoded samples share messages, each within the size of an event.

use std::mem;

use ddpm_proto::v1;

use crate::api::wire;
use crate::frames::Encoder;

/// Most bytes of data in one event.
pub(super) const EVENT_BYTES: usize = 1 << 20;

/// What a small sample costs on the wire besides its data: digest, index, length.
const SAMPLE_OVERHEAD: usize = 64;

/// Gathers encoded samples into packs of at most [`EVENT_BYTES`]; a sample that is
/// larger gets a pack of its own.
pub(super) struct Packer<'a> {
    encoder: &'a Encoder,
    indices: Vec<u64>,
    data: Vec<u8>,
    lengths: Vec<u32>,
    packs: Vec<v1::Packed>,
}

impl<'a> Packer<'a> {
    /// Creates an empty packer.
    ///
    /// * `encoder`: encodes all samples of the packs.
    pub(super) fn new(encoder: &'a Encoder) -> Self {
        Self {
            encoder,
            indices: Vec::new(),
            data: Vec::new(),
            lengths: Vec::new(),
            packs: Vec::new(),
        }
    }

    /// Adds a sample, in a new pack if it no longer fits into the current one.
    pub(super) fn push(&mut self, index: u64, bytes: Vec<u8>) {
        let overhead = self.indices.len() * SAMPLE_OVERHEAD;
        if self.data.len() + bytes.len() + overhead > EVENT_BYTES {
            self.close_pack();
        }
        self.indices.push(index);
        self.lengths.push(bytes.len() as u32);
        self.data.extend(bytes);
    }

    /// Returns the packs, in the order of their samples.
    pub(super) fn finish(mut self) -> Vec<v1::Packed> {
        self.close_pack();
        self.packs
    }

    fn close_pack(&mut self) {
        if self.indices.is_empty() {
            return;
        }
        let lengths = mem::take(&mut self.lengths);
        let equal = lengths.windows(2).all(|pair| pair[0] == pair[1]);
        self.packs.push(v1::Packed {
            indices: mem::take(&mut self.indices),
            data: mem::take(&mut self.data).into(),
            lengths: if equal { Vec::new() } else { lengths },
            ..empty_pack(self.encoder)
        });
    }
}

/// Returns a pack without samples that has the format and shape of an encoder.
pub(super) fn empty_pack(encoder: &Encoder) -> v1::Packed {
    let format = wire::format(encoder.encoding()).into();
    v1::Packed { format, shape: encoder.shape(), ..Default::default() }
}

/// Gathers previews into messages of at most [`EVENT_BYTES`]; a preview that is larger
/// gets a message of its own.
pub(super) struct PreviewPacker {
    previews: Vec<v1::Preview>,
    bytes: usize,
    skipped: u32,
    messages: Vec<v1::Previews>,
}

impl PreviewPacker {
    /// Creates an empty packer.
    ///
    /// * `skipped`: previews dropped before these, which the first message reports.
    pub(super) fn new(skipped: u32) -> Self {
        Self { previews: Vec::new(), bytes: 0, skipped, messages: Vec::new() }
    }

    /// Adds a preview, in a new message if it no longer fits into the current one.
    pub(super) fn push(&mut self, preview: v1::Preview) {
        let bytes = preview.packed.as_ref().map_or(0, |packed| packed.data.len());
        if self.bytes > 0 && self.bytes + bytes > EVENT_BYTES {
            self.close_message();
        }
        self.bytes += bytes;
        self.previews.push(preview);
    }

    /// Returns the messages, in the order of their previews.
    pub(super) fn finish(mut self) -> Vec<v1::Previews> {
        self.close_message();
        self.messages
    }

    fn close_message(&mut self) {
        if self.previews.is_empty() {
            return;
        }
        let previews = mem::take(&mut self.previews);
        let skipped = mem::take(&mut self.skipped);
        self.messages.push(v1::Previews { previews, skipped });
        self.bytes = 0;
    }
}

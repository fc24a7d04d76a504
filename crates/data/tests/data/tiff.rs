//! Writes small TIFF files of odd layouts, as TIFF 6.0 (Adobe, 1992) describes them.

/// Sizes in pixels, and how pixels are stored.
pub(crate) struct Tiff {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits of each sample of a pixel.
    pub(crate) bits: Vec<u32>,
    /// 0: white is zero, 1: black is zero, 2: RGB, 3: palette, 5: CMYK.
    pub(crate) photometric: u32,
    /// Whether each strip holds all rows of one channel.
    pub(crate) planar: bool,
    /// 1: unsigned, 3: floating point.
    pub(crate) sample_format: u32,
    pub(crate) big_endian: bool,
    /// Content of the strips; of planar files one per channel, of others one in all.
    pub(crate) strips: Vec<Vec<u8>>,
    /// Meaning of samples beyond the colours: 2 is alpha.
    pub(crate) extra_samples: Vec<u32>,
    /// Where the next page begins; 0 for none.
    pub(crate) next: u32,
}

const SHORT: u16 = 3;
const LONG: u16 = 4;

impl Tiff {
    /// Describes RGB of 8 bits with `pixels` in one strip.
    pub(crate) fn rgb(width: u32, height: u32, pixels: Vec<u8>) -> Self {
        Self {
            width,
            height,
            bits: vec![8; 3],
            photometric: 2,
            planar: false,
            sample_format: 1,
            big_endian: false,
            strips: vec![pixels],
            extra_samples: Vec::new(),
            next: 0,
        }
    }

    /// Describes grey of so many bits.
    pub(crate) fn grey(width: u32, height: u32, bits: u32, pixels: Vec<u8>) -> Self {
        Self { bits: vec![bits], photometric: 1, ..Self::rgb(width, height, pixels) }
    }

    /// Returns the bytes of the file; its only page begins after its strips.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = if self.big_endian { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
        let data_len: usize = self.strips.iter().map(Vec::len).sum();
        let directory_at = (8 + data_len).next_multiple_of(2);
        self.long(&mut out, directory_at as u32);
        let mut offsets = Vec::new();
        for strip in &self.strips {
            offsets.push(out.len() as u32);
            out.extend(strip);
        }
        out.resize(directory_at, 0);
        self.directory(&mut out, offsets);
        out
    }

    fn directory(&self, out: &mut Vec<u8>, offsets: Vec<u32>) {
        let lengths = self.strips.iter().map(|strip| strip.len() as u32).collect();
        let samples = self.bits.len();
        let mut tags = vec![
            (256, LONG, vec![self.width]),
            (257, LONG, vec![self.height]),
            (258, SHORT, self.bits.clone()),
            (259, SHORT, vec![1]),
            (262, SHORT, vec![self.photometric]),
            (273, LONG, offsets),
            (277, SHORT, vec![samples as u32]),
            (278, LONG, vec![self.height]),
            (279, LONG, lengths),
            (284, SHORT, vec![if self.planar { 2 } else { 1 }]),
        ];
        if self.photometric == 3 {
            tags.push((320, SHORT, (0..3 << self.bits[0]).map(|i| i * 257 % 65536).collect()));
        }
        if !self.extra_samples.is_empty() {
            tags.push((338, SHORT, self.extra_samples.clone()));
        }
        tags.push((339, SHORT, vec![self.sample_format; samples]));
        let mut values_at = out.len() + 2 + 12 * tags.len() + 4;
        let mut rest = Vec::new();
        self.short(out, tags.len() as u16);
        for (tag, kind, values) in tags {
            self.short(out, tag);
            self.short(out, kind);
            self.long(out, values.len() as u32);
            let mut bytes = Vec::new();
            for value in values {
                match kind {
                    SHORT => self.short(&mut bytes, value as u16),
                    _ => self.long(&mut bytes, value),
                }
            }
            if bytes.len() <= 4 {
                bytes.resize(4, 0);
                out.extend(bytes);
            } else {
                self.long(out, values_at as u32);
                values_at += bytes.len();
                rest.extend(bytes);
            }
        }
        self.long(out, self.next);
        out.extend(rest);
    }

    fn short(&self, out: &mut Vec<u8>, value: u16) {
        out.extend(if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn long(&self, out: &mut Vec<u8>, value: u32) {
        out.extend(if self.big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
    }
}

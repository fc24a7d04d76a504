//! PNG files that are nearly right: chunks of any kind, with checksums that fit.
//!
//! # Source
//!
//! Portable Network Graphics, third edition, sections 5 and 11, <https://www.w3.org/TR/png-3>.

use std::io::Write;

use fastrand::Rng;
use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use super::mutation::{change_bytes, integer};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Length, kind and checksum.
const FRAME_BYTES: usize = 12;

/// Width and height of the pictures of the embedded glyphs.
const SIDE: u32 = 16;

/// Kinds that a file need not have.
const ANCILLARY: [&[u8; 4]; 18] = [
    b"gAMA", b"cHRM", b"sBIT", b"sRGB", b"iCCP", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"bKGD",
    b"pHYs", b"tIME", b"acTL", b"fcTL", b"fdAT", b"cICP", b"tRNS", b"zzZz",
];

/// Writes a file.
pub(super) fn write(rng: &mut Rng) -> Vec<u8> {
    let usual = |rng: &mut Rng| rng.u32(..12) > 0;
    let side = |rng: &mut Rng| if usual(rng) { SIDE } else { integer(rng) as u32 };
    let (width, height) = (side(rng), side(rng));
    let (color, depths): (u8, &[u8]) = [
        (0, &[1, 2, 4, 8, 16][..]),
        (2, &[8, 16]),
        (3, &[1, 2, 4, 8]),
        (4, &[8, 16]),
        (6, &[8, 16]),
    ][if rng.bool() { 1 } else { rng.usize(..5) }];
    let depth = if usual(rng) { depths[rng.usize(..depths.len())] } else { rng.u8(..33) };
    let interlaced = u8::from(rng.u32(..6) == 0);
    let mut head = [width.to_be_bytes(), height.to_be_bytes()].concat();
    head.extend([depth, color, 0, 0, interlaced]);

    let mut file = SIGNATURE.to_vec();
    chunk(b"IHDR", &head, &mut file);
    if color == 3 && usual(rng) {
        let colours = if usual(rng) { 1 << depth.min(8) } else { rng.usize(..300) };
        chunk(b"PLTE", &vec![rng.u8(..); 3 * colours], &mut file);
    }
    if rng.u32(..6) == 0 {
        chunk(b"tRNS", &vec![rng.u8(..); [1, 2, 6, rng.usize(..256)][rng.usize(..4)]], &mut file);
    }
    (0..rng.u32(..3)).for_each(|_| ancillary(rng, &mut file));
    let pixels = zlib(&scanlines(rng, color, depth));
    let cut = if rng.u32(..4) == 0 { rng.usize(..=pixels.len()) } else { pixels.len() };
    chunk(b"IDAT", &pixels[..cut], &mut file);
    if cut < pixels.len() && usual(rng) {
        chunk(b"IDAT", &pixels[cut..], &mut file);
    }
    if rng.u32(..8) == 0 {
        ancillary(rng, &mut file);
    }
    if usual(rng) {
        chunk(b"IEND", &[], &mut file);
    }
    file
}

/// Rows of a picture of the usual size, each behind the byte of its filter; seldom too few, too
/// many, or far too many of them.
fn scanlines(rng: &mut Rng, color: u8, depth: u8) -> Vec<u8> {
    let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(color)];
    let bytes = (SIDE as usize * channels * usize::from(depth)).div_ceil(8);
    let rows = match rng.u32(..40) {
        0 => rng.usize(..SIDE as usize),
        1 => rng.usize(..100),
        2 => rng.usize(..100_000),
        _ => SIDE as usize,
    };
    let fill = rng.u8(..);
    let filter = rng.u8(..5);
    let mut row = vec![fill; 1 + bytes];
    row[0] = if rng.u32(..20) == 0 { rng.u8(..) } else { filter };
    row.repeat(rows)
}

fn ancillary(rng: &mut Rng, file: &mut Vec<u8>) {
    let kind = ANCILLARY[rng.usize(..ANCILLARY.len())];
    let text = b"Comment\0";
    let len = if rng.u32(..8) == 0 { 1 << rng.u32(..24) } else { rng.usize(..200) };
    let content = match kind {
        b"iCCP" | b"zTXt" => [&text[..], b"\0", &zlib(&vec![rng.u8(..); len])].concat(),
        b"iTXt" => [&text[..], b"\x01\0en\0\0", &zlib(&vec![rng.u8(..); len])].concat(),
        b"tEXt" => [&text[..], &vec![rng.u8(..); len.min(1 << 16)]].concat(),
        b"gAMA" => integer(rng).to_be_bytes()[4..].to_vec(),
        b"cHRM" => vec![rng.u8(..); 32],
        b"acTL" => integer(rng).to_be_bytes().to_vec(),
        b"fcTL" => vec![rng.u8(..4); 26],
        _ => vec![rng.u8(..); [1, 2, 3, 6, 9, len.min(1 << 16)][rng.usize(..6)]],
    };
    chunk(kind, &content, file);
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// Writes a chunk.
fn chunk(kind: &[u8], content: &[u8], file: &mut Vec<u8>) {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(content);
    file.extend((content.len() as u32).to_be_bytes());
    file.extend(kind);
    file.extend(content);
    file.extend(crc.sum().to_be_bytes());
}

/// Changes the content of one chunk, or removes, repeats or moves it, so that lengths and checksums
/// fit; or any bytes.
pub(super) fn change(rng: &mut Rng, file: &mut Vec<u8>, other: &[u8]) {
    let (mut chunks, others) = (chunks(file), chunks(other));
    if chunks.is_empty() || rng.u32(..8) == 0 {
        return change_bytes(rng, file, other);
    }
    let at = rng.usize(..chunks.len());
    match rng.u32(..8) {
        0 => {
            chunks.remove(at);
        }
        1 => chunks.insert(at, chunks[at].clone()),
        2 => {
            let to = rng.usize(..chunks.len());
            chunks.swap(at, to);
        }
        3 => chunks.extend(rng.choice(others)),
        _ => change_bytes(rng, &mut chunks[at].1, &[]),
    }
    *file = SIGNATURE.to_vec();
    chunks.iter().for_each(|(kind, content)| chunk(kind, content, file));
}

/// Reads the chunks of a file, up to the first that does not fit.
fn chunks(file: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rest = file.get(SIGNATURE.len()..).unwrap_or_default();
    let mut found = Vec::new();
    while let Some(len) = rest.first_chunk().map(|len| u32::from_be_bytes(*len) as usize) {
        let Some((chunk, after)) = rest.split_at_checked(len.saturating_add(FRAME_BYTES)) else {
            break;
        };
        found.push((chunk[4..8].to_vec(), chunk[8..8 + len].to_vec()));
        rest = after;
    }
    found
}

//! Tells whether a file holds more pictures than the one that is used: an animation, or several
//! pages.

use image::ImageFormat;

/// Returns whether a file has a second frame or page. Damage counts as its end.
pub(crate) fn has_several(bytes: &[u8], format: ImageFormat) -> bool {
    let found = match format {
        ImageFormat::Gif => gif(bytes),
        ImageFormat::Png => png(bytes),
        ImageFormat::Tiff => tiff(bytes),
        // The second bit of the flags of the extended format.
        ImageFormat::WebP => {
            let flags = bytes.get(20).filter(|_| bytes.get(12..16) == Some(b"VP8X"));
            flags.map(|flags| flags & 2 != 0)
        }
        _ => Some(false),
    };
    found.unwrap_or(false)
}

/// Walks the blocks of a GIF: colour tables, extensions, and pictures, each with sub-blocks
/// (GIF89a, CompuServe 1990).
fn gif(bytes: &[u8]) -> Option<bool> {
    let table_len = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table_len(*bytes.get(10)?);
    let mut pictures = 0;
    loop {
        match bytes.get(at)? {
            0x21 => at += 2,
            0x2c if pictures == 1 => return Some(true),
            0x2c => {
                pictures += 1;
                // The descriptor, its colour table, and the size of the codes.
                at += 10 + table_len(*bytes.get(at + 9)?) + 1;
            }
            _ => return Some(false),
        }
        loop {
            let length = usize::from(*bytes.get(at)?);
            at += 1 + length;
            if length == 0 {
                break;
            }
        }
    }
}

/// Looks for the chunk that announces an animation; it comes before the first picture.
fn png(bytes: &[u8]) -> Option<bool> {
    let mut at = 8;
    loop {
        let length = big_endian(bytes, at)? as usize;
        match bytes.get(at + 4..at + 8)? {
            b"acTL" => return Some(big_endian(bytes, at + 8)? > 1),
            b"IDAT" | b"IEND" => return Some(false),
            _ => at = at.checked_add(length)?.checked_add(12)?,
        }
    }
}

/// Reads the offset of the second directory, which is 0 if there is none.
fn tiff(bytes: &[u8]) -> Option<bool> {
    let is_big_endian = bytes.starts_with(b"MM");
    let number = |at: usize, len: usize| {
        let mut number = bytes.get(at..at.checked_add(len)?)?.to_vec();
        if is_big_endian {
            number.reverse();
        }
        let number = number.iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        usize::try_from(number).ok()
    };
    // BigTIFF has longer offsets and counts.
    let (first, count_len, entry_len, offset_len) = match number(2, 2)? {
        43 => (number(8, 8)?, 8, 20, 8),
        _ => (number(4, 4)?, 2, 12, 4),
    };
    let entries = number(first, count_len)?.checked_mul(entry_len)?;
    let next_at = first.checked_add(count_len)?.checked_add(entries)?;
    Some(number(next_at, offset_len)? != 0)
}

fn big_endian(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, RgbaImage};

    use super::*;

    #[test]
    fn a_second_frame_of_a_gif_is_found() {
        for (frames, expected) in [(1, false), (2, true), (3, true)] {
            let mut bytes = Vec::new();
            let mut encoder = GifEncoder::new(Cursor::new(&mut bytes));
            let delay = Delay::from_numer_denom_ms(10, 1);
            let frame = |_| Frame::from_parts(RgbaImage::new(40, 30), 0, 0, delay);
            encoder.encode_frames((0..frames).map(frame)).unwrap();
            drop(encoder);
            assert_eq!(has_several(&bytes, ImageFormat::Gif), expected, "{frames}");
            for length in 0..bytes.len() {
                let _no_panic = has_several(&bytes[..length], ImageFormat::Gif);
            }
        }
    }

    #[test]
    fn an_animated_png_or_webp_is_one_that_says_so() {
        let chunk = |name: &[u8], body: &[u8]| {
            [&(body.len() as u32).to_be_bytes()[..], name, body, &[0; 4]].concat()
        };
        let png = |chunks: &[Vec<u8>]| [b"\x89PNG\r\n\x1a\n", &chunks.concat()[..]].concat();
        let header = chunk(b"IHDR", &[0; 13]);
        let animation = |frames: u8| chunk(b"acTL", &[0, 0, 0, frames, 0, 0, 0, 0]);
        let data = chunk(b"IDAT", &[]);
        for (chunks, expected) in [
            (vec![header.clone(), data.clone()], false),
            (vec![header.clone(), animation(2), data.clone()], true),
            (vec![header.clone(), animation(1), data.clone()], false),
            (vec![header.clone()], false),
        ] {
            assert_eq!(has_several(&png(&chunks), ImageFormat::Png), expected);
        }
        let webp = |flags: u8| [&b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0"[..], &[flags]].concat();
        assert!(has_several(&webp(2), ImageFormat::WebP));
        assert!(!has_several(&webp(0x10), ImageFormat::WebP));
    }

    #[test]
    fn a_second_directory_of_a_tiff_is_found_in_every_byte_order() {
        let little =
            |next: u8| [&b"II*\0\x08\0\0\0\x01\0"[..], &[7; 12], &[next, 0, 0, 0]].concat();
        let big = |next: u8| [&b"MM\0*\0\0\0\x08\0\x01"[..], &[7; 12], &[0, 0, 0, next]].concat();
        for (next, expected) in [(0, false), (1, true)] {
            assert_eq!(has_several(&little(next), ImageFormat::Tiff), expected);
            assert_eq!(has_several(&big(next), ImageFormat::Tiff), expected);
        }
        assert!(!has_several(b"II*\0\xff\xff\xff\xff", ImageFormat::Tiff));
    }
}

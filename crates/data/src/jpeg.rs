//! What decoders do not report about a JPEG: whether it is complete (they fill what is missing with
//! grey instead of failing), and how its inks are encoded.

/// Meaning of the four channels of a JPEG.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inks {
    /// Fewer than four channels, so no inks.
    None,
    /// Cyan, magenta, yellow and black as Adobe writes them: 255 means no ink.
    Adobe,
    /// Four channels without a description.
    Unknown,
}

/// Marker bytes that follow 0xff.
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;
const APPLICATION_14: u8 = 0xee;

/// Returns whether a JPEG reaches its end-of-image marker; data that cameras append after it is
/// ignored.
///
/// Walks the segments (ITU-T T.81, annex B) instead of searching for the last marker: a thumbnail
/// inside the file, or data after it, may have its own markers.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(marker_at) = next_marker(bytes, at) {
        if bytes[marker_at] == END_OF_IMAGE {
            return true;
        }
        // A scan's compressed data follow its header; the search for the next marker skips them.
        match segment_len(bytes, marker_at + 1) {
            Some(length) => at = marker_at + 1 + length,
            None => return false,
        }
    }
    false
}

/// Reads from the headers which inks a JPEG has.
pub(crate) fn inks(bytes: &[u8]) -> Inks {
    let (mut at, mut adobe, mut channels) = (2, false, 0);
    while let Some(marker_at) = next_marker(bytes, at) {
        let segment = bytes.get(marker_at + 1..).unwrap_or_default();
        match bytes[marker_at] {
            START_OF_SCAN | END_OF_IMAGE => break,
            APPLICATION_14 => adobe |= segment.get(2..7) == Some(b"Adobe"),
            // A frame: length, precision, height, width, number of channels.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                channels = segment.get(7).copied().unwrap_or(0);
            }
            _ => {}
        }
        match segment_len(bytes, marker_at + 1) {
            Some(length) => at = marker_at + 1 + length,
            None => break,
        }
    }
    match (channels, adobe) {
        (4, true) => Inks::Adobe,
        (4, false) => Inks::Unknown,
        _ => Inks::None,
    }
}

/// Finds the second byte of the next marker. In compressed data 0xff 0x00 is a plain byte and 0xff
/// 0xd0..=0xd7 a restart; neither ends a scan. 0xff may repeat as padding.
fn next_marker(bytes: &[u8], from: usize) -> Option<usize> {
    let follows = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff);
    let start = bytes.get(from..)?;
    start.windows(2).position(follows).map(|offset| from + offset + 1)
}

/// Reads the length of a segment, including its own two bytes.
fn segment_len(bytes: &[u8], at: usize) -> Option<usize> {
    let length = bytes.get(at..at + 2)?;
    Some(usize::from(u16::from_be_bytes([length[0], length[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, one segment that hides an end marker, a scan with an escaped 0xff and a restart, end.
    const WHOLE: [u8; 20] = [
        0xff, 0xd8, 0xff, 0xe0, 0, 4, 0xff, 0xd9, 0xff, 0xda, 0, 2, 7, 0xff, 0x00, 0xff, 0xd0, 7,
        0xff, 0xd9,
    ];

    #[test]
    fn a_jpeg_is_whole_when_its_own_end_marker_is_there() {
        assert!(is_whole(&WHOLE));
        assert!(is_whole(&[&WHOLE[..], &[1, 2, 0xff, 0xda]].concat()));
    }

    #[test]
    fn four_channels_are_inks_and_only_adobe_describes_them() {
        let adobe: &[u8] = &[0xff, 0xee, 0, 7, b'A', b'd', b'o', b'b', b'e'];
        let frame = |channels| vec![0xff, 0xc0, 0, 8, 8, 0, 1, 0, 1, channels];
        let file =
            |segments: &[&[u8]]| [&[0xff, 0xd8], &segments.concat()[..], &[0xff, 0xd9]].concat();
        assert_eq!(inks(&file(&[&frame(3)])), Inks::None);
        assert_eq!(inks(&file(&[adobe, &frame(3)])), Inks::None);
        assert_eq!(inks(&file(&[adobe, &frame(4)])), Inks::Adobe);
        assert_eq!(inks(&file(&[&frame(4), adobe])), Inks::Adobe);
        assert_eq!(inks(&file(&[&frame(4)])), Inks::Unknown);
        // The content of a segment is not a segment.
        let comment = [&[0xff, 0xfe, 0, 12][..], &frame(4)].concat();
        assert_eq!(inks(&file(&[&comment, &frame(1)])), Inks::None);
    }

    #[test]
    fn a_jpeg_cut_anywhere_is_not_whole() {
        for length in 0..WHOLE.len() {
            assert!(!is_whole(&WHOLE[..length]), "{length}");
        }
    }
}

//! Recognises pictures by their first bytes, whatever they are called.

use std::path::Path;

use image::ImageFormat;

use crate::names::extension;

/// Bytes that are enough to recognise any content.
pub(crate) const HEAD_LEN: usize = 512;

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// A picture that is decoded here.
    Picture(ImageFormat),
    /// A picture in a format of this name, which is not decoded here.
    Unread(&'static str),
    /// Anything else.
    Other,
}

/// Extensions that promise a picture, decoded here or not.
const PICTURES: [&str; 47] = [
    "apng", "avif", "bmp", "cur", "dcm", "dds", "dib", "emf", "exr", "gif", "hdr", "heic", "heif",
    "hif", "ico", "j2c", "j2k", "jfif", "jif", "jp2", "jpc", "jpe", "jpeg", "jpf", "jpg", "jpx",
    "jxl", "jxr", "pam", "pbm", "pcx", "pfm", "pgm", "pjp", "pjpeg", "png", "pnm", "ppm", "psb",
    "psd", "qoi", "svg", "tga", "tif", "tiff", "webp", "xcf",
];
/// Those among them that are not decoded here, and whose content is not always recognised.
const UNREAD: [&str; 27] = [
    "avif", "cur", "dcm", "dds", "emf", "exr", "hdr", "heic", "heif", "hif", "ico", "j2c", "j2k",
    "jp2", "jpc", "jpf", "jpx", "jxl", "jxr", "pam", "pcx", "psb", "psd", "qoi", "svg", "tga",
    "xcf",
];
/// Extensions of camera raw files. Most are TIFF files whose first picture is a small preview, so
/// here the name decides.
const RAW: [&str; 21] = [
    "3fr", "arw", "cr2", "cr3", "crw", "dng", "erf", "kdc", "mef", "mos", "mrw", "nef", "nrw",
    "orf", "pef", "raf", "rw2", "sr2", "srf", "srw", "x3f",
];
/// Signatures of formats that are not decoded here: where, which bytes, and the format's name.
const UNREAD_SIGNATURES: [(usize, &[u8], &str); 18] = [
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypavis", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypheix", "HEIC"),
    (4, b"ftyphevc", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftypmsf1", "HEIF"),
    (4, b"ftypcrx ", "CR3"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS\0", "Photoshop"),
    (0, b"gimp xcf ", "GIMP"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"DDS |\0\0\0", "DDS"),
];

impl Content {
    /// Recognises a file by its first [`HEAD_LEN`] bytes, or all it has.
    pub(crate) fn of(head: &[u8]) -> Self {
        if let Some(format) = decoded(head) {
            return Self::Picture(format);
        }
        let has = |&&(at, bytes, _): &&(usize, &[u8], _)| {
            head.get(at..).is_some_and(|rest| rest.starts_with(bytes))
        };
        match UNREAD_SIGNATURES.iter().find(has) {
            Some((_, _, format)) => Self::Unread(format),
            None if head.starts_with(b"P7\nWIDTH") => Self::Unread("PAM"),
            None if is_svg(head) => Self::Unread("SVG"),
            None => Self::Other,
        }
    }
}

/// Finds the format of a picture that is decoded here.
fn decoded(head: &[u8]) -> Option<ImageFormat> {
    match head {
        _ if is_bmp(head) => Some(ImageFormat::Bmp),
        _ if is_pnm(head) => Some(ImageFormat::Pnm),
        [b'B', b'M', ..] | [b'P', b'1'..=b'7', ..] => None,
        // BigTIFF, which the crate's guess does not know and its decoder does.
        [b'I', b'I', b'+', 0, ..] | [b'M', b'M', 0, b'+', ..] => Some(ImageFormat::Tiff),
        _ => image::guess_format(head).ok().filter(|format| {
            use ImageFormat::{Gif, Jpeg, Png, Tiff, WebP};
            matches!(format, Gif | Jpeg | Png | Tiff | WebP)
        }),
    }
}

/// A BMP begins with two letters only, like many texts; its second header begins with its own
/// length.
fn is_bmp(head: &[u8]) -> bool {
    let length = head.get(14..).and_then(|header| header.first_chunk().copied());
    head.starts_with(b"BM") && length.map(u32::from_le_bytes).is_some_and(|n| matches!(n, 12..=124))
}

/// A PNM begins with a letter and a digit; then come white space, comments and a number.
fn is_pnm(head: &[u8]) -> bool {
    let [b'P', b'1'..=b'6', rest @ ..] = head else { return false };
    if !rest.first().is_some_and(u8::is_ascii_whitespace) {
        return false;
    }
    let mut rest = rest.trim_ascii_start();
    while rest.starts_with(b"#") {
        let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        // A comment longer than the head is no text's first line.
        let Some(end) = end else { return true };
        rest = rest[end..].trim_ascii_start();
    }
    rest.first().is_some_and(u8::is_ascii_digit)
}

fn is_svg(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let holds = |tag: &[u8]| text.windows(tag.len()).any(|part| part == tag);
    text.starts_with(b"<svg")
        || (text.starts_with(b"<?xml") || text.starts_with(b"<!DOCTYPE svg")) && holds(b"<svg")
}

/// Says why a picture of a format that is not decoded here is left out, as text that follows its
/// name.
pub(crate) fn unread(format: &str) -> String {
    format!("{format} files are not read here; save it as PNG or JPEG")
}

/// Says that a name is that of a camera's raw file, as text that follows it.
pub(crate) fn raw(name: &Path) -> Option<String> {
    let extension = extension(name).filter(|extension| RAW.contains(&&**extension))?;
    Some(format!(
        "{extension} is a camera's raw format, which is not read here; develop it to PNG or JPEG"
    ))
}

/// Returns whether a name promises a picture.
pub(crate) fn is_named_picture(name: &Path) -> bool {
    extension(name).is_some_and(|name| PICTURES.contains(&&*name) || RAW.contains(&&*name))
}

/// Says why content that is [`Content::Other`] is no picture, although its name promises one, as
/// text that follows the name.
pub(crate) fn no_picture(name: &Path, head: &[u8]) -> String {
    if let Some(unread) = extension(name).filter(|extension| UNREAD.contains(&&**extension)) {
        return self::unread(&unread);
    }
    explain(head).to_owned()
}

/// Says what content is that should be a picture and is none.
pub(crate) fn explain(head: &[u8]) -> &'static str {
    let lower = head.trim_ascii_start().to_ascii_lowercase();
    match head {
        [] => "it is empty",
        _ if head.starts_with(b"version https://git-lfs") => {
            "it is a pointer of Git LFS, not the picture; run `git lfs pull`"
        }
        _ if lower.starts_with(b"<!doctype html") || lower.starts_with(b"<html") => {
            "it is a web page, not a picture; download it again"
        }
        _ if head.iter().all(|&byte| byte == 0) => {
            "cannot decode it: it begins with zeros, like an unfinished download"
        }
        _ => "cannot decode it: its content is that of no picture format",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_begin_like_pictures_are_none() {
        for text in ["BMW and Audi", "P1 is the first paper", "P3\n# no number\nx", "P6", "BM", ""]
        {
            assert_eq!(Content::of(text.as_bytes()), Content::Other, "{text}");
        }
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        use ImageFormat::{Bmp, Jpeg, Png, Pnm, Tiff};
        let bmp = [&b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"[..], &[0; 20]].concat();
        for (head, format) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Png),
            (b"\xff\xd8\xff\xe0", Jpeg),
            (&bmp, Bmp),
            (b"P5\n# by hand\n# twice\n 4 4 255\n", Pnm),
            (b"P1 1 1 0", Pnm),
            (b"MM\0*\0\0\0\x08", Tiff),
            (b"II+\0\x08\0\0\0", Tiff),
        ] {
            assert_eq!(Content::of(head), Content::Picture(format));
        }
    }

    #[test]
    fn formats_that_are_not_read_are_named() {
        for (head, name) in [
            (&b"\0\0\0\x18ftypheic\0\0"[..], "HEIC"),
            (b"\0\0\0\x1cftypavif\0\0", "AVIF"),
            (b"\0\0\0\x0cJXL \r\n\x87\n\0", "JPEG XL"),
            (b"8BPS\0\x01", "Photoshop"),
            (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg width='1'/>", "SVG"),
            (b"P7\nWIDTH 4\n", "PAM"),
        ] {
            assert_eq!(Content::of(head), Content::Unread(name));
        }
        assert_eq!(Content::of(b"<html><svg/></html>"), Content::Other);
    }

    #[test]
    fn every_unread_extension_is_that_of_a_picture() {
        assert!(UNREAD.iter().all(|name| PICTURES.contains(name)));
        assert!(PICTURES.is_sorted() && UNREAD.is_sorted() && RAW.is_sorted());
    }
}

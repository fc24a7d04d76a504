//! Pictures as PNG files with text chunks.

use std::io::{self, Write};

use png::{BitDepth, ColorType, Encoder};

use crate::Picture;

/// Writes `picture` with `text`: pairs of a keyword (1 to 79 Latin-1
/// characters) and a value.
///
/// # Errors
///
/// The error of `out`.
pub fn write_png(out: impl Write, picture: &Picture, text: &[(String, String)]) -> io::Result<()> {
    let mut writer = encoder(out, picture, text)?.write_header()?;
    writer.write_image_data(picture.pixels())?;
    Ok(writer.finish()?)
}

/// Creates an encoder for pictures like `picture`, with `text` set.
pub(crate) fn encoder<W: Write>(
    out: W,
    picture: &Picture,
    text: &[(String, String)],
) -> io::Result<Encoder<'static, W>> {
    let mut encoder = Encoder::new(out, picture.width(), picture.height());
    encoder.set_color(if picture.channels() == 1 { ColorType::Grayscale } else { ColorType::Rgb });
    encoder.set_depth(BitDepth::Eight);
    for (keyword, value) in text {
        add_text(&mut encoder, keyword, value)?;
    }
    Ok(encoder)
}

/// Adds a text chunk: tEXt, which every reader supports, if the value is ASCII, else iTXt.
fn add_text<W: Write>(encoder: &mut Encoder<'_, W>, keyword: &str, value: &str) -> io::Result<()> {
    let (keyword, text) = (keyword.to_owned(), value.to_owned());
    if value.is_ascii() {
        Ok(encoder.add_text_chunk(keyword, text)?)
    } else {
        Ok(encoder.add_itxt_chunk(keyword, text)?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn pixels_and_text_read_back() {
        let picture = Picture::filled(3, 2, &[1, 2, 3]).unwrap();
        let text = [("ddpm.seed", "7"), ("ddpm.label", "étoile ★")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut file = Vec::new();
        write_png(&mut file, &picture, &text).unwrap();

        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let mut pixels = vec![0; 18];
        reader.next_frame(&mut pixels).unwrap();

        assert_eq!(pixels, picture.pixels());
        let info = reader.info();
        assert_eq!(info.uncompressed_latin1_text[0].keyword, "ddpm.seed");
        assert_eq!(info.uncompressed_latin1_text[0].text, "7");
        assert_eq!(info.utf8_text[0].get_text().unwrap(), "étoile ★");
    }
}

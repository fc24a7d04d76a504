//! Animations as GIF, which everything plays, or APNG, which keeps every colour.

use std::io::{self, Write};
use std::time::Duration;

use gif::Repeat;

use crate::{Error, Picture, png_file};

/// Desired duration of all frames but the last.
const LENGTH: Duration = Duration::from_secs(4);
/// Shortest delay: browsers slow down delays of 10 ms and less, and the eye can follow 30 ms.
const SHORTEST: Duration = Duration::from_millis(30);
const LONGEST: Duration = Duration::from_millis(250);
/// How long the finished samples are shown.
const HOLD: Duration = Duration::from_millis(1500);
/// 1: best palette, 30: fastest. Frames with up to 256 colours are exact anyway.
const PALETTE_SPEED: i32 = 10;

/// Frames of one size, played in a loop that rests on the last one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Animation {
    frames: Vec<Picture>,
}

impl Animation {
    /// Takes the frames in the order in which they play.
    ///
    /// # Errors
    ///
    /// [`Error`] if there is none, if their sizes differ, or if a side exceeds 65,535 pixels, the
    /// limit of GIF.
    pub fn new(frames: Vec<Picture>) -> Result<Self, Error> {
        let wrong = |why: &str| Err(Error(format!("cannot animate: {why}")));
        let size = |frame: &Picture| (frame.width(), frame.height(), frame.channels());
        let Some(first) = frames.first().map(size) else {
            return wrong("there are no frames");
        };
        if frames.iter().any(|frame| size(frame) != first) {
            return wrong("the frames have different sizes");
        }
        if first.0.max(first.1) > u32::from(u16::MAX) {
            return wrong("the frames are wider or higher than 65535 pixels; use a smaller scale");
        }
        Ok(Self { frames })
    }

    /// Returns how long each frame is shown; a multiple of 10 ms, the unit of GIF.
    pub fn delays(&self) -> impl Iterator<Item = Duration> + '_ {
        let count = self.frames.len();
        let share = (LENGTH / u32::try_from(count).unwrap_or(u32::MAX)).clamp(SHORTEST, LONGEST);
        let delay = Duration::from_millis(share.as_millis() as u64 / 10 * 10);
        (1..=count).map(move |position| if position == count { HOLD } else { delay })
    }

    /// Writes a GIF that plays for ever.
    ///
    /// # Errors
    ///
    /// The error of `out`.
    pub fn write_gif(&self, out: impl Write) -> io::Result<()> {
        self.encode_gif(out).map_err(|error| match error {
            gif::EncodingError::Io(error) => error,
            other => io::Error::other(other),
        })
    }

    fn encode_gif(&self, out: impl Write) -> Result<(), gif::EncodingError> {
        let (width, height) = self.size();
        let mut encoder = gif::Encoder::new(out, width, height, &[])?;
        encoder.set_repeat(Repeat::Infinite)?;
        for (picture, delay) in self.frames.iter().zip(self.delays()) {
            let mut rgba = picture.to_rgba();
            let mut frame = gif::Frame::from_rgba_speed(width, height, &mut rgba, PALETTE_SPEED);
            frame.delay = (delay.as_millis() / 10) as u16;
            encoder.write_frame(&frame)?;
        }
        Ok(encoder.into_inner()?.flush()?)
    }

    /// Writes an APNG that plays for ever, with `text` as in
    /// [`write_png`](crate::write_png).
    ///
    /// # Errors
    ///
    /// The error of `out`.
    pub fn write_apng(&self, out: impl Write, text: &[(String, String)]) -> io::Result<()> {
        let mut encoder = png_file::encoder(out, &self.frames[0], text)?;
        encoder.set_animated(u32::try_from(self.frames.len()).unwrap_or(u32::MAX), 0)?;
        let mut writer = encoder.write_header()?;
        for (picture, delay) in self.frames.iter().zip(self.delays()) {
            writer.set_frame_delay(delay.as_millis() as u16, 1000)?;
            writer.write_image_data(picture.pixels())?;
        }
        Ok(writer.finish()?)
    }

    /// Returns width and height; `new` has checked that both fit.
    fn size(&self) -> (u16, u16) {
        (self.frames[0].width() as u16, self.frames[0].height() as u16)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn animation(count: u8) -> Animation {
        let frame = |value| Picture::filled(4, 3, &[value, 0, 255]).unwrap();
        Animation::new((0..count).map(frame).collect()).unwrap()
    }

    #[test]
    fn delays_share_four_seconds_and_the_last_frame_stays() {
        let millis =
            |count| animation(count).delays().map(|delay| delay.as_millis()).collect::<Vec<_>>();

        assert_eq!(millis(3), [250, 250, 1500]);
        assert_eq!(millis(50)[..2], [80, 80]);
        assert_eq!(millis(200)[..2], [30, 30]);
        assert_eq!(millis(1), [1500]);
    }

    #[test]
    fn a_gif_reads_back_with_its_frames_colours_and_delays() {
        let mut file = Vec::new();
        animation(3).write_gif(&mut file).unwrap();

        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(Cursor::new(file)).unwrap();
        let mut read = Vec::new();
        while let Some(frame) = decoder.read_next_frame().unwrap() {
            read.push((frame.delay, frame.buffer[..4].to_vec()));
        }

        let expected =
            [(25, 0), (25, 1), (150, 2)].map(|(delay, red)| (delay, vec![red, 0, 255, 255]));
        assert_eq!(read, expected);
        assert_eq!(decoder.repeat(), Repeat::Infinite);
    }

    #[test]
    fn an_apng_reads_back_with_its_frames_and_delays() {
        let mut file = Vec::new();
        animation(3).write_apng(&mut file, &[]).unwrap();

        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().unwrap();
        let control = *reader.info().animation_control().unwrap();
        assert_eq!((control.num_frames, control.num_plays), (3, 0));
        let delays = [0, 1, 2].map(|red| {
            let mut pixels = vec![0; 36];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels[..3], [red, 0, 255]);
            let frame = reader.info().frame_control().unwrap();
            (frame.delay_num, frame.delay_den)
        });
        assert_eq!(delays, [(250, 1000), (250, 1000), (1500, 1000)]);
    }

    #[test]
    fn frames_of_different_sizes_are_refused() {
        let frames = [1, 2].map(|width| Picture::filled(width, 1, &[0]).unwrap());

        assert!(Animation::new(frames.into()).is_err());
        assert!(Animation::new(Vec::new()).is_err());
    }
}

//! The pictures of samples of a run, one after the other: how it learned.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ddpm_files::write_whole;
use ddpm_pictures::{Animation, Picture};

use super::{RunDir, TrainError};

/// Most frames of an animation; of more pictures every n-th is taken, and the last.
const MOST_FRAMES: usize = 120;

/// Writes the animation of a run and returns its path; `None` if there are not two pictures.
///
/// # Errors
///
/// [`TrainError::Write`] if it cannot be written, or a picture is damaged.
pub(super) fn write(run: &RunDir) -> Result<Option<PathBuf>, TrainError> {
    let path = run.animation();
    let pictures = pictures(&run.samples()).map_err(TrainError::write(&path))?;
    if pictures.len() < 2 {
        return Ok(None);
    }
    let frames = chosen(pictures.len()).map(|index| frame(&pictures[index]));
    let frames = frames.collect::<io::Result<Vec<_>>>().map_err(TrainError::write(&path))?;
    // A run that goes on may show more samples in a picture than before: the last ones count.
    let size = |frame: &Picture| (frame.width(), frame.height(), frame.channels());
    let last = frames.last().map(size);
    let frames = frames.into_iter().filter(|frame| Some(size(frame)) == last).collect();
    Animation::new(frames)
        .map_err(io::Error::other)
        .and_then(|animation| write_whole(&path, |out| animation.write_gif(out)))
        .map_err(TrainError::write(&path))?;
    Ok(Some(path))
}

/// The pictures in the order of their steps.
fn pictures(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let steps = name.strip_prefix("step-").and_then(|rest| rest.strip_suffix(".png"));
        if let Some(steps) = steps.and_then(|digits| digits.parse::<u32>().ok()) {
            found.push((steps, path));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Which of `count` pictures are frames: at most [`MOST_FRAMES`], evenly spaced, with the last.
fn chosen(count: usize) -> impl Iterator<Item = usize> {
    let frames = count.min(MOST_FRAMES);
    (0..frames).map(move |frame| (frame + 1) * count / frames - 1)
}

fn frame(path: &Path) -> io::Result<Picture> {
    let named = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("{} cannot be read: {error}", path.display()))
    };
    let picture = image::open(path).map_err(|error| named(&error))?;
    let (width, height) = (picture.width(), picture.height());
    let (channels, pixels) = match picture.color().has_color() {
        true => (3, picture.into_rgb8().into_raw()),
        false => (1, picture.into_luma8().into_raw()),
    };
    Picture::from_pixels(width, height, channels, pixels).map_err(|error| named(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_evenly_spaced_and_end_with_the_last_picture() {
        assert_eq!(chosen(3).collect::<Vec<_>>(), [0, 1, 2]);
        let many: Vec<usize> = chosen(1000).collect();
        assert_eq!((many.len(), many[119]), (120, 999));
        assert!(many.windows(2).all(|pair| (8..=9).contains(&(pair[1] - pair[0]))));
    }
}

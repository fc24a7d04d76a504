//! An animation of a run's pictures of samples, which shows how it learned.

use std::path::{Path, PathBuf};
use std::{fs, io};

use ddpm_files::write_whole;
use ddpm_pictures::{Animation, Picture};

use crate::error::TrainError;
use crate::store::RunDir;

/// Most frames of an animation; from more pictures it takes every n-th, and the last.
const MOST_FRAMES: usize = 120;

/// Writes the animation of a run and returns its path; `None` if there are fewer than two pictures.
///
/// # Errors
///
/// [`TrainError::Write`] if it cannot be written, or a picture is damaged.
pub(crate) fn write(run: &RunDir) -> Result<Option<PathBuf>, TrainError> {
    let path = run.animation();
    let pictures = pictures(&run.samples()).map_err(TrainError::write(&path))?;
    if pictures.len() < 2 {
        return Ok(None);
    }
    let frames = frame_indices(pictures.len()).map(|index| frame(&pictures[index]));
    let frames = frames.collect::<io::Result<Vec<_>>>().map_err(TrainError::write(&path))?;
    // A resumed run may show more samples per picture than before: only those like the last fit.
    let size = |frame: &Picture| (frame.width(), frame.height(), frame.channels());
    let last = frames.last().map(size);
    let frames = frames.into_iter().filter(|frame| Some(size(frame)) == last).collect();
    Animation::new(frames)
        .map_err(io::Error::other)
        .and_then(|animation| write_whole(&path, |out| animation.write_gif(out)))
        .map_err(TrainError::write(&path))?;
    Ok(Some(path))
}

/// Lists the pictures in the order of their steps.
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

/// Chooses which of `count` pictures become frames: at most [`MOST_FRAMES`], evenly spaced, with
/// the last.
fn frame_indices(count: usize) -> impl Iterator<Item = usize> {
    let frames = count.min(MOST_FRAMES);
    (0..frames).map(move |frame| (frame + 1) * count / frames - 1)
}

fn frame(path: &Path) -> io::Result<Picture> {
    let unreadable = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("{} cannot be read: {error}", path.display()))
    };
    let picture = image::open(path).map_err(|error| unreadable(&error))?;
    let (width, height) = (picture.width(), picture.height());
    let (channels, pixels) = match picture.color().has_color() {
        true => (3, picture.into_rgb8().into_raw()),
        false => (1, picture.into_luma8().into_raw()),
    };
    Picture::from_pixels(width, height, channels, pixels).map_err(|error| unreadable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_evenly_spaced_and_end_with_the_last_picture() {
        assert_eq!(frame_indices(3).collect::<Vec<_>>(), [0, 1, 2]);
        let many: Vec<usize> = frame_indices(1000).collect();
        assert_eq!((many.len(), many[119]), (120, 999));
        assert!(many.windows(2).all(|pair| (8..=9).contains(&(pair[1] - pair[0]))));
    }
}

//! Previews, as they arrive → the frames of an animation.

use std::collections::BTreeMap;

use ddpm_client::pictures::{Animation, Picture, View, grid, grid_of};
use ddpm_client::{Error, Frames, ModelKind, PreviewKind, Previews, Sample};

use super::render::{points, render};

/// Pixels between the two halves of a frame.
const GAP: u32 = 8;
/// Columns of a strip.
const STRIP_STEPS: usize = 10;
/// Rows of a strip, one per sample.
const STRIP_SAMPLES: usize = 6;

/// The previews by step. A resumed run shows some steps of some samples twice, with
/// the same bytes, so the second replaces the first.
#[derive(Debug, Default)]
pub(crate) struct Film {
    steps: BTreeMap<u32, BTreeMap<(PreviewKind, u64), Sample>>,
}

impl Film {
    pub(crate) fn record(&mut self, previews: Previews) {
        for preview in previews.previews {
            let step = self.steps.entry(preview.step).or_default();
            let by_key = preview.samples.into_iter().map(|s| ((preview.kind, s.index), s));
            step.extend(by_key);
        }
    }

    /// Draws one frame per recorded step, the noisiest first; points share one view
    /// that holds all of them.
    pub(crate) fn develop(
        &self,
        kind: ModelKind,
        watched: &[u64],
        frames: Frames,
        scale: u32,
    ) -> Result<Animation, Error> {
        let view = View::around(&points(self.steps.values().flat_map(BTreeMap::values)));
        let halves: &[PreviewKind] = match frames {
            Frames::Xt => &[PreviewKind::Xt],
            Frames::X0 => &[PreviewKind::X0],
            Frames::Both => &[PreviewKind::Xt, PreviewKind::X0],
        };
        let frame = |step: &BTreeMap<(PreviewKind, u64), Sample>| {
            let half = |&half: &PreviewKind| {
                let shown: Vec<Option<&Sample>> =
                    watched.iter().map(|&index| step.get(&(half, index))).collect();
                render(kind, &shown, scale, &view)
            };
            side_by_side(halves.iter().map(half).collect::<Result<_, _>>()?)
        };
        let frames = self.steps.values().map(frame).collect::<Result<_, Error>>()?;
        Ok(Animation::new(frames)?)
    }

    /// Draws the denoising as one picture: one row for each of the first samples, or
    /// one for all points; time runs from left to right.
    pub(crate) fn strip(
        &self,
        kind: ModelKind,
        watched: &[u64],
        frames: Frames,
        scale: u32,
    ) -> Result<Picture, Error> {
        let view = View::around(&points(self.steps.values().flat_map(BTreeMap::values)));
        let shown = if frames == Frames::X0 { PreviewKind::X0 } else { PreviewKind::Xt };
        let steps: Vec<_> = self.steps.values().collect();
        let columns = steps.len().min(STRIP_STEPS);
        // Evenly spaced from the first step to the last.
        let column = |at: usize| steps[at * (steps.len() - 1) / (columns - 1).max(1)];
        let rows: Vec<&[u64]> = match kind {
            ModelKind::Image => watched.chunks(1).take(STRIP_SAMPLES).collect(),
            ModelKind::Points2d => vec![watched],
        };
        let mut cells = Vec::new();
        for row in rows {
            for at in 0..columns {
                let samples: Vec<Option<&Sample>> =
                    row.iter().map(|&index| column(at).get(&(shown, index))).collect();
                cells.push(Some(render(kind, &samples, scale, &view)?));
            }
        }
        Ok(grid_of(&cells, columns.max(1), 1, 0)?)
    }
}

fn side_by_side(mut halves: Vec<Picture>) -> Result<Picture, Error> {
    match halves.len() {
        1 => Ok(halves.remove(0)),
        _ => Ok(grid(&halves.into_iter().map(Some).collect::<Vec<_>>(), 1, GAP)?),
    }
}

#[cfg(test)]
mod tests {
    use ddpm_client::{Data, Preview};

    use super::*;

    fn preview(kind: PreviewKind, step: u32, indices: &[u64]) -> Preview {
        let sample = |&index: &u64| Sample {
            index,
            shape: vec![4, 4, 1],
            data: Data::Pixels(vec![step as u8; 16]),
        };
        let samples = indices.iter().map(sample).collect();
        Preview { kind, step, num_steps: 9, noise_level: 0.5, samples }
    }

    fn film(previews: Vec<Preview>) -> Film {
        let mut film = Film::default();
        film.record(Previews { previews, skipped: 0 });
        film
    }

    #[test]
    fn frames_follow_the_steps_whatever_the_order_of_arrival() {
        let xt = |step, indices| preview(PreviewKind::Xt, step, indices);
        let film = film(vec![xt(9, &[0, 1]), xt(3, &[1]), xt(3, &[0]), xt(6, &[0]), xt(3, &[0])]);

        let animation = film.develop(ModelKind::Image, &[0, 1], Frames::Xt, 1).unwrap();

        assert_eq!(animation.delays().count(), 3);
    }

    #[test]
    fn a_strip_has_a_row_per_sample_and_ten_of_many_steps() {
        let steps = (1..=50).map(|step| preview(PreviewKind::Xt, step, &[0, 1])).collect();

        let strip = film(steps).strip(ModelKind::Image, &[0, 1], Frames::Xt, 1).unwrap();

        // Cells of 4 pixels with 2 on each side.
        assert_eq!((strip.width(), strip.height()), (10 * 8, 2 * 8));
        let middle = |column: u32| strip.pixels()[(3 * strip.width() + column * 8 + 3) as usize];
        assert_eq!((middle(0), middle(9)), (1, 50));
    }

    #[test]
    fn both_kinds_are_shown_side_by_side() {
        let both = [PreviewKind::Xt, PreviewKind::X0].map(|kind| preview(kind, 1, &[0]));

        let one = film(both.to_vec()).develop(ModelKind::Image, &[0], Frames::X0, 2).unwrap();
        let two = film(both.to_vec()).develop(ModelKind::Image, &[0], Frames::Both, 2).unwrap();

        // 4 pixels twice as large, with 2 pixels on each side; and twice that with gaps of 8.
        let mut files = [Vec::new(), Vec::new()];
        one.write_gif(&mut files[0]).unwrap();
        two.write_gif(&mut files[1]).unwrap();
        let width = |file: &[u8]| u16::from_le_bytes([file[6], file[7]]);
        assert_eq!(files.each_ref().map(|file| width(file)), [12, 12 + 12 + 24]);
    }
}

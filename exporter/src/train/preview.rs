//! Pictures of samples while training, from the averaged weights: the same noise and labels every
//! time, so that pictures of different steps can be compared, and played as an animation.

use std::io::Write;
use std::path::PathBuf;

use ddpm_files::write_whole;
use ddpm_package::Kind;
use ddpm_pictures::View;

use super::distributed::{Purpose, draw};
use super::{RunDir, TrainConfig, TrainError, Trainer};
use crate::data::Dataset;
use crate::picture;

/// Pictures of a grid: a square of them.
const PICTURES: usize = 64;
/// Points of a scatter plot.
const POINTS: usize = 2000;

/// Samples of a network that has learned little lie beyond the data; some of them should be seen.
const ROOM: f32 = 1.25;

/// How samples of a run are shown.
#[derive(Debug)]
pub(super) struct Preview {
    count: usize,
    /// For points: the part of the plane where the data is.
    view: Option<View>,
}

/// A picture of samples.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) path: PathBuf,
    pub(super) png: Vec<u8>,
}

impl Preview {
    /// How samples of this data are shown.
    pub(super) fn new(config: &TrainConfig, dataset: &Dataset) -> Self {
        let (otherwise, view) = match config.kind() {
            Kind::Image => (PICTURES, None),
            Kind::Points2d => (POINTS, Some(view_of(dataset))),
        };
        let asked = config.watch.samples;
        Self { count: if asked == 0 { otherwise } else { asked }, view }
    }

    /// Draws samples and writes them as one picture.
    pub(super) fn write(
        &self,
        run: &RunDir,
        config: &TrainConfig,
        trainer: &Trainer,
    ) -> Result<Shown, TrainError> {
        let samples = draw(config, trainer, Purpose::Show, 0..self.count)?;
        let text = [("ddpm.step", u64::from(trainer.steps_done())), ("ddpm.seed", config.seed)]
            .map(|(key, value)| (key.to_owned(), value.to_string()));
        let path = run.samples().join(format!("step-{:07}.png", trainer.steps_done()));
        let png = match &self.view {
            None => picture::png(&samples, &config.model.sample_shape(), &text),
            Some(view) => picture::scatter_png(&samples, view, &text),
        }
        .map_err(TrainError::write(&path))?;
        write_whole(&path, |out| out.write_all(&png)).map_err(TrainError::write(&path))?;
        Ok(Shown { path, png })
    }
}

fn view_of(dataset: &Dataset) -> View {
    let point = |i| {
        let mut point = [0.0; 2];
        dataset.x_0(i, false, &mut point);
        point
    };
    let points: Vec<[f32; 2]> = (0..dataset.len().min(POINTS)).map(point).collect();
    let view = View::around(&points);
    View { half_side: ROOM * view.half_side, ..view }
}

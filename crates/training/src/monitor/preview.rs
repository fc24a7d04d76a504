//! Pictures of samples during training, from the averaged weights. Noise and labels are the same
//! every time, so pictures of different steps can be compared, and played as an animation.

use std::io::Write;
use std::path::PathBuf;

use ddpm_data::Dataset;
use ddpm_files::write_whole;
use ddpm_package::Kind;
use ddpm_pictures::{View, sheet};

use crate::config::TrainConfig;
use crate::distributed::Purpose;
use crate::drawing::draw;
use crate::error::TrainError;
use crate::step::Trainer;
use crate::store::RunDir;

/// Pictures in a grid: a square number.
const PICTURES: usize = 64;
/// Points in a scatter plot.
const POINTS: usize = 2000;

/// Enlarges the view beyond the data, so that it shows some of the stray samples of a network that
/// has learned little.
const MARGIN: f32 = 1.25;

/// How samples of a run are drawn as a picture.
#[derive(Debug)]
pub(crate) struct Preview {
    count: usize,
    /// The part of the plane around the data; for points only.
    view: Option<View>,
}

/// A picture that was written.
#[derive(Debug)]
pub(crate) struct SavedPicture {
    pub(crate) path: PathBuf,
    pub(crate) png: Vec<u8>,
}

impl Preview {
    /// Decides how samples are shown, given the data.
    pub(crate) fn new(config: &TrainConfig, dataset: &Dataset) -> Self {
        let (default, view) = match config.kind() {
            Kind::Image => (PICTURES, None),
            Kind::Points2d => (POINTS, Some(view_around(dataset))),
        };
        let count = match config.watch.samples {
            0 => default,
            count => count,
        };
        Self { count, view }
    }

    /// Draws samples and writes them as one picture.
    pub(crate) fn write(
        &self,
        run: &RunDir,
        config: &TrainConfig,
        trainer: &Trainer,
    ) -> Result<SavedPicture, TrainError> {
        let samples = draw(config, trainer, Purpose::Preview, 0..self.count)?;
        let text = [("ddpm.step", u64::from(trainer.steps_done())), ("ddpm.seed", config.seed)]
            .map(|(key, value)| (key.to_owned(), value.to_string()));
        let path = run.samples().join(format!("step-{:07}.png", trainer.steps_done()));
        let png = match &self.view {
            None => sheet::png(&samples, &config.model.sample_shape(), &text),
            Some(view) => sheet::scatter_png(&samples, view, &text),
        }
        .map_err(TrainError::write(&path))?;
        write_whole(&path, |out| out.write_all(&png)).map_err(TrainError::write(&path))?;
        Ok(SavedPicture { path, png })
    }
}

fn view_around(dataset: &Dataset) -> View {
    let point = |i| {
        let mut point = [0.0; 2];
        dataset.x_0(i, false, &mut point);
        point
    };
    let points: Vec<[f32; 2]> = (0..dataset.len().min(POINTS)).map(point).collect();
    let view = View::around(&points);
    View { half_side: MARGIN * view.half_side, ..view }
}

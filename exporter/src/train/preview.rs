//! Pictures of samples while training, from the averaged weights: the same noise and labels every
//! time, so that pictures of different steps can be compared.

use std::fs;
use std::path::PathBuf;

use ddpm_package::Kind;

use super::distributed::draw;
use super::{RunDir, TrainConfig, TrainError, Trainer};
use crate::picture;

/// Pictures of a grid: a square of them.
const PICTURES: usize = 64;
/// Points of a scatter plot.
const POINTS: usize = 2000;

/// Draws samples and writes them as one picture.
pub(super) fn write(
    run: &RunDir,
    config: &TrainConfig,
    trainer: &Trainer,
) -> Result<PathBuf, TrainError> {
    let count = match config.kind() {
        Kind::Image => PICTURES,
        Kind::Points2d => POINTS,
    };
    let samples = draw(config, trainer, count, config.seed)?;
    let text = [("ddpm.step", u64::from(trainer.steps_done())), ("ddpm.seed", config.seed)]
        .map(|(key, value)| (key.to_owned(), value.to_string()));
    let path = run.samples().join(format!("step-{:07}.png", trainer.steps_done()));
    let png = picture::png(&samples, &config.model.sample_shape(), &text);
    png.and_then(|png| fs::write(&path, png)).map_err(TrainError::write(&path))?;
    Ok(path)
}

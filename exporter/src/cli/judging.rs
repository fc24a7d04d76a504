//! Sets up the judge of a run's samples.

use std::path::PathBuf;
use std::sync::Arc;

use ddpm_console::note;
use ddpm_data::{Dataset, Source};
use ddpm_evaluation::extractor::{Extractor, OnnxOptions};
use ddpm_evaluation::pictures::PictureSet;
use ddpm_evaluation::preprocessing::Preprocessing;
use ddpm_training::{TrainConfig, TrainError, Trainer};
use tch::Device;

use super::Failure;
use crate::judge::SampleJudge;

/// What the judge needs, opened before training.
pub(super) struct JudgeSetup {
    /// Absent for points.
    extractor: Option<Extractor>,
    /// Folder that caches the features of the data.
    cache: Option<PathBuf>,
}

impl JudgeSetup {
    /// Opens the extractor now, so that the run does not fail on it hours later; `None` if samples
    /// are not judged.
    ///
    /// * `device`: runs a TorchScript module.
    pub(super) fn open(
        config: &TrainConfig,
        onnx: &OnnxOptions,
        device: Device,
        cache: Option<PathBuf>,
    ) -> Result<Option<Self>, Failure> {
        if config.eval.every == 0 {
            return Ok(None);
        }
        let extractor = match (&config.eval.extractor, config.kind()) {
            (_, ddpm_package::Kind::Points2d) => None,
            (None, _) => Some(Extractor::shipped(onnx)?),
            (Some(path), _) => {
                let preprocessing = Preprocessing::read_beside(path)?;
                Some(Extractor::open(path, preprocessing, onnx, device)?)
            }
        };
        Ok(Some(Self { extractor, cache }))
    }

    /// Makes the judge. Computes the features of the data, and meanwhile tells the other processes
    /// of the run that this one is busy.
    pub(super) fn judge(
        self,
        config: &TrainConfig,
        dataset: &Arc<Dataset>,
        trainer: &Trainer,
    ) -> Result<SampleJudge, Failure> {
        let (extractor, pictures) =
            match (self.extractor, PictureSet::from_dataset(Arc::clone(dataset))) {
                (Some(extractor), Some(pictures)) => (extractor, pictures),
                _ => {
                    let toy = match config.data.source()? {
                        Source::Toy { kind, .. } => Some(kind),
                        _ => None,
                    };
                    return Ok(SampleJudge::for_points(dataset, toy, config.seed)?);
                }
            };
        note!(
            "samples are judged through {} against {} pictures",
            extractor.name(),
            pictures.len()
        );
        let mut held: Result<(), TrainError> = Ok(());
        let folder = self.cache.as_deref();
        let judge = SampleJudge::for_pictures(&pictures, extractor, folder, config.seed, |_| {
            if held.is_ok() {
                held = trainer.keep_alive();
            }
        })?;
        held?;
        Ok(judge)
    }
}

//! Who judges the samples of a run while it trains.

use std::path::PathBuf;
use std::sync::Arc;

use tch::Device;

use super::Failure;
use crate::data::{Dataset, Source};
use crate::evaluate::extractor::{Extractor, OnnxOptions};
use crate::evaluate::judge::SampleJudge;
use crate::evaluate::pictures::PictureSet;
use crate::evaluate::preprocessing::Preprocessing;
use crate::train::{TrainConfig, TrainError, Trainer};

/// What judging needs, found to be there.
pub(super) struct Bench {
    /// Of pictures.
    extractor: Option<Extractor>,
    /// Where features of the data are remembered.
    cache: Option<PathBuf>,
}

impl Bench {
    /// Opens the extractor, so that a run does not fail on it hours later; `None` if samples are not
    /// judged.
    ///
    /// * `device`: of a TorchScript module.
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

    /// Looks at the data that samples will be judged by. Other processes of the run are told that this
    /// one is busy.
    pub(super) fn judge(
        self,
        config: &TrainConfig,
        dataset: &Arc<Dataset>,
        trainer: &Trainer,
    ) -> Result<SampleJudge, Failure> {
        let (extractor, pictures) =
            match (self.extractor, PictureSet::of_dataset(Arc::clone(dataset))) {
                (Some(extractor), Some(pictures)) => (extractor, pictures),
                _ => {
                    let toy = match config.data.source()? {
                        Source::Toy { kind, .. } => Some(kind),
                        _ => None,
                    };
                    return Ok(SampleJudge::of_points(dataset, toy, config.seed)?);
                }
            };
        eprintln!(
            "samples are judged through {}, by {} pictures",
            extractor.name(),
            pictures.len()
        );
        let mut held: Result<(), TrainError> = Ok(());
        let folder = self.cache.as_deref();
        let judge = SampleJudge::of_pictures(&pictures, extractor, folder, config.seed, |_| {
            if held.is_ok() {
                held = trainer.hold();
            }
        })?;
        held?;
        Ok(judge)
    }
}

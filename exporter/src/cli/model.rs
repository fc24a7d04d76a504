//! A trained model, from whatever holds one: a run, a checkpoint or a package.

use std::path::Path;

use ddpm_diffusion::Network as Meaning;
use ddpm_package::{DefaultSampler, Kind, MANIFEST_FILE, Package};
use tch::Device;

use super::Failure;
use crate::export::read;
use crate::model::Network;
use crate::train::{Checkpoint, TrainError};

/// What sampling needs to know.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) network: Network,
    pub(super) meaning: Meaning,
    pub(super) kind: Kind,
    pub(super) classes: Vec<String>,
    pub(super) default_sampler: DefaultSampler,
}

impl Model {
    /// Loads the averaged weights of a run or checkpoint, or those of a package.
    pub(super) fn load(path: &Path, device: Device) -> Result<Self, Failure> {
        if path.join(MANIFEST_FILE).is_file() {
            Self::of_package(&Package::open(path)?, device)
        } else {
            Self::of_checkpoint(&Checkpoint::find(path)?, device)
        }
    }

    pub(super) fn of_package(package: &Package, device: Device) -> Result<Self, Failure> {
        let manifest = package.manifest();
        Ok(Self {
            name: manifest.name.clone(),
            network: read::network(&package.portable_graph()?, device)?,
            meaning: manifest.network().map_err(TrainError::from)?,
            kind: manifest.kind,
            classes: manifest.classes.clone(),
            default_sampler: manifest.default_sampler.clone(),
        })
    }

    pub(super) fn of_checkpoint(checkpoint: &Checkpoint, device: Device) -> Result<Self, Failure> {
        let config = checkpoint.config();
        Ok(Self {
            name: config.name.clone(),
            network: checkpoint.network(false, device)?,
            meaning: config.diffusion.network()?,
            kind: config.kind(),
            classes: config.classes.clone(),
            default_sampler: config.default_sampler()?,
        })
    }
}

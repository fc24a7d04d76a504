//! Loads a trained model from a run, a checkpoint or a package.

use std::path::Path;

use ddpm_conversion::export::read;
use ddpm_diffusion::Parameterisation;
use ddpm_network::Network;
use ddpm_package::{DefaultSampler, Kind, MANIFEST_FILE, Package};
use ddpm_training::Checkpoint;
use tch::Device;

use super::{Failure, within};

/// A trained model, as sampling needs it.
pub(super) struct Model {
    pub(super) name: String,
    pub(super) network: Network,
    pub(super) parameterisation: Parameterisation,
    pub(super) kind: Kind,
    pub(super) classes: Vec<String>,
    pub(super) default_sampler: DefaultSampler,
}

impl Model {
    /// Loads the averaged weights of a run or checkpoint, or those of a package.
    pub(super) fn load(path: &Path, device: Device) -> Result<Self, Failure> {
        if path.join(MANIFEST_FILE).is_file() {
            let package = Package::open(path).map_err(within(path))?;
            Self::from_package(&package, device).map_err(within(path))
        } else {
            Self::from_checkpoint(&Checkpoint::find(path)?, device)
        }
    }

    pub(super) fn from_package(package: &Package, device: Device) -> Result<Self, Failure> {
        let manifest = package.manifest();
        Ok(Self {
            name: manifest.name.clone(),
            network: read::network(&package.portable_graph()?, device)?,
            parameterisation: manifest.parameterisation()?,
            kind: manifest.kind,
            classes: manifest.classes.clone(),
            default_sampler: manifest.default_sampler.clone(),
        })
    }

    pub(super) fn from_checkpoint(
        checkpoint: &Checkpoint,
        device: Device,
    ) -> Result<Self, Failure> {
        let config = checkpoint.config();
        Ok(Self {
            name: config.name.clone(),
            network: checkpoint.network(false, device).map_err(within(checkpoint.folder()))?,
            parameterisation: config.diffusion.parameterisation()?,
            kind: config.kind(),
            classes: config.classes.clone(),
            default_sampler: config.default_sampler()?,
        })
    }
}

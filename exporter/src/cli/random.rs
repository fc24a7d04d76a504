//! `random`: a package of untrained weights, for benchmarks and for checks of devices.
//!
//! A network fresh from its initialisation outputs almost nothing, so any graph would pass for it.
//! Here every weight is drawn so that the outputs have a size; see [`weights`].

mod blueprint;

mod package;

mod weights;

use std::path::PathBuf;

use ddpm_package::Package;
use tch::{Device, nn};

use super::Failure;
use super::verify::{OrtArgs, check};
use crate::export::package::ExportError;
use crate::model::Network;
use crate::train::TrainError;
use blueprint::Choice;
use package::Untrained;
use weights::Spread;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Which network: cifar10, celeba, glyphs, toy, or a JSON file with its settings.
    #[arg(long, value_name = "NETWORK")]
    network: Choice,

    /// Folder of the package.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Size of the weights, in 0.1..=1: one that sees inputs of size 1 outputs numbers of this
    /// size [default: 0.2].
    #[arg(long)]
    spread: Option<Spread>,

    /// Seed of the weights and of the golden vectors [default: 0].
    #[arg(long)]
    seed: Option<u64>,

    /// Write the weights a second time, as weights.safetensors, for other programs.
    #[arg(long)]
    with_weights: bool,

    /// Replace a package that stands at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter random --network cifar10 --output models/cifar10-random
  ddpm-exporter random --network mine.json --spread 0.5 --seed 1 --output models/mine-random";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let blueprint = self.network.blueprint().map_err(|error| Failure::Refused(error.into()))?;
        let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &blueprint.model)
            .map_err(TrainError::from)?;
        let (spread, seed) = (self.spread.unwrap_or_default(), self.seed.unwrap_or(0));
        let weights = weights::randomise(&network, spread, seed).map_err(ExportError::from)?;
        let untrained = Untrained { blueprint: &blueprint, network: &network, spread, seed };
        let attached = self.with_weights.then_some(&weights[..]);
        let digest = untrained.write(&self.output, self.force, attached)?;
        eprintln!("{}, digest {digest}", blueprint.name);
        check(&Package::open(&self.output)?, &self.ort)?;
        println!("{}", self.output.display());
        Ok(())
    }
}

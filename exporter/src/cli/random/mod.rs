//! `random`: writes a package of random weights, for benchmarks and device checks.
//!
//! A freshly initialised network outputs almost nothing, so any graph would pass its golden test.
//! Here weights are drawn so that outputs are well away from zero; see [`weights`].

mod blueprint;

mod package;

mod weights;

use std::path::PathBuf;

use ddpm_console::note;
use ddpm_conversion::export::ExportError;
use ddpm_conversion::export::variants::LeftOut;
use ddpm_network::Network;
use ddpm_package::GraphName;
use tch::{Device, nn};

use self::blueprint::NetworkSource;
use self::package::Untrained;
use self::weights::Spread;
use super::Failure;
use super::convert::add_unjudged_int8;
use super::output::print_path;
use super::verify::{OrtArgs, check};

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Network to write: cifar10, celeba, glyphs, toy, or a JSON file with its settings.
    #[arg(long, value_name = "NETWORK")]
    network: NetworkSource,

    /// Folder of the package.
    #[arg(long, value_name = "DIR")]
    output: PathBuf,

    /// Scale of the weights, in 0.1..=1: a layer with inputs of size 1 outputs numbers of this size
    /// [default: 0.2].
    #[arg(long)]
    spread: Option<Spread>,

    /// Seed of the weights and the golden vectors [default: 0].
    #[arg(long)]
    seed: Option<u64>,

    /// Also write the weights to weights.safetensors, for other programs.
    #[arg(long)]
    with_weights: bool,

    /// Graphs to add to the portable one: cuda, int8. Samples of random weights show nothing, so
    /// those of the int8 graph are not judged.
    #[arg(long, value_name = "GRAPH,…", value_delimiter = ',')]
    graphs: Vec<GraphName>,

    /// Replace an existing package at the output.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    ort: OrtArgs,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter random --network cifar10 --output models/cifar10-random
  ddpm-exporter random --network cifar10 --graphs cuda,int8 --output models/cifar10-random
  ddpm-exporter random --network mine.json --spread 0.5 --seed 1 --output models/mine-random";

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let blueprint = self.network.blueprint().map_err(|error| Failure::Refused(error.into()))?;
        let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &blueprint.model)?;
        let (spread, seed) = (self.spread.unwrap_or_default(), self.seed.unwrap_or(0));
        let weights = weights::randomise(&network, spread, seed).map_err(ExportError::from)?;
        let cuda = self.graphs.contains(&GraphName::Cuda);
        let untrained = Untrained { blueprint: &blueprint, network: &network, spread, seed, cuda };
        let attached = self.with_weights.then_some(&weights[..]);
        let written = untrained.write(&self.output, self.force, attached)?;
        note!("{}, digest {}", blueprint.name, written.digest);
        if let Some(LeftOut { reason, .. }) = written.left_out.first() {
            return Err(Failure::Refused(format!("no cuda graph: {reason}").into()));
        }
        let package = check(&self.output, &self.ort)?;
        if self.graphs.contains(&GraphName::Int8) {
            add_unjudged_int8(&package, &self.ort)?;
        }
        print_path(&self.output.display());
        Ok(())
    }
}

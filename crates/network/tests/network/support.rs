//! The committed reference vectors, and comparisons with them.
//!
//! Each test binary uses a part of this module.
#![allow(dead_code)]

use std::collections::HashMap;
use std::path::PathBuf;

use ddpm_network::{Eager, ModelConfig, Network, ToyConfig, UnetConfig};
use tch::{Device, Tensor, nn};

pub(crate) const EVAL: Eager<'static> = Eager { train: false, masks: None };

pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/reference").join(name)
}

/// Reads the tensors of a reference file by name.
pub(crate) fn reference(name: &str) -> HashMap<String, Tensor> {
    Tensor::read_safetensors(fixture(name)).expect("a committed file").into_iter().collect()
}

/// Returns the parameters of a reference file, under their names in checkpoints.
pub(crate) fn reference_state(reference: &HashMap<String, Tensor>) -> Vec<(String, Tensor)> {
    reference
        .iter()
        .filter_map(|(name, value)| {
            Some((name.strip_prefix("param.")?.to_owned(), value.shallow_clone()))
        })
        .collect()
}

/// `unet_small.safetensors`: the only network with a level that does not see the timestep.
pub(crate) fn small_unet() -> UnetConfig {
    UnetConfig {
        image_size: [16, 16],
        hid_channels: 32,
        ch_multipliers: vec![1, 2],
        num_res_blocks: 1,
        apply_attn: vec![false, true],
        ..UnetConfig::cifar10()
    }
}

/// `toy.safetensors`.
pub(crate) fn small_toy() -> ToyConfig {
    ToyConfig { mid_features: 32, ..ToyConfig::default() }
}

/// Creates a network on the CPU. Its `VarStore` may be dropped: the network holds its parameters.
pub(crate) fn network(config: &ModelConfig) -> Network {
    Network::new(&nn::VarStore::new(Device::Cpu).root(), config).expect("a valid configuration")
}

/// Returns a network with the parameters of a reference file, and that file's tensors.
pub(crate) fn reference_network(
    config: &ModelConfig,
    file: &str,
) -> (Network, HashMap<String, Tensor>) {
    let (network, reference) = (network(config), reference(file));
    network.load_state(&reference_state(&reference)).expect("names and shapes of the reference");
    (network, reference)
}

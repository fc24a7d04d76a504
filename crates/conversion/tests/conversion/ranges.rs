//! Networks whose insides leave the range of f16.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use ddpm_conversion::export::ranges::peak;
use ddpm_network::{ModelConfig, Network};
use ddpm_package::Golden;

use crate::support::{reference_network, small_unet};

/// Two rows of which the second is at a late timestep.
fn golden() -> Golden {
    Golden {
        count: 2,
        sample: (0..2 * 3 * 16 * 16).map(|i| (i as f32 * 0.37).sin()).collect(),
        timestep: vec![1.0, 900.0],
        class_labels: None,
        out_sample: Vec::new(),
    }
}

fn reference_unet() -> Network {
    reference_network(&ModelConfig::Unet(small_unet()), "unet_small.safetensors").0
}

fn scale(network: &Network, name: &str, factor: f64) {
    let (_, mut weight) = network.parameters().into_iter().find(|(n, _)| n == name).unwrap();
    tch::no_grad(|| {
        let _ = weight.g_mul_scalar_(factor);
    });
}

#[test]
fn the_values_inside_a_trained_network_fit() {
    let peak = peak(&reference_unet(), &golden()).unwrap();

    assert!(peak.fits() && peak.magnitude > 0.1, "{peak:?}");
}

#[test]
fn a_layer_whose_values_leave_the_range_is_named_with_the_timestep() {
    let network = reference_unet();
    scale(&network, "middle.0.conv2.weight", 1e6);

    let peak = peak(&network, &golden()).unwrap();

    assert!(!peak.fits(), "{peak:?}");
    assert!([1.0, 900.0].contains(&peak.timestep));
    assert!(peak.layer.starts_with("middle.") || peak.layer.starts_with("upsamples."), "{peak:?}");
}

#[test]
fn a_network_that_computes_nothing_does_not_fit() {
    let network = reference_unet();
    scale(&network, "middle.0.conv2.weight", f64::NAN);

    assert!(!peak(&network, &golden()).unwrap().fits());
}

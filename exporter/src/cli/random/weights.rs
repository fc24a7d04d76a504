//! Random weights that keep a network's outputs away from zero.

use std::str::FromStr;

use ddpm_diffusion::Noise;
use ddpm_network::Network;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use tch::{TchError, Tensor};

/// Standard deviation of biases and of norm scales, relative to the spread: enough to show in the
/// outputs, too little to dominate them.
const SMALL: f64 = 0.1;

/// Scale of the weights, in 0.1..=1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread(f64);

impl Default for Spread {
    fn default() -> Self {
        Self(0.2)
    }
}

impl FromStr for Spread {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            // Below, outputs nearly vanish; above, a deep network amplifies rounding.
            Ok(spread) if (0.1..=1.0).contains(&spread) => Ok(Self(spread)),
            _ => Err(format!("the spread must be in 0.1..=1, got {text:?}")),
        }
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The drawn values of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DrawnParameter {
    /// Its name in checkpoints.
    name: String,
    shape: Vec<i64>,
    values: Vec<f32>,
}

impl DrawnParameter {
    /// Returns its entry in a safetensors file.
    fn view(&self) -> Result<(&str, TensorView<'_>), SafeTensorError> {
        let shape = self.shape.iter().map(|&extent| extent as usize).collect();
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&self.values))?;
        Ok((&self.name, view))
    }
}

/// Redraws every parameter of `network`:
///
/// * weights `[out, in, …]` from N(0, spread² / fan_in), where fan_in is the number of weights per
///   output, so that inputs of size 1 become outputs of size `spread`;
/// * norm scales from N(1, (spread / 10)²);
/// * biases from N(0, (spread / 10)²).
///
/// A network ends in a norm, an activation (in the UNet a SiLU, which maps N(0, 1) to a root mean
/// square of 0.6) and one layer. So the root mean square of its outputs is about 0.6 · spread, and
/// at least 0.05. Since each block starts with a norm, activations stay bounded.
///
/// Parameter i, in checkpoint order, is the noise of sample index i and draw 0 of `seed`, the same
/// on every machine.
///
/// # Errors
///
/// libtorch's, if memory runs out.
pub(super) fn randomise(
    network: &Network,
    Spread(spread): Spread,
    seed: u64,
) -> Result<Vec<DrawnParameter>, TchError> {
    let noise = Noise::new(seed);
    let draw = |(index, (name, parameter)): (usize, (String, Tensor))| {
        let shape = parameter.size();
        let (mean, stdev) = distribution(&name, &shape, spread);
        let mut values = vec![0f32; parameter.numel()];
        noise.normal(index as u64, 0, &mut values);
        values.iter_mut().for_each(|value| *value = mean + stdev * *value);
        let drawn = Tensor::f_from_slice(&values)?.f_reshape(&shape[..])?;
        tch::no_grad(|| parameter.shallow_clone().f_copy_(&drawn))?;
        Ok(DrawnParameter { name, shape, values })
    };
    network.parameters().into_iter().enumerate().map(draw).collect()
}

/// Returns the mean and standard deviation of a parameter.
fn distribution(name: &str, shape: &[i64], spread: f64) -> (f32, f32) {
    let fan_in: i64 = shape[1..].iter().product();
    match shape.len() {
        1 if name.ends_with(".bias") => (0.0, (SMALL * spread) as f32),
        1 => (1.0, (SMALL * spread) as f32),
        _ => (0.0, (spread / (fan_in as f64).sqrt()) as f32),
    }
}

/// Returns a safetensors file of these weights.
pub(super) fn to_safetensors(weights: &[DrawnParameter]) -> Result<Vec<u8>, SafeTensorError> {
    let views: Vec<_> = weights.iter().map(DrawnParameter::view).collect::<Result<_, _>>()?;
    safetensors::serialize(views, None)
}

#[cfg(test)]
mod tests {
    use ddpm_network::sample::forward;
    use tch::{Device, nn};

    use super::*;
    use crate::cli::random::blueprint::NetworkSource;

    fn network(name: &str) -> Network {
        let blueprint = name.parse::<NetworkSource>().unwrap().blueprint().unwrap();
        Network::new(&nn::VarStore::new(Device::Cpu).root(), &blueprint.model).unwrap()
    }

    fn rms(values: &[f32]) -> f64 {
        (values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64)
            .sqrt()
    }

    /// Returns the outputs for one standard normal sample at timestep `t`.
    fn output(network: &Network, t: f32) -> Vec<f32> {
        let mut sample =
            vec![0.0; network.config().sample_shape().iter().product::<i64>() as usize];
        Noise::new(9).normal(0, 1, &mut sample);
        let label = network.config().num_classes().map(|_| vec![0]);
        forward(network, Device::Cpu, &sample, &[t], label.as_deref()).unwrap()
    }

    #[test]
    fn outputs_are_finite_and_away_from_zero_at_every_spread() {
        for (name, spread) in [("glyphs", 0.1), ("glyphs", 0.2), ("glyphs", 1.0), ("toy", 0.2)] {
            let network = network(name);
            randomise(&network, Spread(spread), 3).unwrap();
            let size = rms(&output(&network, 500.0));
            // 0.6 · spread for a UNet, spread for the toy, whose two outputs vary a lot.
            assert!((0.05..=2.0).contains(&size), "{name} {spread}: {size}");
        }
    }

    #[test]
    fn outputs_depend_on_the_timestep() {
        let network = network("glyphs");
        randomise(&network, Spread::default(), 3).unwrap();
        let (early, late) = (output(&network, 10.0), output(&network, 900.0));
        let difference: Vec<f32> = early.iter().zip(&late).map(|(a, b)| a - b).collect();
        // Far above fp32 rounding.
        assert!(rms(&difference) > 1e-3 * rms(&early), "{}", rms(&difference) / rms(&early));
    }

    #[test]
    fn the_deviation_of_weights_follows_from_their_fan_in() {
        let network = network("glyphs");
        let drawn = randomise(&network, Spread(0.5), 3).unwrap();
        let values = |name: &str| &drawn.iter().find(|drawn| drawn.name == name).unwrap().values;
        // [64, 64, 3, 3]: 36,864 draws, so the root mean square is known to 0.4 %.
        let weight = rms(values("middle.0.conv1.weight"));
        assert!((weight / (0.5 / 576f64.sqrt()) - 1.0).abs() < 0.02, "{weight}");
        assert!(values("middle.0.norm1.weight").iter().all(|scale| (scale - 1.0).abs() < 0.5));
        assert!(rms(values("middle.0.conv1.bias")) < 0.1);
    }

    #[test]
    fn each_seed_draws_its_own_weights_reproducibly() {
        let draw = |seed| randomise(&network("toy"), Spread::default(), seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_file_holds_the_parameters_of_the_network() {
        let network = network("toy");
        let file = to_safetensors(&randomise(&network, Spread::default(), 1).unwrap()).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
        for (name, parameter) in network.parameters() {
            let tensor = tensors.tensor(&name).unwrap();
            let mut values = vec![0f32; parameter.numel()];
            parameter.copy_data(&mut values, parameter.numel());
            assert_eq!(tensor.data(), bytemuck::cast_slice::<f32, u8>(&values), "{name}");
        }
    }

    #[test]
    fn a_spread_out_of_range_or_not_a_number_is_refused() {
        for text in ["0.05", "1.5", "NaN", "-0.2", "wide"] {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
        assert_eq!("0.2".parse(), Ok(Spread::default()));
    }
}

//! Random weights whose outputs have a size.

use std::str::FromStr;

use ddpm_diffusion::Noise;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use tch::{TchError, Tensor};

use crate::model::Network;

/// Biases, and how far the scales of norms are from 1, relative to the spread: enough to be seen
/// in the outputs, too little to govern them.
const SMALL: f64 = 0.1;

/// How large weights are, in 0.1..=1.
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
            // Below it outputs nearly vanish, above it a deep network amplifies rounding.
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

/// One parameter as it was drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Drawn {
    /// As in checkpoints.
    name: String,
    shape: Vec<i64>,
    values: Vec<f32>,
}

impl Drawn {
    /// Its entry in a file.
    fn view(&self) -> Result<(&str, TensorView<'_>), SafeTensorError> {
        let shape = self.shape.iter().map(|&extent| extent as usize).collect();
        let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&self.values))?;
        Ok((&self.name, view))
    }
}

/// Draws every parameter of `network` anew:
///
/// * weights `[out, in, …]` from N(0, spread² / fan_in), fan_in being the elements of one output's
///   weights, so that inputs of size 1 become outputs of size `spread`;
/// * scales of norms from N(1, (spread / 10)²);
/// * biases from N(0, (spread / 10)²).
///
/// A network ends in a norm, an activation (of the UNet: a SiLU, which takes N(0, 1) to a root mean
/// square of 0.6) and one layer. So outputs have a root mean square of about 0.6 spread, at least
/// 0.05; and as each block begins with a norm, nothing grows beyond bounds on the way.
///
/// Parameter i, in the order of checkpoints, is noise of sample index i and draw 0 of `seed`, the
/// same on every machine.
///
/// # Errors
///
/// libtorch's, if memory is short.
pub(super) fn randomise(
    network: &Network,
    Spread(spread): Spread,
    seed: u64,
) -> Result<Vec<Drawn>, TchError> {
    let noise = Noise::new(seed);
    let draw = |(index, (name, parameter)): (usize, (String, Tensor))| {
        let shape = parameter.size();
        let (mean, stdev) = distribution(&name, &shape, spread);
        let mut values = vec![0f32; parameter.numel()];
        noise.normal(index as u64, 0, &mut values);
        values.iter_mut().for_each(|value| *value = mean + stdev * *value);
        let drawn = Tensor::f_from_slice(&values)?.f_reshape(&shape[..])?;
        tch::no_grad(|| parameter.shallow_clone().f_copy_(&drawn))?;
        Ok(Drawn { name, shape, values })
    };
    network.parameters().into_iter().enumerate().map(draw).collect()
}

/// Mean and standard deviation of a parameter.
fn distribution(name: &str, shape: &[i64], spread: f64) -> (f32, f32) {
    let fan_in: i64 = shape[1..].iter().product();
    match shape.len() {
        1 if name.ends_with(".bias") => (0.0, (SMALL * spread) as f32),
        1 => (1.0, (SMALL * spread) as f32),
        _ => (0.0, (spread / (fan_in as f64).sqrt()) as f32),
    }
}

/// The file of these weights.
pub(super) fn to_safetensors(weights: &[Drawn]) -> Result<Vec<u8>, SafeTensorError> {
    let views: Vec<_> = weights.iter().map(Drawn::view).collect::<Result<_, _>>()?;
    safetensors::serialize(views, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::random::blueprint::Choice;
    use crate::sample::forward;
    use tch::{Device, nn};

    fn network(name: &str) -> Network {
        let blueprint = name.parse::<Choice>().unwrap().blueprint().unwrap();
        Network::new(&nn::VarStore::new(Device::Cpu).root(), &blueprint.model).unwrap()
    }

    fn rms(values: &[f32]) -> f64 {
        (values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64)
            .sqrt()
    }

    /// Outputs for one standard normal sample at timestep `t`.
    fn output(network: &Network, t: f32) -> Vec<f32> {
        let mut sample =
            vec![0.0; network.config().sample_shape().iter().product::<i64>() as usize];
        Noise::new(9).normal(0, 1, &mut sample);
        let label = network.config().num_classes().map(|_| vec![0]);
        forward(network, Device::Cpu, &sample, &[t], label.as_deref()).unwrap()
    }

    #[test]
    fn outputs_are_finite_and_have_a_size_at_every_spread() {
        for (name, spread) in [("glyphs", 0.1), ("glyphs", 0.2), ("glyphs", 1.0), ("toy", 0.2)] {
            let network = network(name);
            randomise(&network, Spread(spread), 3).unwrap();
            let size = rms(&output(&network, 500.0));
            // 0.6 spread for a UNet, spread for the toy; two numbers are no more than that.
            assert!((0.05..=2.0).contains(&size), "{name} {spread}: {size}");
        }
    }

    #[test]
    fn outputs_depend_on_the_timestep() {
        let network = network("glyphs");
        randomise(&network, Spread::default(), 3).unwrap();
        let (early, late) = (output(&network, 10.0), output(&network, 900.0));
        let difference: Vec<f32> = early.iter().zip(&late).map(|(a, b)| a - b).collect();
        // Far above what fp32 rounds away.
        assert!(rms(&difference) > 1e-3 * rms(&early), "{}", rms(&difference) / rms(&early));
    }

    #[test]
    fn weights_have_the_deviation_that_their_fan_in_asks_for() {
        let network = network("glyphs");
        let drawn = randomise(&network, Spread(0.5), 3).unwrap();
        let of = |name: &str| &drawn.iter().find(|drawn| drawn.name == name).unwrap().values;
        // [64, 64, 3, 3]: 36,864 draws, so the root mean square is known to 0.4 %.
        let weight = rms(of("middle.0.conv1.weight"));
        assert!((weight / (0.5 / 576f64.sqrt()) - 1.0).abs() < 0.02, "{weight}");
        assert!(of("middle.0.norm1.weight").iter().all(|scale| (scale - 1.0).abs() < 0.5));
        assert!(rms(of("middle.0.conv1.bias")) < 0.1);
    }

    #[test]
    fn the_same_seed_draws_the_same_weights_and_another_seed_others() {
        let draw = |seed| randomise(&network("toy"), Spread::default(), seed).unwrap();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn the_file_holds_the_network_s_own_parameters() {
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
    fn a_spread_that_is_too_small_too_large_or_no_number_is_refused() {
        for text in ["0.05", "1.5", "NaN", "-0.2", "wide"] {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
        assert_eq!("0.2".parse(), Ok(Spread::default()));
    }
}

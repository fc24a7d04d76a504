//! Compares the trainer's steps with those of the reference, from a checkpoint that it wrote.
//!
//! Tolerances follow the vectors' README: relative 1e-5 for losses, absolute 2e-5 for parameters.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::HashMap;
use std::path::PathBuf;

use ddpm_network::{ModelConfig, UnetConfig};
use ddpm_training::{Batch, DataConfig, OptimizerConfig, Rows, TrainConfig, Trainer};
use tch::{Device, Kind, Tensor};

type Tensors = HashMap<String, Tensor>;

/// The settings of the run that wrote the checkpoint.
fn config(batch_size: usize, accumulation: usize, grad_norm: f64) -> TrainConfig {
    let data = DataConfig { labels: false, ..DataConfig::from_source("glyphs") };
    let kind = ddpm_data::ItemShape::Images { channels: 3, height: 16, width: 16 };
    let config = TrainConfig {
        model: ModelConfig::Unet(UnetConfig { drop_rate: 0.0, ..crate::support::small_unet() }),
        batch_size,
        accumulation,
        optimizer: OptimizerConfig { lr: 1e-3, beta1: 0.9, beta2: 0.999, warmup: 10, grad_norm },
        ema_decay: 0.9999,
        ..TrainConfig::defaults("seed".to_owned(), data, Vec::new(), kind)
    };
    config.validate().unwrap();
    config
}

/// Concatenates some batches of the vectors to the batch of a step.
fn batch(expected: &Tensors, config: &TrainConfig, step: u32, batches: &[i64]) -> Batch {
    let network = config.diffusion.parameterisation().unwrap();
    let mut rows = Rows::begin(step, 0, vec![3, 16, 16], &config.diffusion);
    let sample =
        |name: &str, number: i64, row: i64| expected[name].get(number).get(row).reshape([-1]);
    for (number, row) in batches.iter().flat_map(|number| (0..4).map(move |row| (*number, row))) {
        let t = expected["steps.t"].int64_value(&[number, row]);
        let point = network.process.at_timestep(t as f64).unwrap();
        let x_0: Vec<f32> = sample("steps.x_0", number, row).try_into().unwrap();
        let noise: Vec<f32> = sample("steps.noise", number, row).try_into().unwrap();
        rows.push(&config.diffusion, &network, &point, &x_0, &noise).unwrap();
    }
    rows.finish(Device::Cpu).unwrap()
}

fn number(expected: &Tensors, name: &str, index: i64) -> f64 {
    expected[name].double_value(&[index])
}

fn assert_close(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance * want.abs(), "{what}: {got}, the reference {want}");
}

/// Compares with those parameters of the vectors whose names begin with `prefix`.
fn assert_parameters(expected: &Tensors, prefix: &str, got: &[(String, Tensor)]) {
    let mut compared = 0;
    for (name, got) in got {
        let Some(want) = expected.get(&format!("{prefix}{name}")) else { continue };
        let largest = (got - want).abs().max().double_value(&[]);
        assert!(largest < 2e-5, "{prefix}{name} differs by {largest:e}");
        compared += 1;
    }
    assert_eq!(compared, 6);
}

fn joint_norm(tensors: &[(String, Tensor)]) -> f64 {
    let squares = tensors.iter().map(|(_, tensor)| tensor.square().sum(Kind::Double));
    squares.map(|sum| sum.double_value(&[])).sum::<f64>().sqrt()
}

#[test]
fn accumulated_and_clipped_updates_are_those_of_the_reference() {
    let expected = crate::support::reference("seed_checkpoint_expected.safetensors");
    let weights = crate::support::reference_state(&crate::support::reference(
        "seed_checkpoint_weights.safetensors",
    ));
    let config = config(8, 2, 0.3);
    let mut trainer = Trainer::new(&config, Device::Cpu).unwrap();
    let fresh = trainer.optimizer_state();
    trainer.restore(0, &weights, &weights, &fresh).unwrap();

    for update in 0..2 {
        let parts = [2 * update, 2 * update + 1];
        let report = trainer.step(&batch(&expected, &config, update as u32, &parts)).unwrap();

        let loss = parts.iter().map(|part| number(&expected, "accum.loss", *part)).sum::<f64>();
        assert_close("loss", report.loss, loss / 2.0, 1e-5);
        assert_close("lr", report.lr, number(&expected, "accum.lr", parts[1]), 1e-12);
        let norm = number(&expected, "accum.grad_norm_before_clip", update);
        assert_close("norm of the gradients", report.grad_norm, norm, 1e-4);
        assert!(norm > 0.3, "the gradients are clipped");
    }
    assert_parameters(&expected, "accum.final.", &trainer.weights());
    assert_parameters(&expected, "accum.final_ema.", &trainer.averaged().parameters());
}

/// `tests/fixtures/reference/seed_checkpoint.py` describes how to make the file.
#[test]
#[ignore = "needs Adam's moments of the checkpoint, 11 MB, in DDPM_SEED_STATE"]
fn a_checkpoint_of_the_reference_goes_on_as_there() {
    let path = PathBuf::from(std::env::var("DDPM_SEED_STATE").unwrap());
    let state: Tensors = Tensor::read_safetensors(path).unwrap().into_iter().collect();
    let part = |prefixes: &[&str], keep_prefix: bool| -> Vec<(String, Tensor)> {
        let select = |(name, tensor): (&String, &Tensor)| {
            let prefix = prefixes.iter().find(|prefix| name.starts_with(**prefix))?;
            let name = if keep_prefix { name } else { &name[prefix.len()..] };
            Some((name.to_owned(), tensor.shallow_clone()))
        };
        state.iter().filter_map(select).collect()
    };
    let expected = crate::support::reference("seed_checkpoint_expected.safetensors");
    let config = config(4, 1, 1.0);
    let mut trainer = Trainer::new(&config, Device::Cpu).unwrap();
    let moments = part(&["exp_avg.", "exp_avg_sq.", "step."], true);
    trainer.restore(24, &part(&["param."], false), &part(&["ema."], false), &moments).unwrap();

    for step in 0..4 {
        let report = trainer.step(&batch(&expected, &config, 24 + step as u32, &[step])).unwrap();

        assert_close("loss", report.loss, number(&expected, "steps.loss", step), 1e-5);
        assert_close("lr", report.lr, number(&expected, "steps.lr", step), 1e-12);
        let norm = number(&expected, "steps.grad_norm_before_clip", step);
        assert_close("norm of the gradients", report.grad_norm, norm, 1e-4);
    }
    assert_parameters(&expected, "steps.final.", &trainer.weights());
    assert_parameters(&expected, "steps.final_ema.", &trainer.averaged().parameters());
    let norm = number(&expected, "steps.final_l2_all_params", 0);
    assert_close("norm of all parameters", joint_norm(&trainer.weights()), norm, 1e-6);
    let norm = number(&expected, "steps.final_l2_all_ema", 0);
    assert_close("norm of all averages", joint_norm(&trainer.averaged().parameters()), norm, 1e-6);
}

//! Training matches PyTorch: with the same weights and batches, the losses are those of a loop in
//! Python (`tests/fixtures/loop/loop.py`).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use ddpm_data::{DataError, Source};
use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_network::{ModelConfig, UnetConfig};
use ddpm_training::{
    Batch, DataConfig, DiffusionConfig, EdmConfig, Loss, OptimizerConfig, ProcessKind, Rows,
    TrainConfig, Trainer,
};
use serde::Deserialize;
use tch::{Device, Tensor};

const BATCH: usize = 8;
const SIDE: usize = 8;
const T: usize = 1000;

/// What `loop.py` wrote.
#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

/// The settings of a training, and its losses.
#[derive(Deserialize)]
struct Case {
    name: String,
    prediction: Prediction,
    variance: Variance,
    schedule: BetaSchedule,
    loss: Loss,
    min_snr: Option<f64>,
    accumulation: usize,
    losses: Vec<f64>,
    grad_norms: Vec<f64>,
    averaged: f64,
    sensitivity: f64,
}

fn cases() -> Vec<Case> {
    let path = crate::support::fixture("../loop/losses.json");
    serde_json::from_slice::<Reference>(&std::fs::read(path).unwrap()).unwrap().cases
}

/// The first `count` numbers of a stream of SplitMix64, in [0, 1).
fn uniform(stream: u64, count: usize) -> impl Iterator<Item = f64> {
    let mut state = stream << 40;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    })
    .take(count)
}

/// The batch of an update.
fn batch(update: u32, diffusion: &DiffusionConfig) -> Batch {
    let pixels = SIDE * SIDE;
    let each = 4 + 12 * pixels;
    let draws: Vec<f64> = uniform(1000 + u64::from(update), BATCH * each).collect();
    let network = diffusion.parameterisation().unwrap();
    let mut rows = Rows::begin(update, 0, vec![1, SIDE as i64, SIDE as i64], diffusion);
    for draws in draws.chunks(each) {
        let [level, down, right] = [0, 1, 2].map(|k| 2.0 * draws[k] - 1.0);
        let slope = |extent: usize| extent as f64 / 8.0 - 0.5;
        let x_0: Vec<f32> = (0..pixels)
            .map(|at| level + down * slope(at / SIDE) + right * slope(at % SIDE))
            .map(|value| value.clamp(-1.0, 1.0) as f32)
            .collect();
        let noise: Vec<f32> =
            draws[4..].chunks(12).map(|twelve| (twelve.iter().sum::<f64>() - 6.0) as f32).collect();
        let t = (draws[3] * T as f64).floor();
        let point = network.process.at_timestep(t).unwrap();
        rows.push(diffusion, &network, &point, &x_0, &noise).unwrap();
    }
    rows.finish(Device::Cpu).unwrap()
}

/// The settings of `loop.py`.
fn config(case: &Case) -> TrainConfig {
    let (beta_start, beta_end) = (1e-4, 0.02);
    let diffusion = DiffusionConfig {
        process: ProcessKind::Discrete,
        beta_schedule: case.schedule,
        timesteps: T,
        beta_start,
        beta_end,
        edm: EdmConfig::PAPER,
        prediction: case.prediction,
        variance: case.variance,
        loss: Some(case.loss),
        min_snr: case.min_snr,
    };
    let source: Result<Source, DataError> = "glyphs".parse();
    let data = DataConfig {
        greyscale: true,
        labels: false,
        ..DataConfig::from_source(&source.unwrap().to_string())
    };
    let kind = ddpm_data::ItemShape::Images { channels: 1, height: SIDE, width: SIDE };
    let mut model = ModelConfig::Unet(UnetConfig {
        image_size: [SIDE as i64; 2],
        in_channels: 1,
        hid_channels: 8,
        num_groups: 4,
        drop_rate: 0.0,
        ..crate::support::small_unet()
    });
    model.set_learned_variance(case.variance.is_learned());
    let config = TrainConfig {
        model,
        diffusion,
        batch_size: BATCH,
        accumulation: case.accumulation,
        optimizer: OptimizerConfig {
            lr: 5e-4,
            beta1: 0.9,
            beta2: 0.999,
            warmup: 20,
            grad_norm: 1.0,
        },
        ema_decay: 0.9999,
        ..TrainConfig::defaults("loop".to_owned(), data, Vec::new(), kind)
    };
    config.validate().unwrap();
    config
}

/// A trainer with the weights of `loop.py`.
fn trainer(config: &TrainConfig) -> Trainer {
    let mut trainer = Trainer::new(config, Device::Cpu).unwrap();
    let mut weights = trainer.weights();
    weights.sort_by(|(a, _), (b, _)| a.cmp(b));
    let made: Vec<(String, Tensor)> = weights
        .iter()
        .enumerate()
        .map(|(stream, (name, weight))| {
            let size = weight.size();
            let is_norm = name.ends_with("weight") && size.len() == 1;
            let values: Vec<f32> = uniform(stream as u64, weight.numel())
                .map(|u| 2.0 * u - 1.0)
                .map(|u| match size[..] {
                    [_] => u * 0.125 + f64::from(u8::from(is_norm)),
                    _ => {
                        let fans = (size[0] + size[1]) * size[2..].iter().product::<i64>();
                        u * (6.0 / fans as f64).sqrt()
                    }
                })
                .map(|value| value as f32)
                .collect();
            (name.clone(), Tensor::from_slice(&values).reshape(&size[..]))
        })
        .collect();
    let fresh = trainer.optimizer_state();
    trainer.restore(0, &made, &made, &fresh).unwrap();
    trainer
}

/// Asserts that |got − want| is at most a thousandth of want.
fn assert_follows(case: &str, what: &str, update: usize, got: f64, want: f64) {
    assert!(
        (got - want).abs() <= 1e-3 * want.abs(),
        "{case}, update {update}: {what} {got}, in Python {want}"
    );
}

#[test]
fn two_hundred_losses_are_those_of_a_loop_in_python() {
    for case in cases() {
        let config = config(&case);
        let mut trainer = trainer(&config);
        assert_eq!(case.losses.len(), 200);
        assert!(case.sensitivity < 1e-5, "rounding alone must not change the course");
        for (update, (loss, grad_norm)) in case.losses.iter().zip(&case.grad_norms).enumerate() {
            let report = trainer.step(&batch(update as u32, &config.diffusion)).unwrap();
            assert_follows(&case.name, "loss", update, report.loss, *loss);
            // Rounding affects norms more than losses, which are flat where norms are small.
            assert!(
                (report.grad_norm - grad_norm).abs() <= 1e-2 * grad_norm,
                "{}, update {update}: norm {}, in Python {grad_norm}",
                case.name,
                report.grad_norm
            );
        }
        let averaged = trainer.averaged_loss(&batch(200, &config.diffusion)).unwrap();
        assert_follows(&case.name, "averaged loss", 200, averaged, case.averaged);
    }
}

#[test]
fn a_step_in_parts_is_the_step_of_the_whole_batch() {
    for case in cases() {
        let step = |accumulation: usize| {
            let config = TrainConfig { accumulation, ..config(&case) };
            let mut trainer = trainer(&config);
            let report = trainer.step(&batch(0, &config.diffusion)).unwrap();
            (report, trainer.weights())
        };
        let (whole, whole_weights) = step(1);
        // Three does not divide eight: parts are weighted by their rows.
        for parts in [2, 3, 8] {
            let (report, weights) = step(parts);
            let close = |got: f64, want: f64| (got / want - 1.0).abs() < 1e-5;
            assert!(close(report.loss, whole.loss), "{}: {parts} parts", case.name);
            assert!(close(report.grad_norm, whole.grad_norm), "{}: {parts} parts", case.name);
            for ((name, got), (_, want)) in weights.iter().zip(&whole_weights) {
                // Adam's first step is lr · sign(g): rounding flips signs where g is nearly 0.
                let apart = (got - want).abs().gt(2e-5).to_kind(tch::Kind::Float);
                let share = apart.mean(tch::Kind::Float).double_value(&[]);
                assert!(share < 0.02, "{}: {parts} parts, {name}: {share}", case.name);
            }
        }
    }
}

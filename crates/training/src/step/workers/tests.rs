use ddpm_diffusion::Variance;
use ddpm_network::{ModelConfig, UnetConfig};

use super::*;
use crate::config::{Loss, Precision};
use crate::step::loss::Objective;

const ROWS: usize = 7;

const PASS: Pass = Pass {
    device: Device::Cpu,
    channels_last: false,
    precision: Precision::Fp32,
    objective: Objective { kind: Loss::Mse, variance: Variance::FixedLarge, timesteps: 1000 },
};

fn network(drop_rate: f64) -> Network {
    let config = ModelConfig::Unet(UnetConfig {
        image_size: [4, 4],
        in_channels: 1,
        out_channels: 1,
        hid_channels: 8,
        ch_multipliers: vec![1, 2],
        num_res_blocks: 1,
        apply_attn: vec![false, true],
        time_embedding_dim: None,
        drop_rate,
        attn_norm: true,
        block_size: 1,
        resample_with_conv: true,
        num_groups: 4,
        norm_eps: 1e-6,
        num_classes: None,
    });
    let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &config).unwrap();
    // In a new network the last layers of branches are nearly zero, which leaves little to compare.
    for (number, (_, parameter)) in network.parameters().iter().enumerate() {
        let shift = (Tensor::arange(parameter.numel() as i64, tch::kind::FLOAT_CPU)
            + number as f64)
            .sin()
            .reshape(parameter.size());
        let _ = tch::no_grad(|| parameter.shallow_clone().f_add_(&(shift * 0.1)).unwrap());
    }
    network
}

fn batch() -> Batch {
    let pixels = |phase: f64| {
        let at = Tensor::arange(ROWS as i64 * 16, tch::kind::FLOAT_CPU) + phase;
        at.sin().reshape([-1, 1, 4, 4])
    };
    Batch {
        step: 0,
        first: 0,
        x_t: pixels(0.0),
        timestep: (0..ROWS).map(|row| 100.0 * row as f32).collect(),
        class_labels: None,
        target: pixels(0.5),
        weights: Some((0..ROWS).map(|row| 1.0 + row as f32).collect()),
        variational: None,
    }
}

fn parameters(network: &Network) -> Vec<Tensor> {
    network.parameters().into_iter().map(|(_, parameter)| parameter).collect()
}

/// Computes the loss, and the gradients as one list, with a number of threads.
fn compute(threads: usize, network: &Network, accumulation: usize) -> (f64, Vec<f64>) {
    let parameters = parameters(network);
    clear_grads(&parameters).unwrap();
    let mut workers = start(network, ROWS / accumulation, threads).unwrap();
    let loss = workers.gradients(&batch(), accumulation, &parameters).unwrap();
    (loss, gradients(&parameters))
}

fn start(network: &Network, rows: usize, threads: usize) -> Option<Workers> {
    Workers::start(network, PASS, &StepDraws::new(1), rows, threads).unwrap()
}

fn gradients(parameters: &[Tensor]) -> Vec<f64> {
    let flat = |parameter: &Tensor| Vec::<f64>::try_from(parameter.grad().flatten(0, -1)).unwrap();
    parameters.iter().flat_map(flat).collect()
}

#[test]
fn workers_find_the_gradients_that_one_thread_finds_dropout_included() {
    let network = network(0.5);
    let loss = PASS.loss(&network, Some(&StepDraws::new(1)), &batch()).unwrap();
    loss.backward();
    let (want, expected) = (loss.double_value(&[]), gradients(&parameters(&network)));
    let norm = expected.iter().map(|g| g * g).sum::<f64>().sqrt();

    // Shares of unequal size, and more workers than the last parts have rows.
    for (threads, accumulation) in [(2, 1), (3, 1), (7, 1), (2, 3), (3, 2)] {
        let (loss, got) = compute(threads, &network, accumulation);
        assert!((loss - want).abs() < 1e-6 * want, "{threads} threads: {loss} is not {want}");
        let off = got.iter().zip(&expected).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
        assert!(off < 1e-5 * norm, "{threads} threads, {accumulation} parts: {off} of {norm}");
    }
}

#[test]
fn workers_that_draw_dropout_give_the_same_bits_every_time() {
    let network = network(0.5);
    let once = compute(3, &network, 2);
    assert_eq!(once, compute(3, &network, 2));
}

#[test]
fn the_masks_of_a_step_do_not_depend_on_the_steps_before_it() {
    let network = network(0.5);
    let parameters = parameters(&network);
    let mut workers = start(&network, ROWS, 2).unwrap();
    let mut loss = |step| {
        let batch = Batch { step, ..batch() };
        workers.gradients(&batch, 1, &parameters).unwrap()
    };
    let (first, second) = (loss(0), loss(1));
    assert_ne!(first, second);
    assert_eq!([loss(1), loss(0)], [second, first]);
}

#[test]
fn workers_see_every_change_of_the_weights() {
    let network = network(0.0);
    let parameters = parameters(&network);
    let mut workers = start(&network, ROWS, 2).unwrap();
    let mut loss = || workers.gradients(&batch(), 1, &parameters).unwrap();
    let before = loss();
    tch::no_grad(|| parameters.iter().for_each(|p| drop(p.shallow_clone().f_mul_scalar_(0.5))));
    assert_ne!(loss(), before);
}

#[test]
fn there_are_no_more_workers_than_threads_rows_and_memory_allow() {
    let network = network(0.0);
    let count = |pass: Pass, rows, threads| {
        Workers::start(&network, pass, &StepDraws::new(1), rows, threads)
            .unwrap()
            .map(|workers| workers.workers.len())
    };
    assert_eq!(count(PASS, ROWS, 1), None);
    assert_eq!(count(PASS, 1, 8), None);
    assert_eq!(count(PASS, 3, 8), Some(3));
    assert_eq!(count(PASS, ROWS, 2), Some(2));
    assert_eq!(count(Pass { device: Device::Cuda(0), ..PASS }, ROWS, 8), None);
}

//! Whole chains against ddpm-torch's, with its network and its noise.

use ddpm_diffusion::{
    Clip, GridSpec, Kernel, Noise, Parameterisation, Prediction, Program, Recipe, Sampler,
    Schedule, State, Variance,
};
use ddpm_network::{Inputs, ModelConfig, Network};
use tch::Tensor;

use crate::support::{EVAL, reference, reference_network, small_unet};

const LEN: usize = 3 * 16 * 16;

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::<f32>::try_from(tensor.flatten(0, -1)).expect("f32")
}

/// Runs a program on both samples of the reference with its noise: the kernel
/// draws noise by address, so each row is applied without it, and the given
/// noise is added with the row's own coefficient.
fn run(network: &Network, program: &Program, x_t: &Tensor, noises: &Tensor) -> Vec<f32> {
    let mut points: Vec<Vec<f32>> = (0..2).map(|sample| values(&x_t.get(sample))).collect();
    for (position, row) in program.rows().iter().enumerate() {
        let outputs = evaluate(network, &points, row.t);
        let mut silent = row.clone();
        silent.u.z = 0.0;
        silent.label.step = 1;
        silent.label.num_steps = 1;
        let silent = Program::new(vec![silent]).expect("a row of a program");
        for (sample, point) in points.iter_mut().enumerate() {
            let mut state = State::from_point(&silent, point.clone());
            let output = &outputs[sample * LEN..][..LEN];
            let row_silent = &silent.rows()[0];
            Kernel::new(LEN).advance(row_silent, 0, &mut state, &[output], &Noise::new(0), 0, None);
            let noise = values(&noises.get(position as i64).get(sample as i64));
            let scale = row.u.z as f32;
            *point = state.u().iter().zip(noise).map(|(u, z)| u + scale * z).collect();
        }
    }
    points.concat()
}

fn evaluate(network: &Network, points: &[Vec<f32>], t: f64) -> Vec<f32> {
    let _no_grad = tch::no_grad_guard();
    let sample = Tensor::from_slice(&points.concat()).reshape([2, 3, 16, 16]);
    let timestep = Tensor::from_slice(&[t as f32, t as f32]);
    values(&network.forward(&EVAL, &Inputs { sample, timestep, class_labels: None }))
}

fn assert_near(got: &[f32], want: &Tensor, what: &str) {
    let largest = got.iter().zip(values(want)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest <= 2e-4, "{what}: largest difference {largest}");
}

/// A sampler on a network that predicts eps.
fn program(schedule: &Schedule, sampler: &str, grid: GridSpec, num_steps: usize) -> Program {
    let network =
        Parameterisation::discrete(schedule.clone(), Prediction::Eps, Variance::FixedLarge);
    let sampler: Sampler = sampler.parse().expect("a sampler");
    let recipe = Recipe { grid, num_steps, clip: Clip::Unit, ..Recipe::new(sampler, &network) };
    recipe.compile(&network).expect("a program")
}

#[test]
fn ancestral_chains_of_ten_steps_agree_with_both_variances() {
    let (network, _) =
        reference_network(&ModelConfig::Unet(small_unet()), "unet_small.safetensors");
    let reference = reference("sampling.safetensors");
    let schedule = Schedule::linear(10, 1e-3, 0.5).expect("a schedule");
    for name in ["fixed-small", "fixed-large"] {
        let sampler = format!("ddpm:variance={name}");
        let program = program(&schedule, &sampler, GridSpec::Trailing, 10);
        let got = run(&network, &program, &reference["ddpm.x_T"], &reference["ddpm.noises"]);
        assert_near(&got, &reference[&format!("ddpm.{name}.sample")], name);
    }
}

#[test]
fn ddim_chains_of_ten_steps_agree_for_both_subsequences_and_three_etas() {
    let (network, _) =
        reference_network(&ModelConfig::Unet(small_unet()), "unet_small.safetensors");
    let reference = reference("sampling.safetensors");
    let schedule = Schedule::linear(1000, 1e-4, 0.02).expect("a schedule");
    let grids =
        [("linear", GridSpec::DdpmTorchLinear), ("quadratic", GridSpec::DdpmTorchQuadratic)];
    for (name, grid) in &grids {
        for eta in [0.0, 0.5, 1.0] {
            // The reference was declared fixed-large, which counts only at η = 1.
            let sampler = if eta < 1.0 { format!("ddim:eta={eta}") } else { "ddpm".to_owned() };
            let program = program(&schedule, &sampler, grid.clone(), 10);
            let got = run(&network, &program, &reference["ddim.x_T"], &reference["ddim.noises"]);
            let key = format!("ddim.{name}.eta{eta:.1}.sample");
            assert_near(&got, &reference[&key], &key);
        }
    }
}

//! Promises about what networks learn: every prediction, process and variance.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::sync::Arc;

use ddpm_data::Dataset;
use ddpm_diffusion::{Parameterisation, Prediction, Process, Recipe, Sampler, Start, Variance};
use ddpm_network::ModelConfig;
use ddpm_network::sample::{DrawRequest, draw, labels_in_turn};
use ddpm_training::{
    Batches, DataConfig, DiffusionConfig, Loss, ProcessKind, TrainConfig, Trainer,
};
use tch::Device;

/// Changes the default settings.
type Change<'a> = &'a dyn Fn(&mut DiffusionConfig);

/// A small network for the points of a toy set.
fn config(change: Change<'_>) -> (TrainConfig, Arc<Dataset>) {
    let data = DataConfig::from_source("gaussian8:4000");
    let dataset = ddpm_data::load(&data.source().unwrap(), &data.load_options(0)).unwrap();
    let classes = dataset.class_names().unwrap_or_default().to_vec();
    let mut config = TrainConfig {
        batch_size: 64,
        ..TrainConfig::defaults("test".to_owned(), data, classes, dataset.kind())
    };
    change(&mut config.diffusion);
    if let ModelConfig::Toy(toy) = &mut config.model {
        toy.mid_features = 32;
    }
    config.model.set_learned_variance(config.diffusion.variance.is_learned());
    config.validate().unwrap();
    (config, Arc::new(dataset))
}

fn edm(diffusion: &mut DiffusionConfig) {
    diffusion.process = ProcessKind::Edm;
    diffusion.prediction = Prediction::Edm;
    diffusion.edm.sigma_data = 1.0;
}

fn flow(diffusion: &mut DiffusionConfig) {
    diffusion.process = ProcessKind::Flow;
    diffusion.prediction = Prediction::Flow;
}

/// Trains a little, and returns the mean losses of the first and the last tenth of the steps.
fn losses((config, dataset): &(TrainConfig, Arc<Dataset>), steps: u32) -> (f64, f64) {
    let batches = Batches::new(config, Arc::clone(dataset)).unwrap();
    let mut trainer = Trainer::new(config, Device::Cpu).unwrap();
    let losses: Vec<f64> =
        (0..steps).map(|step| trainer.step(&batches.make(step).unwrap()).unwrap().loss).collect();
    let tenth = losses.len() / 10;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (mean(&losses[..tenth]), mean(&losses[losses.len() - tenth..]))
}

#[test]
fn every_prediction_and_variance_is_learned() {
    let prediction = |prediction| move |d: &mut DiffusionConfig| d.prediction = prediction;
    let variance = |variance| move |d: &mut DiffusionConfig| d.variance = variance;
    let bound = |d: &mut DiffusionConfig| d.loss = Some(Loss::Kl);
    let kinds: [(&str, Change<'_>); 9] = [
        ("eps", &prediction(Prediction::Eps)),
        ("x_0", &prediction(Prediction::X0)),
        ("mean", &prediction(Prediction::Mean)),
        ("v", &prediction(Prediction::V)),
        ("learned", &variance(Variance::Learned)),
        ("learned-range", &variance(Variance::LearnedRange)),
        ("eps, by the bound", &bound),
        ("edm", &edm),
        ("flow", &flow),
    ];
    for (name, change) in kinds {
        let (first, last) = losses(&config(change), 120);
        assert!(last < 0.9 * first, "{name}: {first} to {last}");
    }
}

/// ½ ‖F − target‖² weighted as in Karras et al. 2022, table 1: λ(σ) c_out² is 1.
#[test]
fn an_edm_batch_follows_the_papers_table() {
    let (config, dataset) = config(&edm);
    let batch = Batches::new(&config, Arc::clone(&dataset)).unwrap().make(3).unwrap();
    let mut levels = Vec::new();
    let [x_t, target]: [Vec<f32>; 2] =
        [&batch.x_t, &batch.target].map(|tensor| tensor.flatten(0, -1).try_into().unwrap());
    let rows = x_t.chunks(2).zip(target.chunks(2));
    for ((input, target), t) in rows.zip(&batch.timestep) {
        let sigma = (4.0 * f64::from(*t)).exp();
        levels.push(sigma.ln());
        let c_in = 1.0 / (sigma * sigma + 1.0).sqrt();
        let (c_skip, c_out) = (1.0 / (sigma * sigma + 1.0), sigma * c_in);
        for (input, target) in input.iter().zip(target) {
            // D = c_skip x + c_out F is a point of the data, which lies within 3.
            let x_0 = c_skip * f64::from(*input) / c_in + c_out * f64::from(*target);
            assert!(x_0.abs() < 3.0, "{x_0}");
            let noise = (f64::from(*input) / c_in - x_0) / sigma;
            assert!(noise.abs() < 6.0, "{noise}");
        }
    }
    let mean = levels.iter().sum::<f64>() / levels.len() as f64;
    // ln σ is N(−1.2, 1.2²): five standard errors over 64 items.
    assert!((mean + 1.2).abs() < 5.0 * 1.2 / 8.0, "{mean}");
}

#[test]
fn every_sampler_draws_from_a_network_of_its_process() {
    // LCM counts timesteps, which EDM does not have.
    let suits = |sampler: Sampler, network: &Parameterisation| {
        !matches!(sampler, Sampler::Lcm(_)) || !matches!(network.process, Process::Edm(_))
    };
    let discrete = |_: &mut DiffusionConfig| ();
    for change in [&discrete, &edm, &flow] as [Change<'_>; 3] {
        let (config, _) = config(change);
        let trainer = Trainer::new(&config, Device::Cpu).unwrap();
        let network = config.diffusion.parameterisation().unwrap();
        for sampler in Sampler::ALL.into_iter().filter(|sampler| suits(*sampler, &network)) {
            let start = if sampler.encodes() { Start::State } else { Start::Noise };
            let recipe = Recipe { num_steps: 20, start, ..Recipe::new(sampler, &network) };
            let program = recipe.compile(&network).unwrap_or_else(|e| panic!("{sampler}: {e}"));
            let initial = (start == Start::State).then(|| vec![vec![0.5, -0.5]]);
            let labels = labels_in_turn(config.classes.len(), 5);
            let request = DrawRequest {
                program: &program,
                seed: 1,
                count: 5,
                labels: labels.as_deref(),
                initial: initial.as_deref(),
            };
            let samples = draw(trainer.averaged(), Device::Cpu, &request).unwrap();
            assert_eq!(samples.len(), 10);
            assert!(samples.iter().all(|x| x.is_finite()), "{sampler}: {samples:?}");
        }
    }
}

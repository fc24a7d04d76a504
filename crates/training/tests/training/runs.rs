//! Promises of the training loop: exact resume, addressed draws, nothing lost when it stops.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;

use ddpm_data::Dataset;
use ddpm_diffusion::{BetaSchedule, Prediction, Variance};
use ddpm_network::{ModelConfig, UnetConfig};
use ddpm_training::{
    Batches, Checkpoint, DataConfig, Intervals, Loss, Optimizer, OptimizerConfig, Outcome,
    Prefetch, ProcessKind, RunDir, Signals, StepReport, TrainConfig, TrainError, Trainer, run,
};
use tch::{Device, Tensor};

/// A short run with the defaults of its data, and that data.
fn config(source: &str) -> (TrainConfig, Arc<Dataset>) {
    let data = DataConfig::from_source(source);
    let dataset = ddpm_data::load(&data.source().unwrap(), &data.load_options(0)).unwrap();
    let classes = dataset.class_names().unwrap_or_default().to_vec();
    let config = TrainConfig {
        batch_size: 16,
        steps: 6,
        intervals: Intervals { checkpoint_every: 2, sample_every: 0, keep: 2 },
        ..TrainConfig::defaults("test".to_owned(), data, classes, dataset.kind())
    };
    (config, Arc::new(dataset))
}

/// Pictures, classes, label dropout and dropout, in a network of two small levels.
fn conditional() -> (TrainConfig, Arc<Dataset>) {
    let (mut config, dataset) = config("glyphs:40");
    config.label_dropout = 0.5;
    if let ModelConfig::Unet(unet) = &mut config.model {
        *unet = UnetConfig { hid_channels: 8, num_groups: 4, drop_rate: 0.3, ..unet.clone() };
    }
    (config, dataset)
}

/// Trains to the end, or until `stop_after` steps are taken; returns the report of every step.
fn train(
    folder: &RunDir,
    (config, dataset): &(TrainConfig, Arc<Dataset>),
    mut trainer: Trainer,
    stop_after: Option<u32>,
) -> (Result<Outcome, TrainError>, Vec<StepReport>) {
    let (signals, mut reports) = (Signals::new(), Vec::new());
    let mut watch = |report: &StepReport| {
        reports.push(*report);
        if Some(report.step + 1) == stop_after {
            signals.request_stop(2);
        }
    };
    let dataset = Arc::clone(dataset);
    let outcome = run(folder, config, dataset, &mut trainer, &signals, &mut watch, None);
    (outcome, reports)
}

fn begin(folder: &Path, set: &(TrainConfig, Arc<Dataset>)) -> (RunDir, Trainer) {
    (RunDir::create(folder).unwrap(), Trainer::new(&set.0, Device::Cpu).unwrap())
}

/// Loads the newest checkpoint.
fn resume(run: &RunDir) -> Trainer {
    let checkpoint = run.newest_checkpoint().unwrap();
    checkpoint.trainer(Device::Cpu).unwrap()
}

fn values(tensors: &[(String, Tensor)]) -> Vec<(String, Vec<f32>)> {
    let flat = |tensor: &Tensor| Vec::try_from(tensor.flatten(0, -1)).unwrap();
    tensors.iter().map(|(name, tensor)| (name.clone(), flat(tensor))).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_run_resumed_after_any_step_gives_the_bits_of_one_that_was_never_interrupted() {
    let set = conditional();
    let folder = tempfile::tempdir().unwrap();
    let (whole, trainer) = begin(&folder.path().join("whole"), &set);
    let (_, expected) = train(&whole, &set, trainer, None);

    for stop_after in 1..set.0.steps {
        let (parts, trainer) = begin(&folder.path().join(format!("parts-{stop_after}")), &set);
        let (outcome, first) = train(&parts, &set, trainer, Some(stop_after));
        assert!(matches!(outcome.unwrap(), Outcome::Stopped(2, _)));
        let resumed = resume(&parts);
        assert_eq!(resumed.steps_done(), stop_after);
        let (outcome, second) = train(&parts, &set, resumed, None);
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));

        assert_eq!([first, second].concat(), expected);
        let [ours, theirs] = [&parts, &whole].map(resume);
        assert_eq!(values(&ours.weights()), values(&theirs.weights()));
        assert_eq!(values(&ours.averaged().parameters()), values(&theirs.averaged().parameters()));
        assert_eq!(values(&ours.optimizer_state()), values(&theirs.optimizer_state()));
    }
}

#[test]
fn resuming_a_finished_run_changes_nothing() {
    let set = config("gaussian8:100");
    let folder = tempfile::tempdir().unwrap();
    let (run, trainer) = begin(folder.path(), &set);
    train(&run, &set, trainer, None).0.unwrap();
    let resumed = resume(&run);

    let (outcome, reports) = train(&run, &set, resumed, None);

    assert_eq!(outcome.unwrap(), Outcome::Finished(run.checkpoints().join("step-0000006")));
    assert!(reports.is_empty());
}

#[test]
fn the_newest_checkpoints_are_kept_and_nothing_else_is_left() {
    let set = config("gaussian8:100");
    let folder = tempfile::tempdir().unwrap();
    let (run, trainer) = begin(folder.path(), &set);
    train(&run, &set, trainer, Some(5)).0.unwrap();

    assert_eq!(names(&run.checkpoints()), ["step-0000004", "step-0000005"]);
    let checkpoint = Checkpoint::find(folder.path()).unwrap();
    assert_eq!(checkpoint.state().config, set.0);
    let parts = [
        "SHA256SUMS",
        "ema.safetensors",
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    ];
    assert_eq!(names(checkpoint.folder()), parts);
}

#[test]
fn the_loss_falls_on_the_toy() {
    let (mut config, dataset) = config("gaussian8:1000");
    config.steps = 200;
    config.batch_size = 200;
    let set = (config, dataset);
    let folder = tempfile::tempdir().unwrap();
    let (run, trainer) = begin(folder.path(), &set);
    let (outcome, reports) = train(&run, &set, trainer, None);
    outcome.unwrap();

    let mean = |reports: &[StepReport]| {
        reports.iter().map(|report| report.loss).sum::<f64>() / reports.len() as f64
    };
    // Predicting 0 costs 1: the noise has variance 1.
    assert!(mean(&reports[180..]) < 0.4, "{}", mean(&reports[180..]));
    assert!(mean(&reports[180..]) < 0.5 * mean(&reports[..5]));
}

#[test]
fn training_that_diverges_stops_and_keeps_its_last_checkpoint() {
    let (mut config, dataset) = config("gaussian8:100");
    config.optimizer.lr = 1e38;
    config.intervals.checkpoint_every = 1;
    let set = (config, dataset);
    let folder = tempfile::tempdir().unwrap();
    let (run, trainer) = begin(folder.path(), &set);
    Checkpoint::save(&run, &set.0, &trainer, None).unwrap();

    let (outcome, reports) = train(&run, &set, trainer, None);

    // The first update ruins the weights, so they are not saved although a checkpoint is due.
    let error = outcome.unwrap_err();
    assert!(matches!(error, TrainError::NotFinite { step: 1, .. }), "{error}");
    assert!(error.to_string().contains("earlier checkpoints are kept"), "{error}");
    assert_eq!(reports.len(), 1);
    let kept = run.newest_checkpoint().unwrap();
    assert_eq!(kept.state().steps_done, 0);
    resume(&run);
}

#[test]
fn batches_do_not_depend_on_who_makes_them_or_when() {
    let set = conditional();
    let batches = || Batches::new(&set.0, Arc::clone(&set.1)).unwrap();
    let alone: Vec<_> = (0..8).map(|step| batches().make(step).unwrap()).collect();
    let ahead = |first| Prefetch::start(batches(), first, 8).map(Result::unwrap);

    assert_eq!(ahead(0).collect::<Vec<_>>(), alone);
    assert_eq!(ahead(5).collect::<Vec<_>>(), alone[5..]);
    // Dropping one that waits ends its thread.
    drop(Prefetch::start(batches(), 0, u32::MAX));
}

#[test]
fn labels_are_the_items_own_or_none_at_the_requested_rate() {
    let (config, dataset) = conditional();
    let batches = Batches::new(&config, dataset).unwrap();
    let labels: Vec<i64> =
        (0..100).flat_map(|step| batches.make(step).unwrap().class_labels.unwrap()).collect();
    let none = labels.iter().filter(|label| **label == 16).count();
    // Binomial with n = 1600 and p = 0.5: mean 800, standard deviation 20; five of those.
    assert!(none.abs_diff(800) < 100, "{none}");
    assert!(labels.iter().all(|label| (0..=16).contains(label)));
}

#[test]
fn three_adam_steps_with_warm_up_are_those_of_the_formula() {
    let config = OptimizerConfig { lr: 0.1, beta1: 0.9, beta2: 0.99, warmup: 2, grad_norm: 0.0 };
    let start = [1.0_f32, -2.0, 3.0];
    let parameter = Tensor::from_slice(&start).set_requires_grad(true);
    let named = vec![("p".to_owned(), parameter.shallow_clone())];
    let mut optimizer = Optimizer::new(config, named).unwrap();
    let gradients = [[0.5, -8.0, 1e-3], [-0.25, 2.0, 4.0], [3.0, 0.0, -1.0]];

    let (mut p, mut m, mut v) = (start.map(f64::from), [0.0; 3], [0.0; 3]);
    for (step, gradient) in gradients.iter().enumerate() {
        optimizer.zero_grad().unwrap();
        // The gradient of Σ g·p is g.
        let weights = Tensor::from_slice(&gradient.map(|g| g as f32));
        (&parameter * weights).sum(tch::Kind::Float).backward();
        let norm = optimizer.clip().unwrap();
        optimizer.step(step as u32).unwrap();

        let expected: f64 = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
        assert!((norm / expected - 1.0).abs() < 1e-6, "{norm} against {expected}");
        let (lr, k) = ([0.05, 0.1, 0.1][step], step as i32 + 1);
        for i in 0..3 {
            m[i] = 0.9 * m[i] + 0.1 * gradient[i];
            v[i] = 0.99 * v[i] + 0.01 * gradient[i] * gradient[i];
            let (m_hat, v_hat) = (m[i] / (1.0 - 0.9_f64.powi(k)), v[i] / (1.0 - 0.99_f64.powi(k)));
            p[i] -= lr * m_hat / (v_hat.sqrt() + 1e-8);
        }
        let got: Vec<f32> = Vec::try_from(parameter.detach()).unwrap();
        for (got, want) in got.iter().zip(p) {
            assert!((f64::from(*got) - want).abs() < 1e-5, "step {step}: {got} against {want}");
        }
    }
}

#[test]
fn settings_that_cannot_be_trained_are_refused_with_an_alternative() {
    let (good, _) = config("gaussian8:100");
    let message = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = good.clone();
        change(&mut config);
        config.validate().unwrap_err().to_string()
    };
    let jsd = message(&|config| config.diffusion.beta_schedule = BetaSchedule::Jsd);
    assert!(jsd.contains("predicts v or x_0"), "{jsd}");
    let learned = message(&|config| config.diffusion.variance = Variance::Learned);
    assert!(learned.contains("outputs [4]"), "{learned}");
    let hybrid = message(&|config| config.diffusion.loss = Some(Loss::Hybrid));
    assert!(hybrid.contains("use mse or kl"), "{hybrid}");
    let edm = message(&|config| {
        config.diffusion.process = ProcessKind::Edm;
        config.diffusion.prediction = Prediction::V;
    });
    assert!(edm.contains("predicts edm"), "{edm}");
    let lr = message(&|config| config.optimizer.lr = f64::NAN);
    assert_eq!(lr, "lr must be above 0 and finite, got NaN");
    let name = message(&|config| config.name = "My Model".to_owned());
    assert!(name.contains("a-z 0-9"), "{name}");

    let mut v = good.clone();
    v.diffusion.beta_schedule = BetaSchedule::Jsd;
    v.diffusion.prediction = Prediction::V;
    v.validate().unwrap();
}

#[test]
fn data_of_another_shape_or_with_other_classes_is_refused() {
    let (points, _) = config("gaussian8:100");
    let (pictures, glyphs) = config("glyphs:10");
    let error = Batches::new(&points, Arc::clone(&glyphs)).unwrap_err().to_string();
    assert!(error.contains("[3, 16, 16]") && error.contains("[2]"), "{error}");
    let mut fewer = pictures;
    fewer.classes.pop();
    assert!(Batches::new(&fewer, Arc::clone(&glyphs)).unwrap_err().to_string().contains("classes"));
    fewer.classes = glyphs.class_names().unwrap().to_vec();
    fewer.data.items = Some(9);
    let error = Batches::new(&fewer, glyphs).unwrap_err().to_string();
    assert!(error.contains("data has 10 items, and had 9 when the run began"), "{error}");
}

#[test]
fn a_new_run_needs_a_folder_without_a_run_and_a_resumed_one_a_folder_with_one() {
    let set = config("gaussian8:100");
    let folder = tempfile::tempdir().unwrap();
    let error = RunDir::open(folder.path()).unwrap_err().to_string();
    assert!(error.contains("no checkpoint to resume from"), "{error}");

    let (run, trainer) = begin(folder.path(), &set);
    train(&run, &set, trainer, None).0.unwrap();
    let error = RunDir::create(folder.path()).unwrap_err().to_string();
    assert!(error.contains("--resume"), "{error}");
}

#[test]
fn a_damaged_checkpoint_is_an_error_that_names_the_file() {
    let set = config("gaussian8:100");
    let folder = tempfile::tempdir().unwrap();
    let (run, trainer) = begin(folder.path(), &set);
    train(&run, &set, trainer, None).0.unwrap();
    let checkpoint = run.newest_checkpoint().unwrap();

    let weights = checkpoint.folder().join("weights.safetensors");
    let whole = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &whole[..whole.len() / 2]).unwrap();
    let error = checkpoint.trainer(Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("weights.safetensors"), "{error}");

    std::fs::write(checkpoint.folder().join("state.json"), b"{").unwrap();
    let error = run.newest_checkpoint().unwrap_err().to_string();
    assert!(
        error.contains("state.json") && error.contains("the checkpoint before it is"),
        "{error}"
    );
}

#[test]
fn the_log_has_a_line_every_fifty_steps_whatever_happened_between() {
    let (mut config, dataset) = config("gaussian8:100");
    config.steps = 150;
    config.intervals.checkpoint_every = 60;
    let set = (config, dataset);
    let folder = tempfile::tempdir().unwrap();
    let (run, trainer) = begin(folder.path(), &set);
    train(&run, &set, trainer, Some(110)).0.unwrap();
    // As if the machine had gone down before that checkpoint: step 100 will be logged again.
    std::fs::remove_dir_all(run.checkpoints().join("step-0000110")).unwrap();
    let resumed = resume(&run);
    train(&run, &set, resumed, None).0.unwrap();

    let log = std::fs::read_to_string(run.metrics()).unwrap();
    let step =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["step"].as_u64();
    assert_eq!(log.lines().map(step).collect::<Vec<_>>(), [Some(50), Some(100), Some(150)]);
}

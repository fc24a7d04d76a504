//! Promises about a data set on the network's device: it changes nothing that a run computes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::Path;
use std::sync::Arc;

use ddpm_data::Dataset;
use ddpm_diffusion::{Prediction, Variance};
use ddpm_network::{ModelConfig, UnetConfig};
use ddpm_training::{
    Batches, DataConfig, DataOn, DiffusionConfig, Intervals, Loss, ProcessKind, RunDir, Signals,
    StepReport, TrainConfig, Trainer, WatchConfig, run,
};
use tch::Device;

type Change<'a> = &'a dyn Fn(&mut DiffusionConfig);

/// Labelled pictures, mirrored at random, some of them held out; batches in three uneven parts.
fn config(change: impl Fn(&mut DiffusionConfig)) -> (TrainConfig, Arc<Dataset>) {
    let data = DataConfig {
        image_size: Some(8),
        flip: Some(true),
        ..DataConfig::from_source("glyphs:50")
    };
    let dataset = ddpm_data::load(&data.source().unwrap(), &data.load_options(0)).unwrap();
    let classes = dataset.class_names().unwrap_or_default().to_vec();
    let mut config = TrainConfig {
        batch_size: 16,
        accumulation: 3,
        steps: 4,
        label_dropout: 0.5,
        intervals: Intervals { checkpoint_every: 2, sample_every: 0, keep: 4 },
        watch: WatchConfig { held_out: 5, ..WatchConfig::default() },
        ..TrainConfig::defaults("test".to_owned(), data, classes, dataset.kind())
    };
    change(&mut config.diffusion);
    if let ModelConfig::Unet(unet) = &mut config.model {
        let (hid_channels, num_groups, drop_rate) = (8, 4, 0.3);
        *unet = UnetConfig { hid_channels, num_groups, drop_rate, ..unet.clone() };
        if config.diffusion.variance.is_learned() {
            unet.out_channels *= 2;
        }
    }
    config.validate().unwrap();
    (config, Arc::new(dataset))
}

fn batches(set: &(TrainConfig, Arc<Dataset>), data_on: DataOn) -> Batches {
    let config = TrainConfig { data_on, ..set.0.clone() };
    Batches::new(&config, Arc::clone(&set.1)).unwrap().on_device(Device::Cpu).unwrap()
}

#[test]
fn a_batch_has_the_same_bits_wherever_it_is_made() {
    let predicts =
        |prediction| move |diffusion: &mut DiffusionConfig| diffusion.prediction = prediction;
    let hybrid = |diffusion: &mut DiffusionConfig| diffusion.variance = Variance::LearnedRange;
    let bound = |diffusion: &mut DiffusionConfig| diffusion.loss = Some(Loss::Kl);
    let min_snr = |diffusion: &mut DiffusionConfig| diffusion.min_snr = Some(5.0);
    let edm = |diffusion: &mut DiffusionConfig| {
        (diffusion.process, diffusion.prediction) = (ProcessKind::Edm, Prediction::Edm);
    };
    let flow = |diffusion: &mut DiffusionConfig| {
        (diffusion.process, diffusion.prediction) = (ProcessKind::Flow, Prediction::Flow);
    };
    let changes: [(&str, Change<'_>); 9] = [
        ("eps", &predicts(Prediction::Eps)),
        ("x_0", &predicts(Prediction::X0)),
        ("v", &predicts(Prediction::V)),
        ("mean", &predicts(Prediction::Mean)),
        ("hybrid", &hybrid),
        ("kl", &bound),
        ("min-SNR", &min_snr),
        ("edm", &edm),
        ("flow", &flow),
    ];
    for (name, change) in changes {
        let set = config(change);
        let [host, device] = [DataOn::Host, DataOn::Device].map(|place| batches(&set, place));
        for step in 0..4 {
            assert_eq!(host.make(step).unwrap(), device.make(step).unwrap(), "{name}, step {step}");
        }
        let [on_host, on_device] = [&host, &device]
            .map(|batches| batches.held_out().map(Result::unwrap).collect::<Vec<_>>());
        assert_eq!(on_host, on_device, "{name}, held out");
        assert_eq!(on_host.len(), 1);
    }
}

/// Trains, or resumes the run in the folder, until `steps` steps are taken.
fn train(
    folder: &Path,
    (config, dataset): &(TrainConfig, Arc<Dataset>),
    data_on: DataOn,
    steps: u32,
) -> Vec<StepReport> {
    let run_dir = match RunDir::open(folder) {
        Ok(run_dir) => run_dir,
        Err(_) => RunDir::create(folder).unwrap(),
    };
    let mut trainer = match run_dir.newest_checkpoint() {
        Ok(checkpoint) => checkpoint.trainer(Device::Cpu).unwrap(),
        Err(_) => Trainer::new(config, Device::Cpu).unwrap(),
    };
    let config = TrainConfig { data_on, steps, ..config.clone() };
    let mut reports = Vec::new();
    let mut watch = |report: &StepReport| reports.push(*report);
    run(&run_dir, &config, Arc::clone(dataset), &mut trainer, &Signals::new(), &mut watch, None)
        .unwrap();
    reports
}

#[test]
fn a_run_resumes_with_the_same_bits_when_its_data_moves() {
    let set = config(|diffusion| diffusion.variance = Variance::LearnedRange);
    let folder = tempfile::tempdir().unwrap();
    let [whole, moved] = ["whole", "moved"].map(|name| folder.path().join(name));

    let expected = train(&whole, &set, DataOn::Host, 4);
    let first = train(&moved, &set, DataOn::Device, 2);
    let second = train(&moved, &set, DataOn::Host, 3);
    let third = train(&moved, &set, DataOn::Device, 4);

    assert_eq!([first, second, third].concat(), expected);
}

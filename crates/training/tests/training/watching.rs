//! Promises about held-out items.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::sync::Arc;

use ddpm_data::Dataset;
use ddpm_training::{Batches, DataConfig, Loss, TrainConfig, Trainer, WatchConfig};
use tch::Device;

/// Points, some of them held out; with the bound as the loss, because its batches contain x_0.
fn config(held_out: usize, batch_size: usize) -> (TrainConfig, Arc<Dataset>) {
    let data = DataConfig { labels: false, ..DataConfig::from_source("swissroll:53") };
    let dataset = ddpm_data::load(&data.source().unwrap(), &data.load_options(0)).unwrap();
    let mut config = TrainConfig {
        batch_size,
        watch: WatchConfig { held_out, ..WatchConfig::default() },
        ..TrainConfig::defaults("test".to_owned(), data, Vec::new(), dataset.kind())
    };
    config.diffusion.loss = Some(Loss::Kl);
    (config, Arc::new(dataset))
}

/// The bits of every x_0 of a batch.
fn points(batch: &ddpm_training::Batch) -> Vec<[u32; 2]> {
    let x_0 = &batch.variational.as_ref().unwrap().x_0;
    let numbers: Vec<f32> = x_0.flatten(0, -1).try_into().unwrap();
    let (points, _) = numbers.as_chunks::<2>();
    points.iter().map(|point| point.map(f32::to_bits)).collect()
}

#[test]
fn held_out_items_are_never_trained_on_and_all_others_are() {
    let (config, dataset) = config(7, 23);
    let batches = Batches::new(&config, Arc::clone(&dataset)).unwrap();
    let held_out: Vec<_> = batches.held_out().flat_map(|batch| points(&batch.unwrap())).collect();
    // Two batches of 23 are one epoch of the 46 others.
    let trained: Vec<_> = (0..4).flat_map(|step| points(&batches.make(step).unwrap())).collect();

    assert_eq!((held_out.len(), batches.num_trained()), (7, 46));
    let [held_out, trained] = [held_out, trained].map(BTreeSet::from_iter);
    assert!(held_out.is_disjoint(&trained));
    assert_eq!((held_out.len(), trained.len()), (7, 46));
}

#[test]
fn the_held_out_loss_depends_on_the_weights_alone() {
    let (small, dataset) = config(7, 3);
    let (large, _) = config(7, 50);
    let trainer = Trainer::new(&small, Device::Cpu).unwrap();
    let losses = |config: &TrainConfig| {
        let batches = Batches::new(config, Arc::clone(&dataset)).unwrap();
        [(); 2].map(|()| trainer.held_out_loss(batches.held_out()).unwrap())
    };
    // Timesteps and noise stay the same.
    let [first, again] = losses(&small);
    assert_eq!(first, again);
    assert!(first.is_finite());
    // The batch size affects only rounding.
    let in_larger_batches = losses(&large)[0];
    assert!((in_larger_batches / first - 1.0).abs() < 1e-5, "{in_larger_batches}, {first}");
}

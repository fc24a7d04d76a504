//! Promises about what a run shows: the log, event files, pictures, the items held out.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ddpm_exporter::data::{self, Dataset};
use ddpm_exporter::train::{Batches, DataConfig, Loss, TrainConfig, Trainer, WatchConfig};
use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use serde_json::Value;
use tch::Device;

/// Points of which some are held out. By the bound, because its batches name their x_0.
fn config(held_out: usize, batch_size: usize) -> (TrainConfig, Arc<Dataset>) {
    let data = DataConfig { labels: false, ..DataConfig::of("swissroll:53") };
    let dataset = data::load(&data.source().unwrap(), &data.load_options(0)).unwrap();
    let mut config = TrainConfig {
        batch_size,
        watch: WatchConfig { held_out, ..WatchConfig::default() },
        ..TrainConfig::defaults("test".to_owned(), data, Vec::new(), dataset.kind())
    };
    config.diffusion.loss = Some(Loss::Kl);
    (config, Arc::new(dataset))
}

/// The bits of every point that a batch is made of.
fn points(batch: &ddpm_exporter::train::Batch) -> Vec<[u32; 2]> {
    let x_0 = &batch.variational.as_ref().unwrap().x_0;
    let numbers: Vec<f32> = x_0.flatten(0, -1).try_into().unwrap();
    let (points, _) = numbers.as_chunks::<2>();
    points.iter().map(|point| point.map(f32::to_bits)).collect()
}

#[test]
fn what_is_held_out_is_never_trained_on_and_nothing_else_is_missing() {
    let (config, dataset) = config(7, 23);
    let batches = Batches::new(&config, Arc::clone(&dataset)).unwrap();
    let held_out: Vec<_> = batches.held_out().flat_map(|batch| points(&batch.unwrap())).collect();
    // Two batches of 23 are one epoch of the 46 others.
    let trained: Vec<_> = (0..4).flat_map(|step| points(&batches.make(step).unwrap())).collect();

    assert_eq!((held_out.len(), batches.trained()), (7, 46));
    let [held_out, trained] = [held_out, trained].map(BTreeSet::from_iter);
    assert!(held_out.is_disjoint(&trained));
    assert_eq!((held_out.len(), trained.len()), (7, 46));
}

#[test]
fn the_loss_on_what_is_held_out_is_of_the_weights_alone() {
    let (small, dataset) = config(7, 3);
    let (large, _) = config(7, 50);
    let trainer = Trainer::new(&small, Device::Cpu).unwrap();
    let judge = |config: &TrainConfig| {
        let batches = Batches::new(config, Arc::clone(&dataset)).unwrap();
        [(); 2].map(|()| trainer.judge_all(batches.held_out()).unwrap())
    };
    // Timesteps and noise stay the same.
    let [first, again] = judge(&small);
    assert_eq!(first, again);
    assert!(first.is_finite());
    // How many go through the network at once changes nothing but rounding.
    let of_larger_batches = judge(&large)[0];
    assert!((of_larger_batches / first - 1.0).abs() < 1e-5, "{of_larger_batches}, {first}");
}

fn lines(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The messages of an event file; checksums are looked at where they are written.
fn records(bytes: &[u8]) -> Vec<&[u8]> {
    let (mut rest, mut found) = (bytes, Vec::new());
    while !rest.is_empty() {
        let len = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        found.push(&rest[12..12 + len]);
        rest = &rest[16 + len..];
    }
    found
}

#[test]
fn a_run_leaves_a_log_events_scatter_plots_their_animation_and_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = Command::new(env!("CARGO_BIN_EXE_ddpm-exporter"))
        .env("OMP_NUM_THREADS", "1")
        .args(["train", "--data", "gaussian8:500", "--batch-size", "50", "--device", "cpu"])
        .args(["--steps", "25", "--log-every", "10", "--sample-every", "10", "--samples", "300"])
        .args(["--held-out", "40", "--held-out-every", "10", "--no-export"])
        .args(["--out", run.to_str().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");

    let fields = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let steps = lines(&run);
    let trained: Vec<&Value> = steps.iter().filter(|line| line["loss"].is_number()).collect();
    assert_eq!(trained.iter().map(|line| &line["step"]).collect::<Vec<_>>(), [10, 20]);
    let mut expected = ["step", "loss", "grad_norm", "lr", "items_per_s", "epoch", "seconds"];
    expected.sort_unstable();
    assert_eq!(BTreeSet::from_iter(fields(trained[0])), expected.map(str::to_owned).into());
    // 20 steps of 50 of 460 items.
    assert!((trained[1]["epoch"].as_f64().unwrap() - 1000.0 / 460.0).abs() < 1e-12);
    let judged: Vec<&Value> =
        steps.iter().filter(|line| line["held_out_loss"].is_number()).collect();
    assert_eq!(judged.iter().map(|line| &line["step"]).collect::<Vec<_>>(), [10, 20, 25]);

    let events: Vec<_> = fs::read_dir(run.join("tensorboard")).unwrap().collect();
    let event_file = events[0].as_ref().unwrap().path();
    assert!(event_file.to_str().unwrap().contains("events.out.tfevents."));
    let bytes = fs::read(&event_file).unwrap();
    let tagged = |tag: &[u8]| {
        let holds = |record: &&&[u8]| record.windows(tag.len()).any(|window| window == tag);
        records(&bytes).iter().filter(holds).count()
    };
    assert_eq!(tagged(b"train/loss"), 2);
    assert_eq!(tagged(b"held_out/loss"), 3);
    assert_eq!(tagged(b"samples"), 3);

    for step in ["0000010", "0000020", "0000025"] {
        let picture = image::open(run.join(format!("samples/step-{step}.png"))).unwrap();
        assert_eq!((picture.width(), picture.height()), (512, 512));
    }
    let gif = fs::read(run.join("samples/training.gif")).unwrap();
    let frames = GifDecoder::new(Cursor::new(gif)).unwrap().into_frames().count();
    assert_eq!(frames, 3);

    let last = ["steps       25, 25 of them in", "held out    ", "training.gif", "--logdir"];
    assert!(last.iter().all(|words| said.contains(words)), "{said}");
}

//! Promises about what a run records: log, event files, pictures.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::AnimationDecoder;
use image::codecs::gif::GifDecoder;
use serde_json::Value;

use crate::support::{exporter, stderr, succeed, text};

fn lines(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Splits an event file into its messages; the writer's tests check the checksums.
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
fn a_run_leaves_a_log_events_scatter_plots_their_animation_and_a_summary() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = succeed(
        exporter(&["train", "--data", "gaussian8:500", "--batch-size", "50", "--device", "cpu"])
            .args(["--steps", "25", "--log-every", "10", "--sample-every", "10"])
            .args(["--samples", "300", "--held-out", "40", "--held-out-every", "10"])
            .args(["--no-export", "--out", text(&run)]),
    );
    let printed = stderr(&output);

    let fields = |line: &Value| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let steps = lines(&run);
    let trained: Vec<&Value> = steps.iter().filter(|line| line["loss"].is_number()).collect();
    assert_eq!(trained.iter().map(|line| &line["step"]).collect::<Vec<_>>(), [10, 20]);
    let mut expected = ["step", "loss", "grad_norm", "lr", "items_per_s", "epoch", "seconds"];
    expected.sort_unstable();
    assert_eq!(BTreeSet::from_iter(fields(trained[0])), expected.map(str::to_owned).into());
    // 20 steps of 50 items each, out of 460.
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

    let summary = ["steps       25, 25 of them in", "held out    ", "training.gif", "--logdir"];
    assert!(summary.iter().all(|part| printed.contains(part)), "{printed}");
}

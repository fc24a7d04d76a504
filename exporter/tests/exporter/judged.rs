//! Promises about judging samples during training: scores equal those of `eval`, every record of
//! the run has them, and training is the same with and without them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ddpm_training::{
    DataConfig, EvalConfig, Judge, JudgeError, Outcome, RunDir, Score, Signals, TrainConfig,
    Trainer,
};
use serde_json::Value;
use tch::Device;

use crate::support::{self, stderr, succeed, text};

/// Points, with few timesteps.
const TOY: &[&str] =
    &["--data", "gaussian8:400", "--batch-size", "40", "--timesteps", "8", "--beta-end", "0.5"];
/// Tiny pictures and a tiny network with dropout, with few timesteps.
const PICTURES: &[&str] = &[
    "--data",
    "glyphs:40",
    "--batch-size",
    "4",
    "--hid-channels",
    "8",
    "--num-groups",
    "4",
    "--ch-multipliers",
    "1",
    "--num-res-blocks",
    "1",
    "--apply-attn",
    "false",
    "--drop-rate",
    "0.2",
    "--timesteps",
    "8",
    "--beta-end",
    "0.5",
];
const COMMON: &[&str] = &["--sample-every", "0", "--device", "cpu"];

fn exporter(arguments: &[&[&str]]) -> Command {
    let mut command = support::exporter(&arguments.concat());
    command.env_remove("DDPM_CACHE");
    command
}

/// Trains, and returns what is printed to stderr.
fn train(arguments: &[&[&str]]) -> String {
    let begin: &[&[&str]] = &[&["train", "--no-export"]];
    stderr(&succeed(&mut exporter(&[begin, arguments, &[COMMON]].concat())))
}

/// Returns the report of `eval`.
fn eval(arguments: &[&str]) -> Value {
    let flags = ["--json", "--device", "cpu"];
    let output = succeed(&mut exporter(&[&["eval"], arguments, &flags]));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the lines of the log with scores of samples.
fn judged(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["eval"].is_object()).collect()
}

fn steps(run: &Path) -> Vec<u64> {
    judged(run).iter().map(|line| line["step"].as_u64().unwrap()).collect()
}

/// Returns weights, averages and optimiser state after `step` steps.
fn state(run: &Path, step: u32) -> Vec<Vec<u8>> {
    let folder = run.join(format!("checkpoints/step-{step:07}"));
    let files = ["weights", "ema", "optimizer"].map(|name| format!("{name}.safetensors"));
    files.iter().map(|name| fs::read(folder.join(name)).unwrap()).collect()
}

#[test]
fn judging_leaves_the_trained_network_unchanged_even_after_a_resume() {
    let folder = tempfile::tempdir().unwrap();
    let [plain, whole, halves] = ["plain", "whole", "halves"].map(|name| folder.path().join(name));
    let judge = ["--eval-every", "2", "--eval-count", "20", "--eval-steps", "2", "--no-cache"];
    let kept = ["--checkpoint-every", "3", "--keep", "9"];
    train(&[PICTURES, &kept, &["--steps", "7", "--out", text(&plain)]]);
    train(&[PICTURES, &kept, &judge, &["--steps", "7", "--out", text(&whole)]]);
    train(&[PICTURES, &kept, &judge, &["--steps", "3", "--out", text(&halves)]]);
    train(&[&["--resume", text(&halves), "--steps", "7", "--no-cache"]]);
    for step in [3, 6, 7] {
        assert_eq!(state(&plain, step), state(&whole, step), "after step {step}");
        assert_eq!(state(&plain, step), state(&halves, step), "resumed, after step {step}");
    }
    assert_eq!(steps(&plain), [0; 0]);
    assert_eq!(steps(&whole), [2, 4, 6, 7]);
    // The first half was also judged at its end.
    assert_eq!(steps(&halves), [2, 3, 4, 6, 7]);
    let scores = |run: &Path, step: u64| {
        let lines = judged(run);
        lines.iter().find(|line| line["step"] == step).unwrap()["eval"].clone()
    };
    assert_eq!(scores(&whole, 6), scores(&halves, 6));
}

#[test]
fn pictures_get_the_scores_that_eval_gives_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let [run, cache] = ["run", "cache"].map(|name| folder.path().join(name));
    let judge = ["--eval-every", "2", "--eval-count", "30", "--cache", text(&cache), "--seed", "5"];
    let sampler = ["--eval-sampler", "ddim:eta=0.5", "--eval-steps", "3"];
    let printed = train(&[PICTURES, &judge, &sampler, &["--steps", "4", "--out", text(&run)]]);

    let lines = judged(&run);
    let conditions = &lines[1]["eval_conditions"];
    assert_eq!((&conditions["count"], &conditions["num_steps"]), (&30.into(), &3.into()));
    assert!(conditions["through"].as_str().unwrap().starts_with("ddpm-small "), "{conditions}");
    let flags = ["--sampler", "ddim:eta=0.5", "--steps", "3", "--seed", "5", "--count", "30"];
    let report = eval(&[&[text(&run)], &flags[..], &["--cache", text(&cache)]].concat());
    assert_eq!(report["reference"]["cached"], true, "features of the data were cached");
    let scores = &lines[1]["eval"];
    assert_eq!(scores["frechet_distance"], report["frechet_distance"]);
    assert_eq!(scores["kid"], report["kid"]["mean"]);
    assert_eq!(scores.get("fid"), None, "the built-in extractor gives no FID");

    let number = |line: &Value| line["eval"]["frechet_distance"].as_f64().unwrap();
    let (first, last) = (number(&lines[0]), number(&lines[1]));
    let best = if first < last {
        format!("{first:.6} after step 2, {last:.6} after step 4")
    } else {
        format!("{last:.6} after step 4")
    };
    assert!(
        printed.contains(&format!("step 4: Fréchet distance (no FID) {last:.6}, KID ")),
        "{printed}"
    );
    assert!(
        printed.contains(&format!("best        Fréchet distance (no FID) {best} (30 samples")),
        "{printed}"
    );
    let events = fs::read_dir(run.join("tensorboard")).unwrap().next().unwrap().unwrap().path();
    let tag = b"eval/frechet_distance";
    let found = fs::read(events).unwrap().windows(tag.len()).filter(|bytes| bytes == tag).count();
    assert_eq!(found, 2);
}

#[test]
fn points_get_distances_and_modes_and_the_best_of_the_whole_run_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let judge = ["--eval-every", "20", "--eval-count", "200"];
    train(&[TOY, &judge, &["--steps", "40", "--out", text(&run)]]);
    // Scores of another count are not comparable, so the best starts anew.
    let printed = train(&[&["--resume", text(&run), "--steps", "60", "--eval-count", "300"]]);
    assert!(printed.contains("after step 60 (300 samples"), "{printed}");
    let ruin = ["--steps", "80", "--eval-count", "200"];
    let printed = train(&[&["--resume", text(&run)], &ruin]);

    let report = eval(&[text(&run), "--count", "200"]);
    let lines = judged(&run);
    assert_eq!(steps(&run), [20, 40, 60, 80]);
    let scores = &lines[3]["eval"];
    assert_eq!(scores["sliced_wasserstein"], report["points"]["sliced_wasserstein"]);
    assert_eq!(scores["kl"], report["points"]["kl"]["kl"]);
    assert_eq!(scores["modes_hit"].as_f64(), report["points"]["modes"]["hit"].as_f64());
    let comparable = [&lines[0], &lines[1], &lines[3]];
    let number = |line: &&Value| line["eval"]["sliced_wasserstein"].as_f64().unwrap();
    let best = comparable.iter().min_by(|a, b| number(a).total_cmp(&number(b))).unwrap();
    let best = format!("sliced Wasserstein {:.6} after step {}", number(best), best["step"]);
    assert!(printed.contains(&best), "{best}: {printed}");
}

#[test]
fn a_users_extractor_is_named_and_an_unusable_one_is_refused_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let [run, words] = ["run", "words.pt"].map(|name| folder.path().join(name));
    fs::write(&words, "not a module").unwrap();
    let description = serde_json::to_string(&ddpm_evaluation::small::preprocessing()).unwrap();
    fs::write(folder.path().join("words.pt.json"), &description).unwrap();
    let judge = ["--eval-every", "1", "--eval-count", "20", "--eval-steps", "2", "--no-cache"];
    let begin = ["train", "--no-export", "--steps", "1", "--out", text(&run)];
    for dry in [&[][..], &["--dry-run"]] {
        let flags: [&[&str]; 6] =
            [&begin, PICTURES, COMMON, &judge, &["--extractor", text(&words)], dry];
        let output = exporter(&flags).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert!(stderr(&output).contains("not a TorchScript module"), "{}", stderr(&output));
    }

    let mine = folder.path().join("mine.onnx");
    fs::write(&mine, ddpm_evaluation::small::GRAPH).unwrap();
    fs::write(folder.path().join("mine.onnx.json"), &description).unwrap();
    train(&[PICTURES, &judge, &["--extractor", text(&mine), "--steps", "1", "--out", text(&run)]]);
    let lines = judged(&run);
    let through = lines[0]["eval_conditions"]["through"].as_str().unwrap();
    assert!(through.starts_with("mine.onnx "), "{through}");
}

/// A judge that fails the first time, and from then on counts its samples.
#[derive(Default)]
struct FailsOnce {
    calls: usize,
    seen: usize,
}

impl Judge for FailsOnce {
    fn extractor(&self) -> Option<String> {
        None
    }

    fn clear(&mut self) {
        self.seen = 0;
    }

    fn add(&mut self, samples: &[f32]) -> Result<(), JudgeError> {
        self.seen += samples.len() / 2;
        Ok(())
    }

    fn judge(&mut self) -> Result<Vec<Score>, JudgeError> {
        self.calls += 1;
        match self.calls {
            1 => Err("not today".into()),
            _ => Ok(vec![Score { key: "seen", name: "seen", value: self.seen as f64 }]),
        }
    }
}

/// Takes three steps on points, judging samples after each.
fn short_run(folder: &Path, signals: &Signals, judge: &mut dyn Judge) -> Outcome {
    let data = DataConfig { labels: false, ..DataConfig::from_source("swissroll:50") };
    let dataset = ddpm_data::load(&data.source().unwrap(), &data.load_options(0)).unwrap();
    let mut config = TrainConfig::defaults("test".to_owned(), data, Vec::new(), dataset.kind());
    (config.batch_size, config.steps, config.intervals.sample_every) = (10, 3, 0);
    config.eval = EvalConfig { every: 1, count: 1500, num_steps: Some(2), ..EvalConfig::default() };
    let mut trainer = Trainer::new(&config, Device::Cpu).unwrap();
    let run = RunDir::create(folder).unwrap();
    let watch = &mut |_: &_| ();
    ddpm_training::run(&run, &config, Arc::new(dataset), &mut trainer, signals, watch, Some(judge))
        .unwrap()
}

#[test]
fn a_run_continues_if_its_samples_cannot_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = short_run(folder.path(), &Signals::new(), &mut FailsOnce::default());
    assert!(matches!(outcome, Outcome::Finished(_)));
    // The judge sees all samples, in more than one part, and forgets those of its failed call.
    assert_eq!(steps(folder.path()), [2, 3]);
    assert!(judged(folder.path()).iter().all(|line| line["eval"]["seen"] == 1500.0));
}

#[test]
fn a_stop_request_does_not_wait_for_samples_to_be_judged() {
    let folder = tempfile::tempdir().unwrap();
    let (signals, mut judge) = (Signals::new(), FailsOnce::default());
    signals.request_stop(15);
    assert!(matches!(short_run(folder.path(), &signals, &mut judge), Outcome::Stopped(15, _)));
    assert_eq!((judge.calls, judge.seen), (0, 0));
}

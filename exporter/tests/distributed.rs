//! Promises of training on several processes, checked with real ones over Gloo: they train the same
//! network as one process, end together, and can be resumed.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "exporter/support.rs"]
mod support;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddpm_network::sample::forward;
use ddpm_training::Checkpoint;
use tch::{Device, Tensor};

use support::{exporter, stderr, stdout, text};

/// Long enough for a busy machine; a rank that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

const TOY: &[&str] = &["--data", "gaussian8:500", "--batch-size", "50", "--lr", "1e-3"];
/// Two levels with attention, labels with dropout, and dropout.
const UNET: &[&str] = &[
    "--data",
    "glyphs:40",
    "--batch-size",
    "8",
    "--hid-channels",
    "8",
    "--num-groups",
    "4",
    "--drop-rate",
    "0.2",
    "--lr",
    "1e-3",
    "--warmup",
    "0",
];
/// Clips gradients always, and writes no pictures or packages.
const COMMON: &[&str] =
    &["--grad-norm", "0.1", "--sample-every", "0", "--no-export", "--device", "cpu"];

fn train(arguments: &[&[&str]]) -> Command {
    let mut command = exporter(&["train"]);
    command.args(arguments.concat()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // These tests may themselves run under a launcher.
    for name in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"] {
        command.env_remove(name);
    }
    command
}

/// Runs one process to its end.
fn alone(arguments: &[&[&str]]) -> Output {
    train(arguments).output().unwrap()
}

/// Starts the ranks of one run, each with the variables that a launcher would set.
fn start(ranks: usize, restarts: usize, arguments: &[&[&str]]) -> Vec<Child> {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let start = |rank: usize| {
        train(&[arguments, &[&["--distributed"]]].concat())
            .env("RANK", rank.to_string())
            .env("WORLD_SIZE", ranks.to_string())
            .env("LOCAL_RANK", rank.to_string())
            .env("MASTER_ADDR", "127.0.0.1")
            .env("MASTER_PORT", port.to_string())
            .env("TORCHELASTIC_RESTART_COUNT", restarts.to_string())
            .spawn()
            .unwrap()
    };
    (0..ranks).map(start).collect()
}

/// Waits for a process to end, and kills it if it hangs.
fn end(mut child: Child) -> Output {
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("a rank hangs: {}", stderr(&child.wait_with_output().unwrap()));
        }
        sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

fn together(ranks: usize, restarts: usize, arguments: &[&[&str]]) -> Vec<Output> {
    start(ranks, restarts, arguments).into_iter().map(end).collect()
}

fn assert_ok(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
}

/// Returns all values in a file of tensors, in the order of their names.
fn values(run: &Path, step: u32, file: &str, prefix: &str) -> Vec<f32> {
    let path = run.join(format!("checkpoints/step-{step:07}/{file}.safetensors"));
    let mut tensors = Tensor::read_safetensors(path).unwrap();
    tensors.retain(|(name, _)| name.starts_with(prefix));
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let flat = |(_, tensor): &(String, Tensor)| tensor.flatten(0, -1).try_into().unwrap();
    tensors.iter().flat_map::<Vec<f32>, _>(flat).collect()
}

/// Returns a checkpoint's outputs for fixed inputs; `raw` uses the weights, not their averages.
fn outputs(run: &Path, step: u32, raw: bool) -> Vec<f32> {
    let folder = run.join(format!("checkpoints/step-{step:07}"));
    let network = Checkpoint::open(&folder).unwrap().network(raw, Device::Cpu).unwrap();
    let len = network.config().sample_shape().iter().product::<i64>() as usize;
    let sample: Vec<f32> = (0..4 * len).map(|i| (i as f32 * 0.7).sin()).collect();
    let labels = network.config().num_classes().map(|none| vec![0, 1, none - 1, none]);
    let timestep = [0.0, 20.0, 50.0, 99.0];
    forward(&network, Device::Cpu, &sample, &timestep, labels.as_deref()).unwrap()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
}

/// * `ranks_only`: flags for the two ranks only, which must not change the result.
fn two_ranks_learn_what_one_process_learns(model: &[&str], ranks_only: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let pace = ["--steps", "20", "--checkpoint-every", "1", "--keep", "20"];
    assert_ok(&[alone(&[model, COMMON, &pace, &["--out", text(&one)]])]);
    assert_ok(&together(2, 0, &[model, ranks_only, COMMON, &pace, &["--out", text(&two)]]));

    // After one step, Adam's first moment is a tenth of the clipped gradient.
    let [expected, got] = [&one, &two].map(|run| values(run, 1, "optimizer", "exp_avg."));
    let error = norm(&difference(&got, &expected)) / norm(&expected);
    assert!((norm(&expected) - 0.01).abs() < 1e-4, "not clipped: {}", norm(&expected));
    assert!(error < 1e-5, "{error}");

    for raw in [true, false] {
        let [expected, got] = [&one, &two].map(|run| outputs(run, 20, raw));
        let error = largest(&difference(&got, &expected));
        let learnt = largest(&difference(&expected, &outputs(&one, 1, raw)));
        assert!(error < 1e-4, "{error}");
        assert!(learnt > 1e-2, "20 steps only changed the network by {learnt}");
    }
}

#[test]
fn two_ranks_and_one_process_train_the_same_network_for_points() {
    two_ranks_learn_what_one_process_learns(TOY, &[]);
}

#[test]
fn two_ranks_and_one_process_train_the_same_network_for_pictures() {
    two_ranks_learn_what_one_process_learns(UNET, &["--data-on", "device"]);
}

#[test]
fn gradients_of_the_parts_of_a_batch_are_summed_before_ranks_average_them() {
    // 25 rows per rank, in parts of 8, 8 and 9.
    two_ranks_learn_what_one_process_learns(&[TOY, &["--accumulation", "3"]].concat(), &[]);
}

#[test]
fn a_dry_run_of_two_ranks_takes_its_updates_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // Fewer steps than the dry run itself takes.
    let flags = ["--dry-run", "--steps", "1", "--out", text(&out)];
    let outputs = together(2, 0, &[TOY, COMMON, &flags]);
    assert_ok(&outputs);
    let printed = |rank: usize| stdout(&outputs[rank]);
    assert!(printed(0).contains("first update      loss"), "{}", printed(0));
    assert_eq!(printed(1), "", "only rank 0 prints");
    assert!(!out.join("checkpoints").exists());
}

#[test]
fn three_ranks_draw_the_samples_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let [one, three] = ["one", "three"].map(|name| folder.path().join(name));
    // 64 pictures on three ranks: the last one gets fewer. Five timesteps take five evaluations.
    let few = ["--batch-size", "6", "--timesteps", "5", "--beta-end", "0.5"];
    let flags = [&few[..], &["--steps", "3", "--sample-every", "3", "--no-export"]].concat();
    let data = &UNET[4..];
    let model = [&["--data", "glyphs:40", "--device", "cpu"], data].concat();
    assert_ok(&[alone(&[&model, &flags, &["--out", text(&one)]])]);
    assert_ok(&together(3, 0, &[&model, &flags, &["--out", text(&three)]]));

    let [expected, got] = [&one, &three]
        .map(|run| image::open(run.join("samples/step-0000003.png")).unwrap().to_rgb8());
    assert_eq!(got.dimensions(), expected.dimensions());
    // A value midway between two of the 256 levels may round to either.
    let apart = got.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(apart.unwrap() <= 1, "{apart:?}");
}

#[test]
fn a_checkpoint_of_two_ranks_resumes_on_two_and_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let resume = |steps| {
        [&["--resume", text(&parts), "--no-export", "--device", "cpu"], &["--steps", steps][..]]
            .concat()
    };
    assert_ok(&together(2, 0, &[UNET, COMMON, &["--steps", "8", "--out", text(&whole)]]));
    assert_ok(&together(2, 0, &[UNET, COMMON, &["--steps", "4", "--out", text(&parts)]]));
    assert_ok(&together(2, 0, &[&resume("8")]));
    for file in ["weights", "ema", "optimizer"] {
        let [expected, got] = [&whole, &parts].map(|run| values(run, 8, file, ""));
        assert_eq!(got, expected, "{file}");
    }

    fs::remove_dir_all(parts.join("checkpoints/step-0000008")).unwrap();
    assert_ok(&[alone(&[&resume("8")])]);
    let [expected, got] = [&whole, &parts].map(|run| outputs(run, 8, true));
    let error = largest(&difference(&got, &expected));
    assert!(error < 1e-4, "{error}");
}

/// Starts two ranks that never finish, and waits until they train.
fn endless(run: &Path) -> [Child; 2] {
    let flags = ["--steps", "100000000", "--dist-timeout", "60", "--out", text(run)];
    let ranks = start(2, 0, &[TOY, COMMON, &flags]);
    let deadline = Instant::now() + PATIENCE;
    // The log gets its first line once the loop runs.
    while fs::metadata(run.join("metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < deadline, "no step was taken");
        sleep(Duration::from_millis(20));
    }
    ranks.try_into().unwrap()
}

#[test]
fn killing_a_rank_ends_the_other_with_an_error() {
    for killed in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let [mut first, mut second] = endless(&folder.path().join("run"));
        let left = match killed {
            0 => {
                first.kill().unwrap();
                first.wait().unwrap();
                end(second)
            }
            _ => {
                second.kill().unwrap();
                second.wait().unwrap();
                end(first)
            }
        };
        let printed = stderr(&left);
        assert_eq!(left.status.code(), Some(1), "{printed}");
        let who = format!("rank {} of 2 lost the others in ", 1 - killed);
        assert!(printed.contains(&who) && !printed.contains("panicked"), "{printed}");
    }
}

#[test]
fn a_signal_to_one_rank_stops_all_after_the_same_step() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let [first, second] = endless(&run);
    let signal = ["-TERM".to_owned(), second.id().to_string()];
    assert!(Command::new("kill").args(signal).status().unwrap().success());
    for output in [end(first), end(second)] {
        assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    }
    let steps = Checkpoint::find(&run).unwrap().state().steps_done;
    assert!(steps >= 50, "{steps}");
}

#[test]
fn a_batch_that_cannot_be_shared_is_refused_by_every_rank() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let flags = ["--steps", "2", "--batch-size", "51", "--out", text(&out)];
    for output in together(2, 0, &[&TOY[..2], COMMON, &flags]) {
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let printed = stderr(&output);
        assert!(printed.contains("batch_size is 51, which 2 processes cannot share"), "{printed}");
        assert!(printed.contains("use 50 or 52"), "{printed}");
    }
    assert!(!out.exists(), "a refused run leaves nothing behind");
}

#[test]
fn a_missing_launcher_variable_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = alone(&[TOY, COMMON, &["--distributed", "--out", text(folder.path())]]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("WORLD_SIZE is not set: start with"), "{}", stderr(&output));
}

#[test]
fn restarted_processes_resume_from_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let steps = |steps| [TOY, COMMON, &["--out", text(&run), "--steps", steps]].concat();
    assert_ok(&together(2, 0, &[&steps("3")]));

    // A second run in the same folder is a mistake; a restart of the same run is not.
    let [refused, _] = <[Output; 2]>::try_from(together(2, 0, &[&steps("5")])).unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("already holds a run"), "{}", stderr(&refused));
    let [first, _] = <[Output; 2]>::try_from(together(2, 1, &[&steps("5")])).unwrap();
    assert!(stderr(&first).contains("from step 3 to 5"), "{}", stderr(&first));

    // The flag does the same for a single process, and starts a run that does not exist.
    let again = alone(&[&steps("6"), &["--resume-or-start"]]);
    assert!(stderr(&again).contains("from step 5 to 6"), "{}", stderr(&again));
    let other = alone(&[&steps("7"), &["--resume-or-start", "--seed", "1"]]);
    assert_eq!(other.status.code(), Some(3));
    assert!(stderr(&other).contains("seed was 0, is 1"), "{}", stderr(&other));
    let new = folder.path().join("new");
    let begun = alone(&[TOY, COMMON, &["--out", text(&new), "--steps", "1", "--resume-or-start"]]);
    assert!(stderr(&begun).contains("from step 0 to 1"), "{}", stderr(&begun));
    assert_ok(&[first, again, begun]);
}

#[test]
fn samples_judged_on_two_ranks_have_the_scores_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two, cache] = ["one", "two", "cache"].map(|name| folder.path().join(name));
    let judge = ["--eval-every", "3", "--eval-count", "41", "--eval-steps", "2"];
    let flags = ["--steps", "3", "--cache", text(&cache)];
    let scores = |run: &Path| {
        let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let lines =
            log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let judged: Vec<_> = lines.filter(|line| line["eval"].is_object()).collect();
        assert_eq!(judged.len(), 1, "only rank 0 judges: {log}");
        judged[0]["eval"]["frechet_distance"].as_f64().unwrap()
    };
    assert_ok(&together(2, 0, &[UNET, COMMON, &judge, &flags, &["--out", text(&two)]]));
    assert_ok(&[alone(&[UNET, COMMON, &judge, &flags, &["--out", text(&one)]])]);
    let (one, two) = (scores(&one), scores(&two));
    assert!(one > 0.0 && (two / one - 1.0).abs() < 1e-3, "{two}, not {one}");
}

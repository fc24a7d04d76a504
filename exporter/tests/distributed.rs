//! Promises of training on several processes, kept by real ones over Gloo: the same network as one
//! process trains, one end for all, and a way to go on.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddpm_exporter::sample::forward;
use ddpm_exporter::train::Checkpoint;
use tch::{Device, Tensor};

const EXPORTER: &str = env!("CARGO_BIN_EXE_ddpm-exporter");
/// Long enough for a busy machine; a rank that hangs is found out.
const PATIENCE: Duration = Duration::from_secs(120);

const TOY: &[&str] = &["--data", "gaussian8:500", "--batch-size", "50", "--lr", "1e-3"];
/// Two levels with attention, labels and their dropout, and dropout.
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
/// Gradients are always clipped, and no pictures or packages are made.
const COMMON: &[&str] =
    &["--grad-norm", "0.1", "--sample-every", "0", "--no-export", "--device", "cpu"];

fn train(arguments: &[&[&str]]) -> Command {
    let mut command = Command::new(EXPORTER);
    command.arg("train").args(arguments.concat());
    command.env("OMP_NUM_THREADS", "1").stdout(Stdio::piped()).stderr(Stdio::piped());
    // These tests may themselves run under a launcher.
    for name in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"] {
        command.env_remove(name);
    }
    command
}

/// One process, to its end.
fn alone(arguments: &[&[&str]]) -> Output {
    train(arguments).output().unwrap()
}

/// The ranks of one run, each with the variables that a launcher would set.
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

/// Waits until a process ends, and kills it if it does not.
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

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_ok(outputs: &[Output]) {
    for output in outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// All values of a file of tensors, in the order of their names.
fn values(run: &Path, step: u32, file: &str, prefix: &str) -> Vec<f32> {
    let path = run.join(format!("checkpoints/step-{step:07}/{file}.safetensors"));
    let mut tensors = Tensor::read_safetensors(path).unwrap();
    tensors.retain(|(name, _)| name.starts_with(prefix));
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let of = |(_, tensor): &(String, Tensor)| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
    tensors.iter().flat_map(of).collect()
}

/// What the network of a checkpoint says of fixed inputs; `raw`: with the weights, not the averages.
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

/// `theirs`: what only the two ranks are told, and changes nothing.
fn two_ranks_learn_what_one_process_learns(model: &[&str], theirs: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
    let pace = ["--steps", "20", "--checkpoint-every", "1", "--keep", "20"];
    assert_ok(&[alone(&[model, COMMON, &pace, &["--out", text(&one)]])]);
    assert_ok(&together(2, 0, &[model, theirs, COMMON, &pace, &["--out", text(&two)]]));

    // After the first step Adam's first moment is a tenth of the clipped gradient.
    let [expected, got] = [&one, &two].map(|run| values(run, 1, "optimizer", "exp_avg."));
    let error = norm(&difference(&got, &expected)) / norm(&expected);
    assert!((norm(&expected) - 0.01).abs() < 1e-4, "not clipped: {}", norm(&expected));
    assert!(error < 1e-5, "{error}");

    for raw in [true, false] {
        let [expected, got] = [&one, &two].map(|run| outputs(run, 20, raw));
        let error = largest(&difference(&got, &expected));
        let learnt = largest(&difference(&expected, &outputs(&one, 1, raw)));
        assert!(error < 1e-4, "{error}");
        assert!(learnt > 1e-2, "20 steps changed the network by {learnt} only");
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
fn parts_of_a_batch_add_up_before_their_gradients_are_averaged() {
    // 25 rows a rank, in parts of 8, 8 and 9.
    two_ranks_learn_what_one_process_learns(&[TOY, &["--accumulation", "3"]].concat(), &[]);
}

#[test]
fn a_dry_run_of_two_ranks_takes_its_updates_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    // Shorter than the dry run itself.
    let flags = ["--dry-run", "--steps", "1", "--out", text(&out)];
    let outputs = together(2, 0, &[TOY, COMMON, &flags]);
    assert_ok(&outputs);
    let said = |rank: usize| String::from_utf8_lossy(&outputs[rank].stdout);
    assert!(said(0).contains("first update      loss"), "{}", said(0));
    assert_eq!(said(1), "", "rank 0 speaks for all");
    assert!(!out.join("checkpoints").exists());
}

#[test]
fn samples_drawn_by_three_ranks_are_those_of_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let [one, three] = ["one", "three"].map(|name| folder.path().join(name));
    // 64 pictures on three ranks: the last one has fewer. Five timesteps are as many evaluations.
    let few = ["--batch-size", "6", "--timesteps", "5", "--beta-end", "0.5"];
    let flags = [&few[..], &["--steps", "3", "--sample-every", "3", "--no-export"]].concat();
    let data = &UNET[4..];
    let model = [&["--data", "glyphs:40", "--device", "cpu"], data].concat();
    assert_ok(&[alone(&[&model, &flags, &["--out", text(&one)]])]);
    assert_ok(&together(3, 0, &[&model, &flags, &["--out", text(&three)]]));

    let [expected, got] = [&one, &three]
        .map(|run| image::open(run.join("samples/step-0000003.png")).unwrap().to_rgb8());
    assert_eq!(got.dimensions(), expected.dimensions());
    // A value between two of 256 levels may be rounded to either.
    let apart = got.iter().zip(expected.iter()).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(apart.unwrap() <= 1, "{apart:?}");
}

#[test]
fn a_checkpoint_of_two_ranks_goes_on_in_two_and_in_one() {
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

/// Two ranks that would train for ever, once their loop runs.
fn endless(run: &Path) -> [Child; 2] {
    let flags = ["--steps", "100000000", "--dist-timeout", "60", "--out", text(run)];
    let ranks = start(2, 0, &[TOY, COMMON, &flags]);
    let deadline = Instant::now() + PATIENCE;
    // The log has a line once the loop runs.
    while fs::metadata(run.join("metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
        assert!(Instant::now() < deadline, "no step was taken");
        sleep(Duration::from_millis(20));
    }
    ranks.try_into().unwrap()
}

#[test]
fn a_rank_that_is_killed_ends_the_other_with_an_error() {
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
        let said = stderr(&left);
        assert_eq!(left.status.code(), Some(1), "{said}");
        let who = format!("rank {} of 2 lost the others in ", 1 - killed);
        assert!(said.contains(&who) && !said.contains("panicked"), "{said}");
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
        let said = stderr(&output);
        assert!(said.contains("batch_size is 51, which 2 processes cannot share"), "{said}");
        assert!(said.contains("use 50 or 52"), "{said}");
    }
    assert!(!out.exists(), "what is refused leaves nothing");
}

#[test]
fn without_the_variables_of_a_launcher_the_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = alone(&[TOY, COMMON, &["--distributed", "--out", text(folder.path())]]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("WORLD_SIZE is not set: start with"), "{}", stderr(&output));
}

#[test]
fn processes_that_are_started_again_go_on_from_the_last_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let steps = |steps| [TOY, COMMON, &["--out", text(&run), "--steps", steps]].concat();
    assert_ok(&together(2, 0, &[&steps("3")]));

    // A second run in the same folder would be a mistake; the same run, started again, is not.
    let [refused, _] = <[Output; 2]>::try_from(together(2, 0, &[&steps("5")])).unwrap();
    assert_eq!(refused.status.code(), Some(3));
    assert!(stderr(&refused).contains("a run is here already"), "{}", stderr(&refused));
    let [first, _] = <[Output; 2]>::try_from(together(2, 1, &[&steps("5")])).unwrap();
    assert!(stderr(&first).contains("from step 3 to 5"), "{}", stderr(&first));

    // The flag says the same to a process that is alone, and begins what has not begun.
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

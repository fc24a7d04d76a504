//! Promises about runs that are killed: nothing older than the last checkpoint is lost, and what
//! comes after is what would have come.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ddpm_diffusion::Noise;
use ddpm_exporter::train::{Checkpoint, RunDir};
use serde_json::Value;
use tch::Device;

const STEPS: u32 = 400;
const KEEP: usize = 2;

/// A run of a toy that saves itself every seven steps and logs every one.
fn begin(run: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddpm-exporter"));
    let (steps, keep) = (STEPS.to_string(), KEEP.to_string());
    command.env("OMP_NUM_THREADS", "1").args(["train", "--no-export", "--device", "cpu"]).args([
        "--steps",
        &steps,
        "--checkpoint-every",
        "7",
        "--keep",
        &keep,
        "--log-every",
        "1",
        "--sample-every",
        "0",
        "--held-out-every",
        "50",
    ]);
    if Checkpoint::find(run).is_ok() {
        command.args(["--resume", run.to_str().unwrap()]);
    } else {
        let data = ["--data", "gaussian8:600", "--batch-size", "16", "--hid-channels", "16"];
        command.args(data).args(["--lr", "1e-2", "--out", run.to_str().unwrap()]);
    }
    command
}

fn to_the_end(run: &Path) {
    let output = begin(run).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Steps of the newest checkpoint, which must be whole; 0 if there is none.
fn saved(run: &Path) -> u32 {
    let folder = run.join("checkpoints");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    let whole = names.iter().filter(|name| name.to_str().unwrap().starts_with("step-")).count();
    if whole == 0 {
        return 0;
    }
    // One more for the moment between the newest and the removal of the oldest.
    assert!(whole <= KEEP + 1, "{names:?}");
    let newest = RunDir::open(run).unwrap().newest_checkpoint().unwrap();
    newest.trainer(Device::Cpu).unwrap();
    newest.state().steps_done
}

/// What the log says of each step, but for times: one line a step, and one a look at what is held out.
fn log(run: &Path) -> BTreeMap<(u64, bool), Value> {
    let mut lines = BTreeMap::new();
    for line in fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object_mut().unwrap();
        fields.remove("items_per_s");
        fields.remove("seconds");
        let key = (fields["step"].as_u64().unwrap(), fields.contains_key("held_out_loss"));
        assert!(lines.insert(key, line).is_none(), "{key:?} is logged twice");
    }
    lines
}

fn weights(run: &Path) -> Vec<Vec<u8>> {
    let checkpoint = Checkpoint::find(run).unwrap();
    assert_eq!(checkpoint.state().steps_done, STEPS);
    let files = ["weights.safetensors", "ema.safetensors", "optimizer.safetensors"];
    files.map(|name| fs::read(checkpoint.folder().join(name)).unwrap()).to_vec()
}

/// Trains and kills, `kills` times in all, over as many runs as it takes, and compares each with one
/// that was left alone. Every third time the signal is SIGTERM, otherwise SIGKILL.
fn kill_often(kills: u64) {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    to_the_end(&whole);
    let pauses = Noise::new(1);
    let (mut killed, mut attempts, mut number) = (0, 0, 0);
    while killed < kills {
        let run = folder.path().join(format!("run-{number}"));
        number += 1;
        let mut before = 0;
        while killed < kills {
            let mut child =
                begin(&run).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            // From before the first step to somewhere in the run, whatever the machine's speed.
            sleep(Duration::from_millis(100 + pauses.bits(attempts, 0) % 1900));
            // Counted apart: a run that ended by itself is followed by another pause.
            attempts += 1;
            if child.try_wait().unwrap().is_some() {
                break;
            }
            let signal = if killed % 3 == 2 { "-TERM" } else { "-KILL" };
            let id = child.id().to_string();
            assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
            child.wait().unwrap();
            killed += 1;
            let after = saved(&run);
            assert!(after >= before, "kill {killed}: step {before} was saved, now {after}");
            before = after;
        }
        to_the_end(&run);

        assert_eq!(weights(&run), weights(&whole));
        assert_eq!(log(&run), log(&whole));
        let left = fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert_eq!(left, KEEP, "as many checkpoints as asked for, and nothing unfinished");
    }
}

#[test]
fn a_run_that_is_killed_five_times_ends_with_the_bits_of_one_that_was_not() {
    kill_often(5);
}

/// `make kills`
#[test]
#[ignore = "takes minutes"]
fn a_run_that_is_killed_fifty_times_ends_with_the_bits_of_one_that_was_not() {
    kill_often(50);
}

//! Promises about interrupted runs: no checkpoint is lost, and a resumed run ends with the same
//! bits.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "exporter/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use ddpm_diffusion::Noise;
use ddpm_training::{Checkpoint, RunDir};
use serde_json::Value;
use tch::Device;

use support::{exporter, succeed, text};

const STEPS: u32 = 400;
const KEEP: usize = 2;

/// Prepares to start or resume a toy run, with a checkpoint every seven steps and a log line every
/// step.
fn begin(run: &Path) -> Command {
    let mut command = exporter(&["train", "--no-export", "--device", "cpu"]);
    let (steps, keep) = (STEPS.to_string(), KEEP.to_string());
    command.args([
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
        command.args(["--resume", text(run)]);
    } else {
        let data = ["--data", "gaussian8:600", "--batch-size", "16", "--hid-channels", "16"];
        command.args(data).args(["--lr", "1e-2", "--out", text(run)]);
    }
    command
}

fn to_the_end(run: &Path) {
    succeed(&mut begin(run));
}

/// Returns the step of the newest checkpoint, which must be whole; 0 if there is none.
fn saved(run: &Path) -> u32 {
    let folder = run.join("checkpoints");
    let entries = fs::read_dir(folder).into_iter().flatten();
    let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    let whole = names.iter().filter(|name| name.to_str().unwrap().starts_with("step-")).count();
    if whole == 0 {
        return 0;
    }
    // The newest is written before the oldest is removed.
    assert!(whole <= KEEP + 1, "{names:?}");
    let newest = RunDir::open(run).unwrap().newest_checkpoint().unwrap();
    newest.trainer(Device::Cpu).unwrap();
    newest.state().steps_done
}

/// Returns the log without times, by step and whether the line is a held-out loss.
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

/// How a run is interrupted; each in turn.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    /// A signal that ends it.
    Signal(&'static str),
    /// A signal that makes it save; then, later, one that ends it.
    Save(&'static str),
    /// Its output is closed; then, later, a signal that ends it.
    ClosedPipe,
}

const INTERRUPTIONS: [Interruption; 5] = [
    Interruption::Signal("HUP"),
    Interruption::Save("USR1"),
    Interruption::Signal("TERM"),
    Interruption::Signal("KILL"),
    Interruption::ClosedPipe,
];

impl Interruption {
    /// Interrupts a run, and waits for its end.
    ///
    /// * `pause`: until the second part of those that have one.
    fn apply(self, run: &Path, child: &mut Child, pause: Duration) {
        // Before it handles signals, any of them ends it.
        let ready = handles_signals(child);
        match self {
            Self::Signal(name) => send(child, name),
            Self::Save(name) => {
                send(child, name);
                sleep(pause);
                goes_on(child, ready);
                send(child, "KILL");
            }
            Self::ClosedPipe => {
                drop(child.stderr.take());
                sleep(pause);
                goes_on(child, ready);
                send(child, "KILL");
            }
        }
        let status = child.wait().unwrap();
        let saves = [("HUP", 129), ("TERM", 143)];
        if let Self::Signal(name) = self
            && let Some((_, code)) = saves.iter().find(|(known, _)| *known == name)
            && ready
        {
            // 0: it had finished before.
            assert!([Some(*code), Some(0)].contains(&status.code()), "{name}: {status}");
            assert_eq!(u64::from(saved(run)), last_logged(run), "{name} loses steps");
        }
    }
}

/// Returns whether a process handles SIGHUP, number 1: the last thing before its first step.
fn handles_signals(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or_default();
    u64::from_str_radix(caught.trim(), 16).unwrap_or(0) & 1 == 1
}

/// Checks that a process that could be ready still runs, or has finished all steps.
fn goes_on(child: &mut Child, ready: bool) {
    if let Some(status) = child.try_wait().unwrap().filter(|_| ready) {
        assert!(status.success(), "it ended: {status}");
    }
}

/// Returns the last step in the log, where every step has a line.
fn last_logged(run: &Path) -> u64 {
    log(run).keys().map(|(step, _)| *step).max().unwrap_or(0)
}

/// Sends a signal; that the process has ended by itself does not matter.
fn send(child: &Child, signal: &str) {
    let id = child.id().to_string();
    let mut kill = Command::new("kill");
    let sent = kill.args([&format!("-{signal}"), &id]).stderr(Stdio::null()).status();
    assert!(sent.unwrap().success() || child_has_ended(child));
}

fn child_has_ended(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
    // After the name in parentheses: Z is a process that has ended, and that nobody has waited for.
    status.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('Z'))
}

/// Interrupts training `kills` times, over as many runs as it takes, and compares each run with an
/// undisturbed one.
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
                begin(&run).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
            // From before the first step to well into the run, on fast and slow machines.
            sleep(Duration::from_millis(100 + pauses.bits(attempts, 0) % 1900));
            // Counted apart from `killed`, so that a run that ended by itself gets another pause.
            attempts += 1;
            if child.try_wait().unwrap().is_some() {
                break;
            }
            let pause = Duration::from_millis(pauses.bits(attempts, 1) % 500);
            INTERRUPTIONS[killed as usize % INTERRUPTIONS.len()].apply(&run, &mut child, pause);
            killed += 1;
            let after = saved(&run);
            assert!(after >= before, "kill {killed}: step {before} was saved, now {after}");
            before = after;
        }
        to_the_end(&run);

        assert_eq!(weights(&run), weights(&whole));
        assert_eq!(log(&run), log(&whole));
        let left = fs::read_dir(run.join("checkpoints")).unwrap().count();
        assert_eq!(left, KEEP, "{KEEP} checkpoints, and nothing unfinished");
    }
}

#[test]
fn a_run_interrupted_in_five_ways_ends_with_the_bits_of_an_undisturbed_one() {
    kill_often(5);
}

/// `make kills`
#[test]
#[ignore = "takes minutes"]
fn a_run_interrupted_fifty_times_ends_with_the_bits_of_an_undisturbed_one() {
    kill_often(50);
}

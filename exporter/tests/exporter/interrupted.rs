//! Promises to those whose terminal, pipe or log goes away, and to those whose batch system sends
//! signals: no work is lost, and the exit status tells the truth.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddpm_training::Checkpoint;

use crate::support::{EXPORTER, exporter, on_one_thread, repository, stderr, succeed, text};

/// Longest wait for a run on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prepares a toy run.
fn train(out: &Path, steps: &str) -> Command {
    let mut command = exporter(&["train", "--out", text(out), "--steps", steps]);
    command.args(TOY);
    command
}

const TOY: &[&str] = &[
    "--data",
    "gaussian8:500",
    "--batch-size",
    "16",
    "--hid-channels",
    "16",
    "--device",
    "cpu",
    "--sample-every",
    "0",
    "--checkpoint-every",
    "0",
    "--log-every",
    "1",
    "--no-export",
];

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full_disk() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

fn wait(child: &mut Child) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().expect("no signal ended it");
        }
        assert!(Instant::now() < deadline, "it does not end");
        sleep(Duration::from_millis(10));
    }
}

/// Waits until a run has taken a step.
fn wait_for_a_step(run: &Path) {
    let deadline = Instant::now() + PATIENCE;
    while fs::read(run.join("metrics.jsonl")).is_ok_and(|log| log.is_empty())
        || !run.join("metrics.jsonl").exists()
    {
        assert!(Instant::now() < deadline, "it takes no step");
        sleep(Duration::from_millis(10));
    }
}

fn send(signal: &str, child: &Child) {
    let id = child.id().to_string();
    assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
}

/// Returns the number of steps in the last whole line of the log.
fn last_step(run: &Path) -> u32 {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = log.rsplit('\n').nth(1).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["step"].as_u64().unwrap() as u32
}

fn steps_saved(run: &Path) -> u32 {
    Checkpoint::find(run).unwrap().state().steps_done
}

#[test]
fn a_run_ends_with_its_checkpoint_when_nobody_reads_its_output() {
    let folder = tempfile::tempdir().unwrap();
    for (name, lost) in [("closed", closed_pipe as fn() -> Stdio), ("full", full_disk)] {
        let run = folder.path().join(name);
        let status = train(&run, "30").stdout(lost()).stderr(lost()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{name}");
        assert_eq!(steps_saved(&run), 30, "{name}");
        // What nobody could read is in the folder of the run.
        let log = fs::read_to_string(run.join("log.txt")).unwrap();
        assert!(log.contains("data gaussian8:500") && log.contains("30"), "{log}");
    }
}

#[test]
fn ctrl_c_that_also_ends_the_reader_keeps_exit_status_and_hint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = train(&run, "1000000").stderr(Stdio::piped()).spawn().unwrap();
    wait_for_a_step(&run);
    // `tee` gets the signal too, and ends first.
    drop(child.stderr.take());
    send("INT", &child);
    assert_eq!(wait(&mut child), 130);
    assert!(steps_saved(&run) > 0);
    let log = fs::read_to_string(run.join("log.txt")).unwrap();
    assert!(log.contains(&format!("train --resume {}", text(&run))), "{log}");
}

#[test]
fn no_command_panics_when_its_results_cannot_be_written() {
    let (glyphs, digits) = (repository().join("models/toy"), repository().join("tests/fixtures"));
    let data = format!("mnist:{}", text(&digits.join("digits")));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let commands: [&[&str]; 8] = [
        &["presets"],
        &["presets", "cifar10"],
        &["inspect", text(&glyphs)],
        &["inspect", "--json", text(&glyphs)],
        &["verify", text(&glyphs)],
        &["data", "check", &data],
        &["data", "check", "--json", &data],
        &["sample", text(&glyphs), "--count", "2", "--steps", "1", "--out", text(&out)],
    ];
    for command in commands {
        // Whoever closes a pipe has seen enough: that is a success.
        let closed = exporter(command).stdout(closed_pipe()).output().unwrap();
        assert_eq!(closed.status.code(), Some(0), "{command:?}: {}", stderr(&closed));
        let full = exporter(command).stdout(full_disk()).output().unwrap();
        let message = stderr(&full);
        assert!(message.contains("standard output cannot be written"), "{command:?}: {message}");
        // The samples are written, so it did what it was asked to; of the others nothing is left.
        let expected = if command[0] == "sample" { 0 } else { 1 };
        assert_eq!(full.status.code(), Some(expected), "{command:?}: {message}");
        let blind = exporter(command).stdout(full_disk()).stderr(full_disk()).status().unwrap();
        assert_eq!(blind.code(), Some(expected), "{command:?}");
    }
}

#[test]
fn a_file_named_as_standard_output_goes_there_and_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.txt");
    let script = "echo before; \"$1\" init --force /dev/stdout; \"$1\" init -; echo after";
    let mut shell = Command::new("sh");
    let done = shell.args(["-c", script, "sh", EXPORTER]).stdout(File::create(&path).unwrap());
    assert!(done.stderr(Stdio::null()).status().unwrap().success());
    let all = fs::read_to_string(&path).unwrap();
    assert!(all.starts_with("before\n") && all.ends_with("after\n"), "{all}");
    assert!(!all.contains("/dev/stdout"), "the report is no part of the file: {all}");
    assert_eq!(all.matches("[train]").count(), 2, "{all}");
    let piped = "\"$1\" init --force /dev/stdout | grep -c train; \"$1\" init - | true";
    let piped = Command::new("sh").args(["-c", piped, "sh", EXPORTER]).output().unwrap();
    assert!(piped.status.success() && piped.stderr.is_empty(), "{}", stderr(&piped));
}

#[test]
fn every_line_is_one_write_so_lines_of_several_ranks_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    // Each write to such a socket is a message of its own.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut child = train(&run, "20").stderr(OwnedFd::from(theirs)).spawn().unwrap();
    assert_eq!(wait(&mut child), 0);
    ours.set_nonblocking(true).unwrap();
    let (mut lines, mut message) = (0, [0; 4096]);
    while let Ok(len) = ours.recv(&mut message) {
        let text = String::from_utf8_lossy(&message[..len]);
        assert!(text.ends_with('\n'), "{text:?} is part of a line");
        lines += 1;
    }
    assert!(lines >= 5, "{lines}");
}

#[test]
fn no_escape_codes_go_to_files() {
    // RUST_LOG makes libraries log.
    let shown = repository().join("models/toy");
    let output = succeed(
        exporter(&["verify", text(&shown)]).env("RUST_LOG", "trace").env_remove("NO_COLOR"),
    );
    assert!(stderr(&output).contains("TRACE") || stderr(&output).contains("DEBUG"));
    assert!(!stderr(&output).contains('\x1b'), "{}", stderr(&output));
}

#[test]
fn signals_of_terminals_and_batch_systems_save_and_end_a_run() {
    let folder = tempfile::tempdir().unwrap();
    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15), ("XCPU", 24)] {
        let run = folder.path().join(signal);
        let mut child = train(&run, "1000000").stderr(Stdio::null()).spawn().unwrap();
        wait_for_a_step(&run);
        send(signal, &child);
        // Shells and the kernel repeat these.
        if ["HUP", "XCPU"].contains(&signal) {
            send(signal, &child);
        }
        assert_eq!(wait(&mut child), 128 + number, "{signal}");
        assert!(steps_saved(&run) > 0, "{signal}");
    }
}

#[test]
fn a_hangup_that_is_ignored_at_the_start_stays_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = on_one_thread("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh", EXPORTER, "train", "--out", text(&run)])
        .args(TOY)
        .args(["--steps", "3000"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_a_step(&run);
    send("HUP", &child);
    assert_eq!(wait(&mut child), 0);
    assert_eq!(steps_saved(&run), 3000);
}

#[test]
fn a_request_to_save_saves_and_the_run_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["USR1", "USR2"] {
        let run = folder.path().join(signal);
        let mut child = train(&run, "1000000").stderr(Stdio::null()).spawn().unwrap();
        wait_for_a_step(&run);
        send(signal, &child);
        let deadline = Instant::now() + PATIENCE;
        while Checkpoint::find(&run).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "{signal} ended the run");
            assert!(Instant::now() < deadline, "{signal} saves nothing");
            sleep(Duration::from_millis(10));
        }
        let saved = steps_saved(&run);
        while last_step(&run) <= saved {
            assert!(Instant::now() < deadline, "{signal} ended the run");
            sleep(Duration::from_millis(10));
        }
        send("TERM", &child);
        assert_eq!(wait(&mut child), 143, "{signal}");
        assert!(steps_saved(&run) > saved);
    }
}

#[test]
fn a_request_to_save_before_the_first_step_does_not_end_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut child = train(&run, "200").stderr(Stdio::null()).spawn().unwrap();
    // Sooner than a program can be ready, the signal would end any program.
    let deadline = Instant::now() + PATIENCE;
    while !handles_saves(&child) {
        assert!(Instant::now() < deadline && !run.join("metrics.jsonl").exists());
        sleep(Duration::from_millis(1));
    }
    send("USR1", &child);
    assert_eq!(wait(&mut child), 0);
}

/// Returns whether a process has a handler for SIGUSR1, number 10.
fn handles_saves(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() >> 9 & 1 == 1
}

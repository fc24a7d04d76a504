//! Runs `ddpm-exporter` as its users do.

#![allow(dead_code, reason = "each test uses its own part")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) const EXPORTER: &str = env!("CARGO_BIN_EXE_ddpm-exporter");

/// Prepares a run of the program.
pub(crate) fn exporter(arguments: &[&str]) -> Command {
    let mut command = on_one_thread(EXPORTER);
    command.args(arguments);
    command
}

/// Prepares a run of any program on one thread, because many tests run at once.
pub(crate) fn on_one_thread(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("OMP_NUM_THREADS", "1");
    command
}

/// Runs the program.
pub(crate) fn run(arguments: &[&str]) -> Output {
    exporter(arguments).output().unwrap()
}

/// Runs a command that must succeed.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}\n{}", stderr(&output), stdout(&output));
    output
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns a path as an argument.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Returns the root of the repository.
pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns a file or folder of `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    repository().join("tests/fixtures").join(name)
}

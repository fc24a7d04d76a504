//! The exporter reports to nobody, and writes only where it was told to.

use std::path::Path;
use std::process::Command;

use crate::harness::{binary, root};
use crate::watched::Watched;

/// Runs a command under watch; it may write below `told`.
fn watch(arguments: &[&str], told: &[&str]) {
    let watched = Watched::new();
    let output = Command::new(binary("ddpm-exporter"))
        .args(arguments)
        .envs(watched.variables())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    watched.assert_private(told);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_package_is_verified_in_private() {
    watch(&["verify", text(&root().join("models/toy"))], &[]);
}

#[test]
fn a_run_is_trained_judged_and_exported_in_private() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    watch(
        &[
            "train",
            "--data",
            "gaussian8:500",
            "--batch-size",
            "50",
            "--device",
            "cpu",
            "--steps",
            "100",
            "--eval-every",
            "100",
            "--eval-count",
            "50",
            "--eval-steps",
            "2",
            "--sample-every",
            "0",
            "--out",
            text(&run),
        ],
        &[],
    );
    assert!(run.join("package/ddpm.json").is_file());
}

#[test]
fn pictures_are_evaluated_in_private_and_only_features_are_cached() {
    let digits = format!("mnist:{}", text(&root().join("tests/fixtures/digits")));
    let flags = ["--count", "8", "--steps", "1", "--device", "cpu", "--measures", "frechet"];
    let glyphs = root().join("models/glyphs");
    let eval = ["eval", text(&glyphs), "--against", &digits, "--image-size", "16"];
    watch(&[&eval[..], &flags].concat(), &["ddpm/evaluation"]);
}

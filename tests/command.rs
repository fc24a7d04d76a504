//! The `ddpm` command against the real server.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use crate::harness::{TestServer, binary};

fn ddpm(server: &TestServer, folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(binary("ddpm"));
    command.args(args).current_dir(folder).env("DDPM_SERVER", server.address());
    command.output().unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The names and bytes of a folder's files.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn sample_writes_pictures_a_grid_and_animations_and_the_same_again() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let args = |out| {
        [
            "sample", "glyphs", "-n", "4", "--label", "7,heart", "--steps", "10", "--seed", "3",
            "--gif", "--apng", "--json", "--out", out,
        ]
    };
    json(&ddpm(&server, folder.path(), &args("a")));
    json(&ddpm(&server, folder.path(), &args("b")));
    let (a, b) = (files(&folder.path().join("a")), files(&folder.path().join("b")));
    assert_eq!(a, b);
    let names: Vec<_> = a.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "glyphs-3-0.png",
            "glyphs-3-1.png",
            "glyphs-3-2.png",
            "glyphs-3-3.png",
            "glyphs-3-animated.png",
            "glyphs-3-grid.png",
            "glyphs-3.gif",
        ]
    );
}

#[tokio::test]
async fn every_sampler_of_the_contract_runs_through_the_command() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let samplers: [&[&str]; 6] = [
        &["--sampler", "ddpm", "--variance", "fixed-small"],
        &["--sampler", "ddpm", "--variance", "fixed-large", "--grid", "leading"],
        &["--sampler", "ddim", "--eta", "0"],
        &["--sampler", "ddim", "--eta", "1", "--clip-rule", "keep"],
        &["--sampler", "ddim", "--grid", "linspace", "--clip", "none"],
        &["--sampler", "ddim", "--grid", "quadratic"],
    ];
    for sampler in samplers {
        for model in ["glyphs", "toy"] {
            let common = ["sample", model, "-n", "3", "--steps", "8", "--seed", "1", "--json"];
            let output = ddpm(&server, folder.path(), &[&common[..], sampler].concat());
            json(&output);
        }
    }
}

#[tokio::test]
async fn models_and_status_say_what_is_served() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let models = ddpm(&server, folder.path(), &["models"]);
    let text = String::from_utf8(models.stdout).unwrap();
    assert!(text.contains("glyphs") && text.contains("toy"), "{text}");
    let status = json(&ddpm(&server, folder.path(), &["status", "--json"]));
    assert_eq!(status["device"]["name"], "cpu");
    assert_eq!(status["load"]["requests"], 0);
}

#[tokio::test]
async fn a_refusal_is_exit_code_5_and_writes_nothing() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let output = ddpm(&server, folder.path(), &["sample", "glyphs", "--steps", "5000"]);
    assert_eq!(output.status.code(), Some(5));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("num_steps must be in 1..=1000, got 5000"), "{log}");
    let pictures = fs::read_dir(folder.path().join("samples")).map_or(0, Iterator::count);
    assert_eq!(pictures, 0);
}

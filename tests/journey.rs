//! Real digits, from files on disk to a GIF over gRPC: train, verify, export again, serve,
//! sample. The 200 steps are enough for a working network, not for one that draws well (the
//! README has the real run).

use std::path::Path;
use std::process::{Command, Output};

use crate::harness::{TestServer, binary, root};

fn exporter(folder: &Path, args: &[&str]) -> Output {
    let output = Command::new(binary("ddpm-exporter"))
        .args(args)
        .current_dir(folder)
        .env("DDPM_DEVICE", "cpu")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

#[tokio::test]
async fn real_digits_go_all_the_way_from_files_to_a_gif() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("mnist:{}", root().join("tests/fixtures/digits").display());
    let train = ["train", "--data", &data, "--out", "run", "--name", "digits", "--steps", "200"];
    exporter(folder.path(), &[&train[..], &["--batch-size", "32", "--sample-every", "0"]].concat());
    let verified = exporter(folder.path(), &["verify", "run/package"]);
    let stdout = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(stdout.contains("libtorch") && stdout.contains("ONNX Runtime"), "{stdout}");
    exporter(folder.path(), &["export", "run", "--output", "models/digits", "--version", "2"]);
    exporter(folder.path(), &["inspect", "models/digits"]);

    let models = folder.path().join("models");
    let server = TestServer::start(&["--models", models.to_str().unwrap()]);
    let sampled = Command::new(binary("ddpm"))
        .args(["sample", "digits", "-n", "9", "--label", "0,1,2", "--seed", "4", "--gif"])
        .current_dir(folder.path())
        .env("DDPM_SERVER", server.address())
        .output()
        .unwrap();
    assert!(sampled.status.success(), "{}", String::from_utf8_lossy(&sampled.stderr));
    let gif = std::fs::read(folder.path().join("samples/digits-4.gif")).unwrap();
    assert!(gif.starts_with(b"GIF89a"));
}

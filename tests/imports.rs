//! Models of other programs can be served: an imported package is like any other, with its
//! own shape and labels.

use std::process::Command;

use crate::harness::{TestServer, binary, root};

/// Runs one of our programs, which must succeed.
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn imported_models_are_served_whatever_their_shape_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = root().join("tests/fixtures");
    for (name, source, flags) in [
        ("ddpm-torch", "checkpoints/ema.pt", &["--image-size", "16"][..]),
        ("oblong", "diffusers/ddpm", &[]),
        ("labelled", "diffusers/guided", &["--no-weights"]),
        ("one-channel", "diffusers/legacy", &[]),
    ] {
        let mut import = Command::new(binary("ddpm-exporter"));
        import.arg("import").arg(fixtures.join(source)).args(["--name", name, "--output"]);
        run(import.arg(folder.path().join("models").join(name)).args(flags));
    }

    let models = folder.path().join("models");
    let server = TestServer::start(&["--models", models.to_str().unwrap()]);
    for (name, flags) in [
        ("ddpm-torch", &[][..]),
        ("oblong", &["--sampler", "ddpm"]),
        ("labelled", &["--label", "0,2"]),
        ("one-channel", &[]),
    ] {
        let mut sample = Command::new(binary("ddpm"));
        sample.args(["sample", name, "-n", "2", "--seed", "4", "--steps", "5"]).args(flags);
        run(sample.current_dir(folder.path()).env("DDPM_SERVER", server.address()));
        let drawn = folder.path().join("samples").read_dir().unwrap().map(Result::unwrap);
        let files = drawn.filter(|file| file.file_name().to_string_lossy().starts_with(name));
        assert!(files.count() > 0, "{name}");
    }
}

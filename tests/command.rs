//! The `ddpm` command against the real server.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ddpm_client::Sampler;

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

/// Returns the names and bytes of a folder's files, sorted by name.
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
async fn sample_writes_pictures_a_grid_and_animations_reproducibly() {
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

/// Runs a command that must succeed; returns its stdout.
fn succeed(server: &TestServer, folder: &Path, line: &str) -> String {
    let output = ddpm(server, folder, &line.split_whitespace().collect::<Vec<_>>());
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the bytes of the only file with that ending.
fn file_with(folder: &Path, ending: &str) -> Vec<u8> {
    let mut found = files(folder).into_iter().filter(|(name, _)| name.ends_with(ending));
    let (_, bytes) = found.next().unwrap();
    assert!(found.next().is_none());
    bytes
}

#[tokio::test]
async fn rows_of_every_sampler_printed_and_sent_back_give_the_same_bytes() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let picture = "sample glyphs -n 1 --seed 5 --steps 10 --label 3 --no-grid --out picture";
    succeed(&server, path, picture);
    for sampler in Sampler::ALL {
        let (name, encodes) = (sampler.name(), sampler.encodes());
        let image = if encodes { "--image picture/glyphs-5-0.png" } else { "" };
        let walk = format!("--sampler {sampler} --steps 6 --label 3 {image}");
        let rows = succeed(&server, path, &format!("program glyphs {walk} --json"));
        fs::write(path.join("rows.json"), rows).unwrap();
        let common = "sample glyphs -n 2 --seed 9 --format npy --no-grid";
        succeed(&server, path, &format!("{common} {walk} --out named-{name}"));
        let own = format!("--program rows.json --label 3 {image}");
        succeed(&server, path, &format!("{common} {own} --out own-{name}"));
        let [named, own] =
            ["named", "own"].map(|kind| file_with(&path.join(format!("{kind}-{name}")), ".npy"));
        assert!(named == own, "{name}");
    }
}

#[tokio::test]
async fn every_grid_clip_and_edit_runs_through_the_command() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let picture = "sample glyphs -n 1 --seed 5 --steps 10 --label 3 --no-grid --out picture";
    succeed(&server, path, picture);
    let image = "--image picture/glyphs-5-0.png --strength 0.5";
    let known = "--known picture/glyphs-5-0.png --mask picture/glyphs-5-0.png";
    let lines = [
        "--grid karras:rho=5 --clip none --sampler unipc:order=3",
        "--grid timesteps:999-500.5-20 --clip dynamic:quantile=0.99",
        "--grid sigmas:20-5-1-0.1-0 --sampler euler",
        "--grid ddim:25 --sampler ddim:eta=1,clip-rule=keep-eps",
        "--sampler auto --steps 8",
        "--steps 8 --label 3 --guidance 3 --guidance-interval 0.5:5",
        &format!("--steps 8 {image}"),
        &format!("--steps 8 {known}"),
        &format!("--steps 8 {known} --inpaint replace-xt --resampling 2 --jump-length 2"),
        "--steps 8 --share-noise 4 --share start",
        "--steps 8 --format u8 --gif --strip",
    ];
    for line in lines {
        succeed(&server, path, &format!("sample glyphs -n 2 --seed 1 {line}"));
    }
}

#[tokio::test]
async fn the_command_that_encode_prints_restores_the_picture() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let picture = "sample glyphs -n 1 --seed 5 --label 3 --steps 20 --format u8 --out picture";
    succeed(&server, path, &format!("{picture} --no-grid"));
    succeed(&server, path, &picture.replace("u8", "png --no-grid"));
    let picture = file_with(&path.join("picture"), ".u8");
    for grid in ["", "--grid trailing"] {
        let encode = "encode glyphs picture/glyphs-5-0.png --label 3 --steps 200 --json";
        let report = succeed(&server, path, &format!("{encode} {grid} --out x_T.npy"));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let line = report["decode"].as_str().unwrap();
        // Run it unchanged: it names the server, which is not at the default address.
        let mut shell = Command::new("sh");
        let commands = binary("ddpm").parent().unwrap().to_owned();
        let search = std::env::var_os("PATH").unwrap_or_default();
        let search =
            std::env::join_paths(std::iter::once(commands).chain(std::env::split_paths(&search)));
        shell.args(["-c", &format!("{line} --format u8 --out back")]).current_dir(path);
        let output = shell.env("PATH", search.unwrap()).env_remove("DDPM_SERVER").output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        let back = file_with(&path.join("back"), ".u8");
        fs::remove_dir_all(path.join("back")).unwrap();
        let squares = picture.iter().zip(&back).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
        let mean = squares.sum::<f64>() / picture.len() as f64;
        let psnr = 10.0 * (255.0f64 * 255.0 / mean).log10();
        assert!(psnr > 30.0, "{psnr} dB from: {line}");
    }
}

#[tokio::test]
async fn a_picture_and_its_report_say_how_it_was_edited() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let base = "sample glyphs -n 1 --seed 5 --label 3 --steps 10 --sampler ddim --no-grid --json";
    succeed(&server, path, &format!("{base} --out picture"));
    let known = "--known picture/glyphs-5-0.png --mask picture/glyphs-5-0.png";
    let repaint = format!("{known} --inpaint replace-xt --resampling 2");
    let cases = [
        (
            "--image picture/glyphs-5-0.png --strength 0.5",
            "strength",
            "0.5",
            "ddpm.strength\x000.5",
        ),
        (known, "inpaint", r#"{"method":"replace-x0"}"#, "ddpm.inpaint\0replace-x0"),
        (
            repaint.as_str(),
            "inpaint",
            r#"{"jump_length":1,"method":"replace-xt","resampling":2}"#,
            "ddpm.inpaint\0replace-xt 2,1",
        ),
    ];
    for (number, (flags, key, value, text)) in cases.into_iter().enumerate() {
        let report = succeed(&server, path, &format!("{base} {flags} --out edit{number}"));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["receipt"][key].to_string(), value);
        let png = file_with(&path.join(format!("edit{number}")), ".png");
        assert!(png.windows(text.len()).any(|bytes| bytes == text.as_bytes()), "{text:?}");
    }
    let way = "interpolate glyphs --from 0 --to 1 --frames 3 --steps 10 --json --out way";
    let report: serde_json::Value = serde_json::from_str(&succeed(&server, path, way)).unwrap();
    assert_eq!(report["receipt"]["interpolation_frames"], 3);
}

#[tokio::test]
async fn an_interpolation_with_churn_begins_and_ends_with_the_samples_of_its_ends() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    // On a beta schedule its first row is churn, which has no evaluation.
    let walk = "--label 3 --steps 6 --sampler edm-heun:s-tmax=1000 --seed 3 --format u8";
    succeed(
        &server,
        path,
        &format!("interpolate glyphs --from 0 --to 2 --frames 3 {walk} --out way"),
    );
    // All frames share the noise of index 0 in their steps.
    let shared = "--share-noise 0 --share steps --out ends";
    succeed(&server, path, &format!("sample glyphs --indices 0,2 {walk} {shared}"));
    let read = |name: &str| fs::read(path.join(name)).unwrap();
    assert!(read("way/glyphs-3-0.u8") == read("ends/glyphs-3-0.u8"));
    assert!(read("way/glyphs-3-2.u8") == read("ends/glyphs-3-2.u8"));
}

#[tokio::test]
async fn an_interpolation_between_samples_begins_and_ends_with_them() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let walk = "--label 3 --steps 10 --sampler ddim";
    let way =
        "interpolate glyphs --from 0 --to 5:2 --frames 4 --seed 3 --format u8 --gif --out way";
    succeed(&server, path, &format!("{way} {walk}"));
    let one = |index: u64, seed: u64| {
        let which = format!("--indices {index} --seed {seed} --format u8 --out ends");
        succeed(&server, path, &format!("sample glyphs {which} {walk}"));
        fs::read(path.join(format!("ends/glyphs-{seed}-{index}.u8"))).unwrap()
    };
    let names: Vec<String> = files(&path.join("way")).into_iter().map(|(name, _)| name).collect();
    let frame = |index: u64| fs::read(path.join(format!("way/glyphs-3-{index}.u8"))).unwrap();
    assert_eq!((frame(0), frame(3)), (one(0, 3), one(2, 5)));
    assert!(frame(1) != frame(0) && frame(1) != frame(2));
    assert_eq!(names.len(), 4 + 2, "{names:?}");
}

#[tokio::test]
async fn samples_do_not_depend_on_how_a_request_is_split() {
    let folder = tempfile::tempdir().unwrap();
    let line = "sample toy -n 50 --seed 3 --steps 5 --json --out";
    for (limit, out) in [("7", "small"), ("1000", "large")] {
        let server = TestServer::start(&["--max-samples", limit]);
        let report = succeed(&server, folder.path(), &format!("{line} {out}"));
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["completed"]["samples"], 50);
        assert_eq!(report["completed"]["evals"], 250);
    }
    assert!(files(&folder.path().join("small")) == files(&folder.path().join("large")));
}

#[tokio::test]
async fn models_and_status_describe_the_server() {
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let models = ddpm(&server, folder.path(), &["models"]);
    let text = String::from_utf8(models.stdout).unwrap();
    assert!(text.contains("glyphs") && text.contains("toy"), "{text}");
    let status = json(&ddpm(&server, folder.path(), &["status", "--json"]));
    assert_eq!(status["device"]["name"], "cpu");
    assert_eq!(status["load"]["requests"], 0);

    succeed(&server, folder.path(), "sample toy -n 100 --seed 1 --steps 10");
    let status = json(&ddpm(&server, folder.path(), &["status", "--json"]));
    let seconds = |name: &str| status["load"][name].as_f64().unwrap();
    let (busy, kernel) = (seconds("busy_seconds"), seconds("kernel_seconds"));
    assert!(busy > 0.0 && kernel > 0.0 && busy + kernel <= seconds("active_seconds"));
    let text = succeed(&server, folder.path(), "status");
    assert!(text.contains("% in kernel and noise"), "{text}");
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

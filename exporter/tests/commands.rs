//! Promises of the command line: the whole way from data to a verified package, exit codes, and what
//! is left when something goes wrong.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddpm_exporter::train::Checkpoint;
use tch::Device;

const EXPORTER: &str = env!("CARGO_BIN_EXE_ddpm-exporter");
const DIGITS: &str = concat!("mnist:", env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/digits");
/// A toy run of a few steps.
const TOY: &[&str] = &["--data", "gaussian8:500", "--batch-size", "50", "--device", "cpu"];

/// One thread a process: the tests are many at a time.
fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env("OMP_NUM_THREADS", "1");
    command
}

fn exporter(arguments: &[&str]) -> Output {
    program(EXPORTER).args(arguments).output().unwrap()
}

/// Runs a command that must succeed, and returns its stdout.
fn ok(arguments: &[&str]) -> String {
    let output = exporter(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn digits_go_the_whole_way_from_files_to_a_verified_package() {
    let folder = tempfile::tempdir().unwrap();
    let (run, package) = (folder.path().join("run"), folder.path().join("run/package"));
    let train = ["train", "--data", DIGITS, "--out", text(&run), "--name", "digits"];
    let short = ["--steps", "20", "--batch-size", "16", "--lr", "1e-3", "--warmup", "0"];
    let cheap = ["--sample-every", "10", "--device", "cpu"];
    let printed = ok(&[&train[..], &short, &cheap].concat());
    assert_eq!(printed.trim(), text(&package));
    // The last of them makes it a pipeline of diffusers too.
    for file in ["ddpm.json", "README.md", "training.json", "samples/grid.png", "model_index.json"]
    {
        assert!(package.join(file).is_file(), "{file}");
    }
    assert!(run.join("samples/step-0000010.png").is_file());
    // A package may travel: it names no folder of the machine that made it.
    let provenance = fs::read_to_string(package.join("training.json")).unwrap();
    assert!(provenance.contains("\"mnist:digits\""), "{provenance}");

    let verified = ok(&["verify", text(&package)]);
    assert!(verified.contains("libtorch") && verified.contains("ONNX Runtime"), "{verified}");
    assert_eq!(verified.matches(": ok").count(), 2, "{verified}");
    assert!(ok(&["inspect", text(&package)]).contains("model package"));
    assert!(ok(&["inspect", text(&run)]).contains("checkpoint"));
    let json = ok(&["inspect", "--json", text(&package.join("unet/model.onnx"))]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["graph"]["model"]["num_classes"], 10);

    let again = folder.path().join("again");
    ok(&["export", text(&run), "--output", text(&again), "--version", "2"]);
    let taken = exporter(&["export", text(&run), "--output", text(&again)]);
    assert_eq!(taken.status.code(), Some(3));
    assert!(stderr(&taken).contains("--force"));
    ok(&["export", text(&run), "--output", text(&again), "--force", "--no-weights"]);
    assert!(!again.join("model_index.json").exists());
}

#[test]
fn a_run_and_its_package_draw_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ok(&[&["train", "--out", text(&run), "--steps", "30", "--no-weights"], TOY].concat());
    let card = fs::read_to_string(run.join("package/README.md")).unwrap();
    assert!(card.contains("written with --no-weights"), "{card}");
    let array = |model: &Path, name: &str| {
        let out = folder.path().join(name);
        let flags = ["--count", "5", "--seed", "3", "--device", "cpu"];
        ok(&[&["sample", text(model), "--out", text(&out)], &flags[..]].concat());
        assert!(out.join("grid.png").is_file());
        fs::read(out.join("samples.npy")).unwrap()
    };
    assert_eq!(array(&run, "a"), array(&run.join("package"), "b"));
}

#[test]
fn auto_draws_what_the_sampler_that_it_chooses_draws() {
    let folder = tempfile::tempdir().unwrap();
    let toy = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/toy");
    let drawn = |how: &[&str]| {
        let out = folder.path().join(how.join(" "));
        ok(&[&["sample", toy, "--count", "3", "--device", "cpu", "--out", text(&out)], how]
            .concat());
        fs::read(out.join("samples.npy")).unwrap()
    };
    // What docs/samplers/quality.md says for points on betas.
    let chosen =
        ["--sampler", "ddpm:variance=fixed-small", "--grid", "exponential", "--steps", "10"];
    assert_eq!(drawn(&["--sampler", "auto", "--steps", "10"]), drawn(&chosen));

    let refused = exporter(&[
        "sample",
        toy,
        "--out",
        text(folder.path()),
        "--sampler",
        "auto",
        "--grid",
        "karras",
    ]);
    assert!(stderr(&refused).contains("leave --grid out"), "{}", stderr(&refused));
}

#[test]
fn golden_outputs_that_are_not_the_graphs_fail_the_check_with_exit_code_6() {
    let folder = tempfile::tempdir().unwrap();
    let [right, wrong] = ["right", "wrong"].map(|name| folder.path().join(name));
    for (run, seed) in [(&right, "1"), (&wrong, "2")] {
        ok(&[&["train", "--out", text(run), "--steps", "30", "--seed", seed], TOY].concat());
    }
    // The golden vectors of one model in a package of the other, listed as they are.
    let golden = "package/testdata/golden.safetensors";
    let listed = |run: &Path| {
        let json = fs::read_to_string(run.join("package/ddpm.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&json).unwrap();
        let files = manifest["files"].as_array().unwrap().clone();
        let entry = files.iter().find(|file| golden.ends_with(file["path"].as_str().unwrap()));
        (json, entry.unwrap()["sha256"].as_str().unwrap().to_owned())
    };
    let ((json, from), (_, to)) = (listed(&wrong), listed(&right));
    fs::copy(right.join(golden), wrong.join(golden)).unwrap();
    let damaged = exporter(&["verify", text(&wrong.join("package"))]);
    assert_eq!(damaged.status.code(), Some(3), "{}", stderr(&damaged));

    fs::write(wrong.join("package/ddpm.json"), json.replace(&from, &to)).unwrap();
    let differs = exporter(&["verify", text(&wrong.join("package"))]);
    assert_eq!(differs.status.code(), Some(6), "{}", stderr(&differs));
    assert!(stderr(&differs).contains("differs from the golden outputs"));
}

#[test]
fn a_signal_makes_a_checkpoint_and_tells_how_to_go_on() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let long = ["train", "--out", text(&run), "--steps", "100000000", "--no-export"];
        let child = program(EXPORTER)
            .args([&long[..], TOY].concat())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The log has a line once the loop runs.
        let deadline = Instant::now() + Duration::from_secs(120);
        while fs::metadata(run.join("metrics.jsonl")).map_or(0, |file| file.len()) == 0 {
            assert!(Instant::now() < deadline, "no step was taken");
            sleep(Duration::from_millis(20));
        }
        let signal = [format!("-{signal}"), child.id().to_string()];
        assert!(Command::new("kill").args(signal).status().unwrap().success());
        let output = child.wait_with_output().unwrap();

        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let resume = format!("ddpm-exporter train --resume {}", run.display());
        assert!(stderr(&output).contains(&resume), "{}", stderr(&output));
        let steps = Checkpoint::find(&run).unwrap().state().steps_done;
        let more = (steps + 2).to_string();
        ok(&["train", "--resume", text(&run), "--steps", &more, "--no-export", "--device", "cpu"]);
        assert_eq!(Checkpoint::find(&run).unwrap().state().steps_done, steps + 2);
    }
}

#[test]
fn a_full_disk_at_a_checkpoint_leaves_the_one_before_whole() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ok(&[&["train", "--out", text(&run), "--steps", "2", "--no-export"], TOY].concat());

    // The system refuses to let a file grow beyond 100 KiB; the weights alone take 262.
    let output = program("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"", EXPORTER])
        .args(["train", "--resume", text(&run), "--steps", "4", "--device", "cpu", "--no-export"])
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains("step-0000004/weights.safetensors: cannot be written"), "{said}");
    assert!(said.contains("earlier checkpoints are untouched"), "{said}");
    let names: Vec<_> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["step-0000002"]);
    let kept = Checkpoint::find(&run).unwrap();
    assert_eq!(kept.trainer(Device::Cpu).unwrap().steps_done(), 2);
}

#[test]
fn bad_input_is_a_sentence_and_exit_code_2_or_3() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"not a folder").unwrap();
    let below_a_file = file.join("run");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let (out, data) = (folder.path().join("out"), format!("folder:{}", empty.display()));
    let out = text(&out);
    let cases: [(&[&str], i32, &str); 12] = [
        (&["train", "--data", "photos", "--out", out], 2, "none called `photos`"),
        (&["train", "--out", out], 2, "--data"),
        (&["train", "--data", "glyphs", "--out", out, "--resume", out], 2, "cannot be used with"),
        (&["train", "--data", &data, "--out", out], 3, text(&empty)),
        (&["train", "--data", "glyphs:9", "--out", out, "--num-groups", "7"], 3, "7 groups"),
        (&["train", "--data", "glyphs:9", "--out", out, "--loss", "hybrid"], 3, "use mse or kl"),
        (&["train", "--data", "swissroll:9", "--out", out, "--num-groups", "7"], 3, "num_groups"),
        (&["train", "--data", "swissroll:9", "--out", text(&below_a_file)], 1, "cannot be written"),
        (
            &["train", "--data", "swissroll:9", "--out", out, "--data-on", "device"],
            3,
            "for pictures",
        ),
        (&["train", "--resume", text(&empty)], 3, "no checkpoint to go on from"),
        (&["verify", text(&empty)], 3, "not a model package"),
        (&["inspect", text(&file)], 3, "not an ONNX file"),
    ];
    for (arguments, code, sentence) in cases {
        let output = exporter(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{arguments:?}: {}", stderr(&output));
    }
    assert!(!Path::new(out).exists(), "what is refused leaves nothing");
}

#[test]
fn cuda_that_is_not_there_is_an_error_with_the_reason() {
    // A GPU of this number is nowhere.
    let out = tempfile::tempdir().unwrap();
    let device = ["--device", "cuda:4000000000"];
    let train = ["train", "--data", "swissroll:9", "--out", text(out.path())];
    let output = exporter(&[&train[..], &device].concat());
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("cannot be used"), "{}", stderr(&output));
}

#[test]
fn a_run_goes_on_to_the_bit_with_as_many_threads_and_says_so_if_there_are_others() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let begin = |out: &Path, steps: &str| {
        let flags =
            ["train", "--out", text(out), "--steps", steps, "--threads", "2", "--no-export"];
        ok(&[&flags, TOY].concat());
    };
    let go_on = |steps: &str, threads: &str| {
        let flags = ["--resume", text(&parts), "--steps", steps, "--threads", threads];
        let output = exporter(&[&["train", "--device", "cpu", "--no-export"], &flags[..]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let weights = |run: &Path| {
        let checkpoint = Checkpoint::find(run).unwrap();
        fs::read(checkpoint.folder().join("weights.safetensors")).unwrap()
    };
    begin(&whole, "4");
    begin(&parts, "2");
    assert_eq!(Checkpoint::find(&parts).unwrap().state().workers, Some(2));

    let said = go_on("4", "2");
    assert!(!said.contains("warning"), "{said}");
    assert!(weights(&parts) == weights(&whole), "the same bits");

    let said = go_on("6", "1");
    assert!(said.contains("warning: 2 threads") && said.contains("--threads 2"), "{said}");
}

//! Promises of the command line: from data to a verified package, exit codes, and what remains when
//! something goes wrong.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ddpm_training::Checkpoint;
use tch::Device;

use crate::support::{self, EXPORTER, exporter, on_one_thread, stderr, stdout, succeed, text};

const DIGITS: &str = concat!("mnist:", env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/digits");
/// A toy run of a few steps.
const TOY: &[&str] = &["--data", "gaussian8:500", "--batch-size", "50", "--device", "cpu"];

/// Runs a command that must succeed, and returns its stdout.
fn ok(arguments: &[&str]) -> String {
    stdout(&succeed(&mut exporter(arguments)))
}

#[test]
fn digits_go_from_files_to_a_verified_package() {
    let folder = tempfile::tempdir().unwrap();
    let (run, package) = (folder.path().join("run"), folder.path().join("run/package"));
    let train = ["train", "--data", DIGITS, "--out", text(&run), "--name", "digits"];
    let short = ["--steps", "20", "--batch-size", "16", "--lr", "1e-3", "--warmup", "0"];
    let cheap = ["--sample-every", "10", "--device", "cpu"];
    let printed = ok(&[&train[..], &short, &cheap].concat());
    assert_eq!(printed.trim(), text(&package));
    // The last file also makes it a diffusers pipeline.
    for file in ["ddpm.json", "README.md", "training.json", "samples/grid.png", "model_index.json"]
    {
        assert!(package.join(file).is_file(), "{file}");
    }
    assert!(run.join("samples/step-0000010.png").is_file());
    // Packages get copied, so they name no folder of the machine that made them.
    let provenance = fs::read_to_string(package.join("training.json")).unwrap();
    assert!(provenance.contains("\"mnist:digits\""), "{provenance}");

    let verified = ok(&["verify", text(&package)]);
    assert!(verified.contains("libtorch") && verified.contains("ONNX Runtime"), "{verified}");
    assert_eq!(verified.matches(": ok").count(), 3, "{verified}");
    assert!(ok(&["inspect", text(&package)]).contains("model package"));
    assert!(ok(&["inspect", text(&run)]).contains("checkpoint"));
    let json = ok(&["inspect", "--json", text(&package.join("unet/model.onnx"))]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["graph"]["model"]["num_classes"], 10);

    let again = folder.path().join("again");
    ok(&["export", text(&run), "--output", text(&again), "--version", "2"]);
    let taken = support::run(&["export", text(&run), "--output", text(&again)]);
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
fn auto_draws_the_samples_of_the_sampler_it_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let toy = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/toy");
    let drawn = |sampling: &[&str]| {
        let out = folder.path().join(sampling.join(" "));
        let sample = ["sample", toy, "--count", "3", "--device", "cpu", "--out", text(&out)];
        ok(&[&sample, sampling].concat());
        fs::read(out.join("samples.npy")).unwrap()
    };
    // As in docs/samplers/quality.md for points on a schedule of betas.
    let chosen =
        ["--sampler", "ddpm:variance=fixed-small", "--grid", "exponential", "--steps", "10"];
    assert_eq!(drawn(&["--sampler", "auto", "--steps", "10"]), drawn(&chosen));

    let refused = support::run(&[
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
fn golden_outputs_that_differ_from_the_graphs_end_in_exit_code_6() {
    let folder = tempfile::tempdir().unwrap();
    let [right, wrong] = ["right", "wrong"].map(|name| folder.path().join(name));
    for (run, seed) in [(&right, "1"), (&wrong, "2")] {
        ok(&[&["train", "--out", text(run), "--steps", "30", "--seed", seed], TOY].concat());
    }
    // Puts the golden vectors of one model into the other's package, at first unlisted.
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
    let damaged = support::run(&["verify", text(&wrong.join("package"))]);
    assert_eq!(damaged.status.code(), Some(3), "{}", stderr(&damaged));

    fs::write(wrong.join("package/ddpm.json"), json.replace(&from, &to)).unwrap();
    let differs = support::run(&["verify", text(&wrong.join("package"))]);
    assert_eq!(differs.status.code(), Some(6), "{}", stderr(&differs));
    assert!(stderr(&differs).contains("differs from the golden outputs"));
}

#[test]
fn a_signal_saves_a_checkpoint_and_says_how_to_resume() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let long = ["train", "--out", text(&run), "--steps", "100000000", "--no-export"];
        let child = exporter(&[&long[..], TOY].concat()).stderr(Stdio::piped()).spawn().unwrap();
        // The log gets its first line once the loop runs.
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
fn a_disk_that_fills_up_at_a_checkpoint_leaves_the_previous_one_whole() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    ok(&[&["train", "--out", text(&run), "--steps", "2", "--no-export"], TOY].concat());

    // The limit on file sizes is 100 KiB; the weights alone take 262.
    let output = on_one_thread("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 100; exec \"$0\" \"$@\"", EXPORTER])
        .args(["train", "--resume", text(&run), "--steps", "4", "--device", "cpu", "--no-export"])
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let printed = stderr(&output);
    assert!(printed.contains("step-0000004/weights.safetensors: cannot be written"), "{printed}");
    assert!(printed.contains("earlier checkpoints are untouched"), "{printed}");
    let names: Vec<_> = fs::read_dir(run.join("checkpoints"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["step-0000002"]);
    let kept = Checkpoint::find(&run).unwrap();
    assert_eq!(kept.trainer(Device::Cpu).unwrap().steps_done(), 2);
}

#[test]
fn bad_input_is_refused_in_a_sentence_with_exit_code_2_or_3() {
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
        (&["train", "--data", "glyphs", "--out", out, "--resume", out], 2, "leave out --out"),
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
        (&["train", "--resume", text(&empty)], 3, "no checkpoint to resume from"),
        (&["verify", text(&empty)], 3, "not a model package"),
        (&["inspect", text(&file)], 3, "not an ONNX file"),
    ];
    for (arguments, code, sentence) in cases {
        let output = support::run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(sentence), "{arguments:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{arguments:?}: {}", stderr(&output));
    }
    assert!(!Path::new(out).exists(), "a refused command leaves nothing behind");
}

#[test]
fn a_missing_gpu_is_refused_with_the_reason() {
    // No machine has a GPU of this number.
    let out = tempfile::tempdir().unwrap();
    let device = ["--device", "cuda:4000000000"];
    let train = ["train", "--data", "swissroll:9", "--out", text(out.path())];
    let output = support::run(&[&train[..], &device].concat());
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("cannot be used"), "{}", stderr(&output));
}

#[test]
fn a_resumed_run_keeps_its_bits_with_the_same_threads_and_warns_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, parts] = ["whole", "parts"].map(|name| folder.path().join(name));
    let begin = |out: &Path, steps: &str| {
        let flags =
            ["train", "--out", text(out), "--steps", steps, "--threads", "2", "--no-export"];
        ok(&[&flags, TOY].concat());
    };
    let resume = |steps: &str, threads: &str| {
        let flags = ["--resume", text(&parts), "--steps", steps, "--threads", threads];
        let train = ["train", "--device", "cpu", "--no-export"];
        stderr(&succeed(&mut exporter(&[&train, &flags[..]].concat())))
    };
    let weights = |run: &Path| {
        let checkpoint = Checkpoint::find(run).unwrap();
        fs::read(checkpoint.folder().join("weights.safetensors")).unwrap()
    };
    begin(&whole, "4");
    begin(&parts, "2");
    assert_eq!(Checkpoint::find(&parts).unwrap().state().workers, Some(2));

    let printed = resume("4", "2");
    assert!(!printed.contains("warning"), "{printed}");
    assert!(weights(&parts) == weights(&whole), "the same bits");

    let printed = resume("6", "1");
    assert!(printed.contains("warning: 2 threads") && printed.contains("--threads 2"), "{printed}");
}

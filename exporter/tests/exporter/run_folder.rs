//! Promises about the folder of a run: one process at a time writes it, a resumed run is trained on
//! what it began with, and damage is found before it does harm.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use image::{Rgb, RgbImage};

use crate::support::{exporter, stderr, stdout, succeed, text};

const TINY: &[&str] = &[
    "--hid-channels",
    "8",
    "--ch-multipliers",
    "1,1",
    "--num-res-blocks",
    "1",
    "--apply-attn",
    "false,false",
    "--num-groups",
    "4",
    "--batch-size",
    "4",
    "--checkpoint-every",
    "2",
    "--device",
    "cpu",
    "--held-out",
    "0",
];

/// Makes a folder of pictures of 8x8, each of its own colour.
fn pictures(folder: &Path, count: u8) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    for i in 0..count {
        let picture = RgbImage::from_pixel(8, 8, Rgb([i, 200 - i, 7]));
        picture.save(folder.join(format!("{i:03}.png"))).unwrap();
    }
    folder.to_path_buf()
}

/// Prepares a run without pictures.
fn begin(run: &Path, data: &Path, steps: &str) -> Command {
    let mut command = begin_watched(run, data, steps);
    command.args(["--sample-every", "0"]);
    command
}

fn begin_watched(run: &Path, data: &Path, steps: &str) -> Command {
    let source = format!("folder:{}", data.display());
    let mut command = exporter(&["train", "--out", text(run), "--data", &source, "--steps", steps]);
    command.args(TINY);
    command
}

fn resume(run: &Path, flags: &[&str]) -> Command {
    let mut command = exporter(&["train", "--resume", text(run), "--device", "cpu"]);
    command.args(flags);
    command
}

/// Runs a command that must be refused, and returns what it says.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success(), "{command:?} succeeded");
    assert_ne!(output.status.code(), Some(101), "{}", stderr(&output));
    stderr(&output)
}

#[test]
fn a_run_that_another_process_trains_is_refused_with_host_and_process() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    let mut live =
        begin(&run, &data, "1000000").args(["--no-export"]).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while fs::read_dir(run.join("checkpoints")).map_or(0, Iterator::count) == 0 {
        assert!(Instant::now() < deadline, "it saves nothing");
        sleep(Duration::from_millis(10));
    }
    let process = format!("process {} on ", live.id());
    for command in [
        &mut resume(&run, &[]),
        &mut begin(&run, &data, "8"),
        begin(&run, &data, "8").arg("--resume-or-start"),
    ] {
        let message = refused(command);
        assert!(message.contains("is being trained by") && message.contains(&process), "{message}");
    }
    // kill -9 leaves nothing behind that would need cleaning up.
    live.kill().unwrap();
    live.wait().unwrap();
    let done = steps_done(&run) + 2;
    succeed(&mut resume(&run, &["--no-export", "--steps", &done.to_string()]));
}

fn steps_done(run: &Path) -> u32 {
    ddpm_training::Checkpoint::find(run).unwrap().state().steps_done
}

#[test]
fn a_process_of_a_launcher_is_refused_unless_it_says_that_it_trains_with_others() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    let slurm = [("SLURM_PROCID", "0"), ("SLURM_NTASKS", "2"), ("SLURM_LOCALID", "0")];
    let torchrun = [("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")];
    let mpirun = [("OMPI_COMM_WORLD_SIZE", "2"), ("OMPI_COMM_WORLD_RANK", "0"), ("A", "")];
    for variables in [slurm, torchrun, mpirun] {
        let message = refused(begin(&run, &data, "2").envs(variables));
        assert!(message.contains("add --distributed"), "{message}");
        assert!(!run.exists());
    }
}

#[test]
fn a_run_resumes_on_moved_data_but_not_on_changed_data() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    succeed(begin(&run, &data, "2").arg("--no-export"));

    let moved = folder.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    let message = refused(&mut resume(&run, &["--steps", "4"]));
    assert!(message.contains("if the data has moved, name its place with --data"), "{message}");
    let source = format!("folder:{}", moved.display());
    succeed(&mut resume(&run, &["--steps", "4", "--data", &source]));
    // It remembers the new place.
    succeed(&mut resume(&run, &["--steps", "6"]));

    // One pixel of one picture, with its size and time as they were.
    let path = moved.join("003.png");
    let mut picture = image::open(&path).unwrap().into_rgb8();
    picture.put_pixel(5, 5, Rgb([3, 197, 8]));
    picture.save(&path).unwrap();
    let message = refused(&mut resume(&run, &["--steps", "8"]));
    assert!(message.contains("--allow-changed-data"), "{message}");
    // The same holds for a start that finds the run.
    let message = refused(begin(&run, &moved, "8").args(["--resume-or-start", "--no-export"]));
    assert!(message.contains("data"), "{message}");
    // A picture more is a change too.
    pictures(&moved, 9);
    let message = refused(&mut resume(&run, &["--steps", "8"]));
    assert!(message.contains("9 items") && message.contains("--allow-changed-data"), "{message}");

    succeed(&mut resume(&run, &["--steps", "8", "--allow-changed-data"]));
    succeed(&mut resume(&run, &["--steps", "10"]));
}

#[test]
fn a_damaged_checkpoint_is_refused_with_the_name_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    succeed(begin(&run, &data, "6").arg("--no-export"));
    let newest = run.join("checkpoints/step-0000006");
    let (out, samples) = (folder.path().join("package"), folder.path().join("samples"));
    for name in ["ema.safetensors", "state.json", "optimizer.safetensors"] {
        let path = newest.join(name);
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        fs::write(&path, damaged).unwrap();
        let mut commands = vec![resume(&run, &["--steps", "8"])];
        // Only resuming needs the state of the optimiser.
        if name != "optimizer.safetensors" {
            commands.push(exporter(&["export", text(&run), "--output", text(&out)]));
            commands.push(exporter(&["sample", text(&run), "--out", text(&samples)]));
        }
        for command in &mut commands {
            let message = refused(command);
            assert!(message.contains(name), "{message}");
            assert!(message.contains("checkpoint before it is"), "{message}");
            assert!(message.contains("step-0000004"), "{message}");
        }
        assert!(!out.exists() && !samples.exists());
        fs::write(&path, whole).unwrap();
    }
    // The digests are in the format of sha256sum.
    let checked =
        Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&newest).status();
    assert!(checked.unwrap().success());
    // A file that is gone is damage too.
    fs::remove_file(newest.join("ema.safetensors")).unwrap();
    let message = refused(&mut exporter(&["export", text(&run), "--output", text(&out)]));
    assert!(message.contains("ema.safetensors"), "{message}");
    // What the message advises works.
    fs::remove_dir_all(&newest).unwrap();
    succeed(&mut resume(&run, &["--steps", "6"]));
}

#[test]
fn a_checkpoint_of_a_version_without_digests_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    succeed(begin(&run, &data, "2").arg("--no-export"));
    let checkpoint = run.join("checkpoints/step-0000002");
    fs::remove_file(checkpoint.join("SHA256SUMS")).unwrap();
    // This version's own has them, and says so.
    let message = refused(&mut resume(&run, &["--steps", "4"]));
    assert!(message.contains("SHA256SUMS") && message.contains("missing"), "{message}");
    let path = checkpoint.join("state.json");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state.as_object_mut().unwrap().remove("digests");
    let config = state["config"].as_object_mut().unwrap();
    config.remove("export");
    let data = config["data"].as_object_mut().unwrap();
    data.remove("digest");
    data.remove("items");
    fs::write(&path, serde_json::to_vec(&state).unwrap()).unwrap();
    succeed(&mut resume(&run, &["--steps", "4", "--no-export"]));
}

#[test]
fn a_run_of_fewer_steps_than_it_has_taken_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    succeed(begin(&run, &data, "6").arg("--no-export"));
    for command in [
        &mut resume(&run, &["--steps", "4"]),
        &mut resume(&run, &["--epochs", "1"]),
        begin(&run, &data, "4").args(["--resume-or-start", "--no-export"]),
    ] {
        let message = refused(command);
        assert!(message.contains("has already taken 6"), "{message}");
    }
}

#[test]
fn a_resumed_run_remembers_whether_it_is_to_be_exported_and_how() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    // Enough to have learned something: packages of untrained networks are refused.
    let quick = ["--lr", "1e-2", "--warmup", "0", "--ema-decay", "0"];
    succeed(begin(&run, &data, "40").args(["--no-export", "--no-weights"]).args(quick));
    succeed(&mut resume(&run, &["--steps", "42"]));
    assert!(!run.join("package").exists());
    let printed = stdout(&succeed(&mut resume(&run, &["--export"])));
    assert_eq!(printed.trim(), text(&run.join("package")));
    assert!(!run.join("package/model_index.json").exists());
    succeed(&mut resume(&run, &["--steps", "44", "--export", "--with-weights"]));
    assert!(run.join("package/model_index.json").exists());
}

#[test]
fn pictures_that_are_made_smaller_and_passes_over_the_data_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    let output = succeed(begin(&run, &data, "6").args(["--image-size", "4", "--no-export"]));
    let notes = stderr(&output);
    assert!(notes.contains("pictures of up to 8x8 are cropped and resized to 4x4"), "{notes}");
    // 6 steps of 4 pictures, of 8.
    assert!(notes.contains("from step 0 to 6: 3 passes over the data"), "{notes}");
    let same = succeed(&mut resume(&run, &["--steps", "8"]));
    assert!(stderr(&same).contains("resized to 4x4"), "{}", stderr(&same));
}

#[test]
fn resume_lists_just_the_flags_that_were_given_and_may_not_be() {
    let message = refused(&mut resume(
        Path::new("run"),
        &["--lr", "1", "--out", "x", "--beta-schedule", "cosine"],
    ));
    assert!(message.contains("leave out --out, --beta-schedule, --lr\n"), "{message}");
}

#[test]
fn what_the_end_of_a_run_needs_is_looked_for_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    let missing: &[&str] = &["--ort-lib", "/no/such/libonnxruntime.so"];
    let no_device: &[&str] = &["--check-device", "cuda"];
    for flags in [missing, no_device] {
        for dry in [&[][..], &["--dry-run"]] {
            let message = refused(begin(&run, &data, "2").args(flags).args(dry));
            assert!(message.contains("--no-export"), "{message}");
            assert!(!run.exists());
        }
    }
    // Something else in the place of the package.
    fs::create_dir_all(run.join("package")).unwrap();
    let message = refused(&mut begin(&run, &data, "2"));
    assert!(message.contains("package") && message.contains("--no-export"), "{message}");
    succeed(begin(&run, &data, "2").args(missing).arg("--no-export"));
    let message = refused(resume(&run, &["--export"]).args(missing));
    assert!(message.contains("--no-export"), "{message}");
}

#[test]
fn logs_and_pictures_that_cannot_be_written_do_not_end_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    // A log on a full disk, and folders where pictures should go.
    fs::create_dir_all(run.join("samples/step-0000002.png")).unwrap();
    fs::create_dir_all(run.join("samples/training.gif")).unwrap();
    symlink("/dev/full", run.join("metrics.jsonl")).unwrap();
    let output = succeed(begin_watched(&run, &data, "4").args([
        "--no-export",
        "--log-every",
        "1",
        "--sample-every",
        "1",
        "--samples",
        "1",
    ]));
    let notes = stderr(&output);
    for name in ["metrics.jsonl", "step-0000002.png", "training.gif"] {
        let warnings = notes.lines().filter(|line| line.contains("goes on without it"));
        assert_eq!(
            warnings.filter(|line| line.contains(&format!("{name}: cannot be"))).count(),
            1,
            "{name}: {notes}"
        );
    }
    assert_eq!(steps_done(&run), 4);
    assert!(run.join("samples/step-0000003.png").is_file());
}

#[test]
fn reference_features_that_cannot_be_cached_do_not_end_an_evaluation() {
    let folder = tempfile::tempdir().unwrap();
    let (run, data) = (folder.path().join("run"), pictures(&folder.path().join("data"), 8));
    // /proc takes no files, not even from root.
    let mut eval =
        exporter(&["eval", text(&data), "--against", text(&data), "--measures", "frechet"]);
    let output = succeed(eval.args(["--cache", "/proc/ddpm"]));
    assert!(stdout(&output).contains("Fréchet distance"), "{}", stdout(&output));
    assert!(stderr(&output).contains("not cached"), "{}", stderr(&output));
    let mut judged = begin(&run, &data, "2");
    judged.args(["--eval-every", "2", "--eval-count", "4", "--eval-steps", "1", "--no-export"]);
    let output = succeed(judged.args(["--cache", "/proc/ddpm"]));
    assert!(stderr(&output).contains("not cached"), "{}", stderr(&output));
}

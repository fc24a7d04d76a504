//! Promises about labels on the command line: where they come from is said, what is unclear is
//! refused with the flag that decides, and the class that is asked for is drawn.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use ddpm_data::LabelSource;
use ddpm_training::Checkpoint;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::support::{exporter, fixture, run, stderr, stdout, succeed, text};

/// Makes a folder of pictures with these names, and its name as a data source.
fn pictures(names: &[&str]) -> (TempDir, String) {
    let dir = tempdir().unwrap();
    for name in names {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(fixture("data/halves.bmp"), path).unwrap();
    }
    let source = format!("folder:{}", dir.path().display());
    (dir, source)
}

const STRAY: [&str; 3] = ["cat/1.bmp", "cover.bmp", "dog/1.bmp"];

#[test]
fn data_check_says_where_labels_come_from_or_why_there_are_none() {
    let check = |source: &str, flags: &[&str]| {
        let size = ["data", "check", source, "--image-size", "8"];
        succeed(&mut exporter(&[&size, flags].concat()))
    };
    let (_dir, source) = pictures(&["cat/1.bmp", "cat/a/2.bmp", "dog/1.bmp"]);
    let lines = stdout(&check(&source, &[]));
    assert!(lines.contains("labels      from folders: 2 classes\n"), "{lines}");
    let report: Value = serde_json::from_str(&stdout(&check(&source, &["--json"]))).unwrap();
    let expected = json!({ "summary": "from folders: 2 classes", "from": "folders",
        "why_none": null, "without_label": 0, "left_out": [] });
    assert_eq!(report["labels"], expected);
    let report = stdout(&check(&source, &["--labels", "none", "--json"]));
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["labels"]["without_label"], &report["classes"]), (&json!(3), &Value::Null));
    assert!(report["labels"]["why_none"].as_str().unwrap().contains("--no-labels"));

    let (_dir, source) = pictures(&["train/cat/1.bmp", "train/dog/1.bmp", "test/cat/1.bmp"]);
    let lines = stdout(&check(&source, &[]));
    assert!(lines.contains("items       2 pictures"), "{lines}");
    assert!(lines.contains("note        left out: 1 of the split test"), "{lines}");
    for (source, line) in [
        ("glyphs:9", "labels      from the glyphs drawn: 16 classes"),
        ("gaussian8:9", "labels      none: `--data gaussian8-labels` makes each mode a class"),
    ] {
        let lines = stdout(&succeed(&mut exporter(&["data", "check", source])));
        assert!(lines.contains(line), "{lines}");
    }
}

#[test]
fn the_flags_that_a_refusal_names_decide() {
    let (dir, source) = pictures(&STRAY);
    let size = ["data", "check", &source, "--image-size", "8"];
    let refused = run(&size);
    assert_eq!(refused.status.code(), Some(3), "{}", stdout(&refused));
    let message = stderr(&refused);
    assert!(message.contains("no label for 1 of 3 pictures, the first is cover.bmp"), "{message}");
    for (flags, line) in [
        (&["--labels", "folders"][..], "items       2 pictures"),
        (&["--no-labels"], "items       3 pictures"),
    ] {
        assert!(message.contains(&format!("`{}`", flags.join(" "))), "{message}");
        let decided = succeed(&mut exporter(&[&size, flags].concat()));
        assert!(stdout(&decided).contains(line), "{}", stdout(&decided));
    }
    let decided = stdout(&run(&[&size[..], &["--labels", "folders"]].concat()));
    let stray = format!("no label    {}", dir.path().join("cover.bmp").display());
    assert!(decided.contains(&stray) && decided.contains("left out    0"), "{decided}");
    let wrong = run(&[&size[..], &["--labels", "names"]].concat());
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("file-names, dataset-json"), "{}", stderr(&wrong));
    let both = run(&[&size[..], &["--labels", "folders", "--no-labels"]].concat());
    assert_eq!(both.status.code(), Some(2));
}

/// Trains for one step; returns what was printed.
fn train(source: &str, run: &Path, flags: &[&str], environment: &[(&str, &str)]) -> String {
    let data = ["train", "--data", source, "--image-size", "8", "--out", text(run)];
    let short = ["--steps", "1", "--batch-size", "2", "--lr", "1e-3", "--warmup", "0"];
    let quiet = ["--sample-every", "0", "--no-export", "--device", "cpu", "--hid-channels", "8"];
    let small = ["--num-groups", "4", "--ch-multipliers", "1", "--apply-attn", "false"];
    let mut command = exporter(&[&data[..], &short, &quiet, &small, flags].concat());
    command.envs(environment.iter().copied());
    stderr(&succeed(&mut command))
}

fn config_of(run: &Path) -> ddpm_training::TrainConfig {
    Checkpoint::find(run).unwrap().config().clone()
}

#[test]
fn each_layer_of_settings_can_name_the_source_of_labels() {
    let (dir, source) = pictures(&STRAY);
    let [by_flag, by_file, by_environment] = ["a", "b", "c"].map(|name| dir.path().join(name));
    let settings = dir.path().join("settings.toml");
    fs::write(&settings, "[data]\nlabels = \"folders\"\n").unwrap();
    let file = ["--config", text(&settings)];
    let none = [("DDPM_NO_LABELS", "1")];

    let printed = train(&source, &by_flag, &[&file[..], &["--labels", "folders"]].concat(), &none);
    assert!(
        printed.contains("labels from folders: 2 classes; left out without a label: 1"),
        "{printed}"
    );
    assert!(printed.contains("cover.bmp: it has no label"), "{printed}");
    train(&source, &by_file, &file, &[]);
    for run in [&by_flag, &by_file] {
        let config = config_of(run);
        assert_eq!(config.data.labels_from, Some(LabelSource::Folders));
        assert_eq!((config.data.labels, config.classes), (true, vec!["cat".into(), "dog".into()]));
    }
    let printed = train(&source, &by_environment, &file, &none);
    assert!(printed.contains("labels none: `--labels none`"), "{printed}");
    let config = config_of(&by_environment);
    assert_eq!((config.data.labels, config.classes.len(), config.data.items), (false, 0, Some(3)));

    let resumed = run(&["train", "--resume", text(&by_flag), "--labels", "none"]);
    assert_eq!(resumed.status.code(), Some(2));
    assert!(stderr(&resumed).contains("leave out --labels"), "{}", stderr(&resumed));
}

/// Returns a text chunk of a PNG file.
fn chunk(path: &Path, keyword: &str) -> Option<String> {
    let reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut chunks = reader.info().uncompressed_latin1_text.iter();
    chunks.find(|chunk| chunk.keyword == keyword).map(|chunk| chunk.text.clone())
}

#[test]
fn the_class_of_the_name_is_drawn_and_recorded() {
    let names = ["001/a.bmp", "001/b.bmp", "002/a.bmp", "002/b.bmp", "big, red/a.bmp"];
    let (dir, source) = pictures(&names);
    let (model, out) = (dir.path().join("run"), dir.path().join("samples"));
    train(&source, &model, &[], &[]);
    assert_eq!(config_of(&model).classes, ["001", "002", "big, red"]);
    let short = ["--count", "2", "--steps", "1", "--device", "cpu", "--out", text(&out)];
    let sample = |labels: &[&str]| run(&[&["sample", text(&model)], &short[..], labels].concat());
    for (labels, recorded) in [
        (&["--labels", "001"][..], "0"),
        (&["--labels", "1"], "1"),
        (&["--labels", "big, red", "--labels", "002,index:0,none"], "2,1,0,3"),
        (&[], "0,1,2"),
    ] {
        let output = sample(labels);
        assert!(output.status.success(), "{}", stderr(&output));
        let found = chunk(&out.join("grid.png"), "ddpm.labels");
        assert_eq!(found.as_deref(), Some(recorded), "{labels:?}");
    }
    let unknown = sample(&["--labels", "003"]);
    assert_eq!(unknown.status.code(), Some(3));
    assert!(stderr(&unknown).contains("one of 001, 002, big, red"), "{}", stderr(&unknown));
}

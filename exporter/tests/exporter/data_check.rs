//! Promises of `data check`: its report, its grid and its exit codes.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

#[path = "../../../crates/data/tests/data/support.rs"]
mod data_support;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use ddpm_data::{Background, Split, load};
use image::ImageReader;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use self::data_support::{copies, pixel, skipping};
use crate::support::{exporter, fixture, stderr, stdout, succeed, text};

/// Makes a folder with copies of fixtures: (name there, fixture).
fn folder_of(files: &[(&str, &str)]) -> TempDir {
    copies(&fixture("data"), files)
}

fn check(arguments: &[&str]) -> Output {
    exporter(&["data", "check"]).args(arguments).output().unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap()
}

/// Makes a folder with two classes, a duplicate and a broken picture.
fn pets() -> (TempDir, String) {
    let dir = folder_of(&[
        ("cat/1.bmp", "halves.bmp"),
        ("cat/2.webp", "halves.webp"),
        ("dog/1.jpg", "aligned.jpg"),
        ("dog/2.jpg", "truncated.jpg"),
    ]);
    let source = format!("folder:{}", dir.path().display());
    (dir, source)
}

#[test]
fn the_report_describes_what_training_would_see() {
    let (dir, source) = pets();
    let output = check(&[&source, "--image-size", "8", "--on-broken", "skip", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = parsed(&output);
    let path = |name: &str| dir.path().join(name).display().to_string();
    assert_eq!(report["source"], json!(source));
    assert_eq!(report["kind"], "pictures");
    assert_eq!((&report["count"], &report["shape"]), (&json!(3), &json!([3, 8, 8])));
    assert_eq!((&report["memory_bytes"], &report["flips"]), (&json!(3 * 192), &json!(true)));
    let found = json!([
        { "width": 32, "height": 16, "colour": "RGB", "count": 2 },
        { "width": 178, "height": 218, "colour": "RGB", "count": 1 },
    ]);
    assert_eq!(report["found"], found);
    let classes = json!([{ "name": "cat", "count": 2 }, { "name": "dog", "count": 1 }]);
    assert_eq!(report["classes"], classes);
    let duplicates = json!([{ "item": path("cat/2.webp"), "equals": path("cat/1.bmp") }]);
    assert_eq!(report["duplicates"], duplicates);
    assert_eq!(report["left_out"][0]["path"], json!(path("dog/2.jpg")));
    assert!(report["left_out"][0]["reason"].as_str().unwrap().contains("truncated"));
}

#[test]
fn broken_pictures_are_all_named_and_end_in_exit_code_6_unless_skipped() {
    let (_dir, source) = pets();
    let refused = check(&[&source, "--image-size", "8"]);
    assert_eq!(refused.status.code(), Some(6));
    assert!(stdout(&refused).contains("dog/2.jpg: it is truncated"), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("1 of 4 pictures"), "{}", stderr(&refused));
    let skipped = check(&[&source, "--image-size", "8", "--on-broken", "skip"]);
    assert_eq!(skipped.status.code(), Some(0));
    assert_eq!(stdout(&skipped), stdout(&refused));
    for line in ["items       3 pictures of 3x8x8", "class       cat: 2", "duplicates  1"] {
        assert!(stdout(&skipped).contains(line), "{}", stdout(&skipped));
    }
}

#[test]
fn what_is_no_picture_is_named_or_counted_and_none_stops_the_check() {
    let dir = folder_of(&[
        ("a.jfif", "turned.jpg"),
        ("b", "halves.webp"),
        ("c.tiff", "halves.bmp"),
        ("notes.txt", "make.py"),
        ("d.heic", "make.py"),
        ("e.png", "transparent.png"),
    ]);
    fs::write(dir.path().join("f.pgm"), b"P5 2 1 255\n\x01\x02").unwrap();
    symlink("nowhere", dir.path().join("g.png")).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    symlink("..", dir.path().join("sub/loop")).unwrap();
    symlink("/dev/zero", dir.path().join("h.png")).unwrap();
    let source = format!("folder:{}", dir.path().display());
    let output = check(&[&source, "--image-size", "8"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
    let page = stdout(&output);
    for part in [
        "items       5 pictures",
        "found       2x1 grey: 1",
        "transparent 1 on black; see --background",
        "left out    4",
        "d.heic: heic files are not read here",
        "g.png: the link leads to nowhere",
        "h.png: it is a device",
        "sub/loop: the link leads back to",
        "ignored     1 other file ignored (1 .txt)",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
}

#[test]
fn the_digest_is_that_of_the_data_wherever_it_lies() {
    let digest = |source: &str, flags: &[&str]| {
        let output =
            check(&[&[source, "--image-size", "8", "--on-broken", "skip"], flags].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let ((dir, source), (_moved, elsewhere)) = (pets(), pets());
    let whole = parsed(&digest(&source, &["--json"]))["digest"].as_str().unwrap().to_owned();
    assert_eq!(whole.len(), 64);
    let page = stdout(&digest(&elsewhere, &[]));
    assert!(page.contains(&format!("digest      {}\n", &whole[..16])), "{page}");
    fs::copy(fixture("data/turned.jpg"), dir.path().join("dog/1.jpg")).unwrap();
    assert_ne!(parsed(&digest(&source, &["--json"]))["digest"], json!(whole));
}

#[test]
fn the_background_is_a_setting_of_the_run() {
    let pictures = folder_of(&[("a.png", "transparent.png"), ("b.bmp", "halves.bmp")]);
    let source = format!("folder:{}", pictures.path().display());
    let flags = ["--image-size", "8", "--background", "white"];
    let report = parsed(&check(&[&[source.as_str(), "--json"], &flags[..]].concat()));
    assert_eq!(report["transparent"], json!({ "count": 1, "background": "white" }));

    let dir = tempdir().unwrap();
    let run = dir.path().join("run");
    let train = ["train", "--data", &source, "--steps", "20", "--batch-size", "1", "--no-export"];
    let place = ["--lr", "1e-3", "--warmup", "0", "--device", "cpu", "--out", text(&run)];
    let printed = stderr(&succeed(&mut exporter(&[&train[..], &flags, &place].concat())));
    assert!(printed.contains("1 transparent on white"), "{printed}");
    let checkpoint = ddpm_training::Checkpoint::find(&run).unwrap();
    assert_eq!(checkpoint.config().data.background, Background::White);
}

#[test]
fn data_that_cannot_be_loaded_ends_in_exit_code_3_with_advice() {
    let (_dir, source) = pets();
    for (arguments, advice) in [
        (vec![source.as_str()], "--image-size"),
        (vec!["folder:does/not/exist"], "no such folder"),
        (vec![source.as_str(), "--split", "valid"], "no split valid"),
        (vec!["gaussian8:10", "--greyscale"], "leave those options out"),
    ] {
        let output = check(&arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}");
        assert!(stderr(&output).contains(advice), "{}", stderr(&output));
    }
    assert_eq!(check(&["photos"]).status.code(), Some(2));
}

#[test]
fn options_change_the_report_as_they_change_training() {
    let (dir, source) = pets();
    let flags =
        ["--image-size", "4", "--greyscale", "--no-labels", "--json", "--on-broken", "skip"];
    let report = parsed(&check(&[&[source.as_str()], &flags[..]].concat()));
    assert_eq!((&report["shape"], &report["classes"]), (&json!([1, 4, 4]), &Value::Null));

    let table = format!("parquet:{}", fixture("data/parquet").display());
    let report = parsed(&check(&[&table, "--split", "test", "--on-broken", "skip", "--json"]));
    assert_eq!(report["count"], 1);

    let drawn = |seed| {
        let grid = dir.path().join("glyphs.png");
        let flags = ["--seed", seed, "--grid", text(&grid)];
        let output = check(&[&["glyphs:20"], &flags[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        fs::read(grid).unwrap()
    };
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
}

#[test]
fn the_grid_shows_the_first_pictures_as_training_sees_them() {
    let (_data, source) = pets();
    // Beside the pictures it would be one of them at the next load.
    let dir = tempdir().unwrap();
    let grid = dir.path().join("grid.png");
    let flags = ["--image-size", "32", "--on-broken", "skip", "--grid", text(&grid)];
    let output = check(&[&[source.as_str()], &flags[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let drawn = ImageReader::open(&grid).unwrap().decode().unwrap().to_rgb8();
    let set = load(&source.parse().unwrap(), &skipping(32)).unwrap();
    // Pictures are two pixels apart, and two from the edge.
    for (x, y) in [(0, 0), (31, 0), (16, 31)] {
        assert_eq!(drawn.get_pixel(x as u32 + 2, y as u32 + 2).0, pixel(&set, 0, x, y));
    }
    let points = dir.path().join("points.png");
    let output = check(&["swissroll:500", "--grid", text(&points)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(ImageReader::open(&points).unwrap().decode().unwrap().width(), 512);
    let nowhere = check(&["swissroll:5", "--grid", "does/not/exist.png"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("does/not/exist.png"), "{}", stderr(&nowhere));
}

#[test]
fn training_uses_the_requested_split_and_golden_inputs_may_come_from_elsewhere() {
    let dir = tempdir().unwrap();
    let (run, package) = (dir.path().join("run"), dir.path().join("package"));
    let table = format!("parquet:{}", fixture("data/parquet").display());
    let train = ["train", "--data", &table, "--split", "test", "--on-broken", "skip"];
    let short = ["--steps", "20", "--batch-size", "1", "--image-size", "8", "--no-export"];
    let place = ["--lr", "1e-3", "--warmup", "0", "--device", "cpu", "--out", text(&run)];
    let printed = stderr(&succeed(&mut exporter(&[&train[..], &short, &place].concat())));
    assert!(printed.contains("1 pictures of 3x8x8"), "{printed}");
    assert!(printed.contains("row 1: it has no picture"), "{printed}");
    let checkpoint = ddpm_training::Checkpoint::find(&run).unwrap();
    assert_eq!(checkpoint.config().data.split, Split::Test);

    // Folders have no test split, and need none.
    let pictures = folder_of(&[("a.bmp", "halves.bmp"), ("b.png", "aligned.png")]);
    let from = format!("folder:{}", pictures.path().display());
    let places = [text(&run), "--output", text(&package)];
    succeed(&mut exporter(&[&["export"], &places[..], &["--golden-from", &from]].concat()));
}

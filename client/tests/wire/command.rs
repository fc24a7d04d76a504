//! The built command: its files, output and exit codes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use ddpm_client::pictures::{Picture, write_png};
use ddpm_client::proto as v1;
use ddpm_files::npy;
use serde_json::Value;
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::mock::{Mock, Script, cut_off_after_one, draining, mismatch, pixels, refusal};

fn ddpm(server: &str, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ddpm"));
    command.env("DDPM_SERVER", server).args(arguments.split_whitespace());
    command
}

fn run(mock: &Mock, arguments: &str, folder: &TempDir) -> Output {
    ddpm(&mock.endpoint(), arguments).current_dir(folder).output().unwrap()
}

/// Runs a command that must succeed and returns its stdout.
fn succeed(mock: &Mock, arguments: &str, folder: &TempDir) -> String {
    let output = run(mock, arguments, folder);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

fn png(path: &Path) -> (png::Reader<BufReader<File>>, BTreeMap<String, String>) {
    let file = BufReader::new(File::open(path).unwrap());
    let reader = png::Decoder::new(file).read_info().unwrap();
    let chunks = reader.info().uncompressed_latin1_text.iter();
    let chunks = chunks.map(|chunk| (chunk.keyword.clone(), chunk.text.clone())).collect();
    (reader, chunks)
}

#[test]
fn each_picture_holds_its_pixels_and_its_receipt() {
    let (mock, folder) = (Mock::start([]), folder());

    let report =
        succeed(&mock, "sample glyphs --indices 2,5 --seed 7 --labels cross,ring", &folder);

    let (mut reader, chunks) = png(&folder.path().join("samples/glyphs-7-5.png"));
    let mut decoded = vec![0; 192];
    reader.next_frame(&mut decoded).unwrap();
    assert_eq!(decoded, pixels(7, 5, 1.0));
    let expected = [
        ("ddpm.model", "glyphs"),
        ("ddpm.version", "1"),
        ("ddpm.seed", "7"),
        ("ddpm.index", "5"),
        ("ddpm.label", "0 ring"),
        ("ddpm.labels", "1,0"),
        ("ddpm.sampler", "ddim"),
        ("ddpm.steps", "10"),
        ("ddpm.fingerprint", "mock"),
        ("Software", concat!("ddpm ", env!("CARGO_PKG_VERSION"))),
    ];
    for (key, value) in expected {
        assert_eq!(chunks.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(chunks["ddpm.model_digest"], "m".repeat(64));
    assert_eq!(chunks["ddpm.program_digest"], "p".repeat(64));
    assert_eq!(mock.requests()[0].class_labels, [1, 0]);
    assert!(report.contains("samples/glyphs-7-2.png"), "{report}");
}

#[test]
fn the_printed_seed_gives_the_same_bytes_again() {
    let (mock, first, second) = (Mock::start([]), folder(), folder());
    let flags = "--count 5 --gif --apng --frames both --json";

    let report = succeed(&mock, &format!("sample glyphs {flags}"), &first);
    let report: Value = serde_json::from_str(&report).unwrap();
    let seed = report["receipt"]["seed"].as_u64().unwrap();
    succeed(&mock, &format!("sample glyphs {flags} --seed {seed}"), &second);

    assert_eq!(seed, 4242);
    let written = files(&first.path().join("samples"));
    assert_eq!(written, files(&second.path().join("samples")));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "glyphs-4242-0.png",
            "glyphs-4242-1.png",
            "glyphs-4242-2.png",
            "glyphs-4242-3.png",
            "glyphs-4242-4.png",
            "glyphs-4242-animated.png",
            "glyphs-4242-grid.png",
            "glyphs-4242.gif",
        ]
    );
    assert_eq!(report["files"].as_array().unwrap().len(), names.len());
}

#[test]
fn an_animation_has_a_frame_for_each_step_shown_and_rests_on_the_last() {
    let (mock, folder) = (Mock::start([]), folder());

    let output = run(
        &mock,
        "sample glyphs -n 6 --seed 1 --every 3 --gif=a.gif --apng=b.png --no-grid --scale 2",
        &folder,
    );

    assert!(output.status.success());
    // The mock shows at most four samples; of ten steps 3, 6, 9 and the last.
    assert_eq!(mock.requests()[0].preview.as_ref().unwrap().indices, [0, 1, 2, 3]);
    let sentence = "animating the first 4 of 6 samples";
    assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
    let gif = File::open(folder.path().join("a.gif")).unwrap();
    let mut decoder = gif::DecodeOptions::new().read_info(gif).unwrap();
    // Two columns of 8 x 2 pixels, with 2 pixels around each.
    assert_eq!((decoder.width(), decoder.height()), (38, 38));
    let mut delays = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        delays.push(frame.delay);
    }
    assert_eq!(delays, [25, 25, 25, 150]);
    let (reader, _) = png(&folder.path().join("b.png"));
    assert_eq!(reader.info().animation_control().unwrap().num_frames, 4);
}

#[test]
fn points_become_an_array_and_a_plot() {
    let (mock, folder) = (Mock::start([]), folder());

    succeed(&mock, "sample toy -n 3 --seed 0 --gif --out points", &folder);

    let written = files(&folder.path().join("points"));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(names, ["toy-0-grid.png", "toy-0.gif", "toy-0.npy"]);
    let array = &written["toy-0.npy"];
    let values = &array[array.len() - 24..];
    let expected = [0f32, 1.0, 2.0].map(|turn| [turn.cos(), turn.sin()]).concat();
    assert_eq!(values, expected.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>());
    assert!(text(&array[10..74]).contains("'shape': (3, 2)"));
}

#[test]
fn pictures_become_an_unclipped_array_on_request() {
    let (mock, folder) = (Mock::start([]), folder());

    succeed(&mock, "sample glyphs -n 2 --seed 0 --format npy", &folder);

    let written = files(&folder.path().join("samples"));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    assert_eq!(names, ["glyphs-0-grid.png", "glyphs-0.npy"]);
    let array = &written["glyphs-0.npy"];
    assert!(text(&array[10..100]).contains("'shape': (2, 3, 8, 8)"));
    assert_eq!(array[array.len() - 4..], ((1.0f32 + 191.0).sin() * 2.0).to_le_bytes());
}

/// A file of 8 x 8 grey pixels.
fn grey(folder: &TempDir, name: &str, value: u8) {
    let picture = Picture::filled(8, 8, &[value]).unwrap();
    let mut file = File::create(folder.path().join(name)).unwrap();
    write_png(&mut file, &picture, &[]).unwrap();
}

#[test]
fn initial_pictures_are_sent_and_set_the_number_of_samples() {
    let (mock, folder) = (Mock::start([]), folder());
    grey(&folder, "a.png", 10);
    grey(&folder, "b.png", 20);

    succeed(&mock, "sample glyphs --image a.png --image b.png --strength 0.5 --seed 1", &folder);

    let request = &mock.requests()[0];
    assert_eq!(request.samples, Some(v1::generate_request::Samples::SampleCount(2)));
    let Some(v1::initial::Kind::Images(images)) = request.initial.as_ref().unwrap().kind.as_ref()
    else {
        panic!("{:?}", request.initial)
    };
    assert_eq!(images.strength, Some(0.5));
    let pixels: Vec<&[u8]> = images.images.iter().map(|image| &image.data[..]).collect();
    assert_eq!(pixels, [[10; 192], [20; 192]]);
}

#[test]
fn a_known_picture_is_sent_with_its_mask_and_method() {
    let (mock, folder) = (Mock::start([]), folder());
    grey(&folder, "a.png", 10);
    grey(&folder, "mask.png", 255);
    let known = "sample glyphs -n 1 --seed 1 --known a.png --mask mask.png";

    succeed(&mock, known, &folder);
    let repaint = "--inpaint replace-xt --resampling 3 --jump-length 2";
    succeed(&mock, &format!("{known} {repaint}"), &folder);

    use v1::inpaint::Method;
    let methods: Vec<_> =
        mock.requests().into_iter().map(|request| request.inpaint.unwrap().method).collect();
    let repaint = v1::ReplaceXt { resampling: 3, jump_length: 2 };
    let expected = [Method::ReplaceX0(v1::ReplaceX0 {}), Method::ReplaceXT(repaint)];
    assert_eq!(methods, expected.map(Some));
    let mask = mock.requests()[0].inpaint.clone().unwrap().mask.unwrap();
    assert_eq!(mask.data, [1f32; 64].map(f32::to_le_bytes).concat());
}

#[test]
fn a_file_that_does_not_fit_is_refused_with_both_shapes() {
    let (mock, folder) = (Mock::start([]), folder());
    let mut array = File::create(folder.path().join("x.npy")).unwrap();
    npy::write_rows(&mut array, &[3, 4, 4], &[&[0.0; 48]]).unwrap();

    let output = run(&mock, "sample glyphs --initial x.npy", &folder);

    assert_eq!(output.status.code(), Some(2));
    let sentence = "x.npy is an array of float32 of shape (1, 3, 4, 4), but states of glyphs have \
                    the shape (3, 8, 8)";
    assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
    assert!(mock.requests().is_empty());
}

#[test]
fn printed_rows_are_sent_back_unchanged() {
    let (mock, folder) = (Mock::start([]), folder());

    let table = succeed(&mock, "program glyphs --sampler heun --steps 4", &folder);
    let json = succeed(&mock, "program glyphs --sampler heun --steps 4 --json", &folder);
    fs::write(folder.path().join("rows.json"), &json).unwrap();
    succeed(&mock, "sample glyphs -n 1 --seed 1 --program rows.json", &folder);

    assert!(table.contains("0.33333 u + x_0") && table.contains("1 per sample"), "{table}");
    assert!(table.contains("heun, 4 steps"), "{table}");
    let requests = mock.requests();
    let Some(v1::sampler::Kind::Program(program)) =
        requests[0].sampler.as_ref().unwrap().kind.as_ref()
    else {
        panic!("{:?}", requests[0].sampler)
    };
    assert_eq!(program.rows[0].u.as_ref().unwrap().u, 1.0 / 3.0);
    assert_eq!((requests[0].num_steps, requests[0].grid), (None, 0));
}

#[test]
fn pictures_are_encoded_to_an_array_with_the_command_to_decode_it() {
    let (mock, folder) = (Mock::start([]), folder());
    grey(&folder, "a.png", 10);
    grey(&folder, "b.png", 20);

    let report = succeed(&mock, "encode glyphs a.png b.png --label cross --out z/x.npy", &folder);

    let request = &mock.requests()[0];
    let inverse = v1::sampler::Kind::DdimInverse(v1::DdimInverse {});
    assert_eq!(request.sampler.as_ref().unwrap().kind, Some(inverse));
    assert_eq!(request.class_labels, [1]);
    let array = fs::read(folder.path().join("z/x.npy")).unwrap();
    assert!(text(&array[10..100]).contains("'shape': (2, 3, 8, 8)"));
    // Grid and clip are those of the receipt.
    let back = "--label 1 --sampler ddim --steps 10 --grid trailing --clip unit --initial z/x.npy";
    assert!(report.contains(back), "{report}");
}

#[test]
fn an_interpolation_is_written_as_frames_a_strip_and_an_animation() {
    let (mock, folder) = (Mock::start([]), folder());
    grey(&folder, "a.png", 10);

    succeed(&mock, "interpolate glyphs --from a.png --to 7:3 --frames 5 --seed 1 --gif", &folder);

    let written = files(&folder.path().join("samples"));
    let names: Vec<&str> = written.keys().map(String::as_str).collect();
    let expected = ["0.png", "1.png", "2.png", "3.png", "4.png", "strip.png"]
        .map(|ending| format!("glyphs-1-{ending}"));
    assert_eq!(names, [&expected[..], &["glyphs-1.gif".to_owned()]].concat());
    let requests = mock.requests();
    let last = requests.last().unwrap();
    let Some(v1::initial::Kind::Interpolation(way)) = last.initial.as_ref().unwrap().kind.as_ref()
    else {
        panic!("{:?}", last.initial)
    };
    assert_eq!((way.frames, way.from.as_ref().unwrap().data.len()), (5, 768));
    assert_ne!(way.from, way.to);
}

#[test]
fn an_unreachable_server_exits_with_4_and_advice() {
    let (mock, folder) = (Mock::start([]), folder());
    let server = mock.endpoint();
    drop(mock);

    for command in ["models", "status", "sample glyphs"] {
        let mut command = ddpm(&server, command);
        let output = command.env("DDPM_RETRY_SECONDS", "0").current_dir(&folder).output().unwrap();

        assert_eq!(output.status.code(), Some(4), "{command:?}");
        let sentence = format!(
            "no server at {server}: start one with `ddpm-server`, or name another with --server"
        );
        assert!(text(&output.stderr).contains(&sentence), "{}", text(&output.stderr));
    }
}

#[test]
fn a_command_that_starts_while_the_server_restarts_waits_for_it() {
    let (mock, folder) = (Mock::start([]), folder());
    let address = mock.address;
    drop(mock);
    let restart = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        Mock::start_at(address, [])
    });

    let server = format!("http://{address}");
    let output = ddpm(&server, "sample glyphs -n 1").current_dir(&folder).output().unwrap();

    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert_eq!(notes.matches("trying again").count(), 1, "{notes}");
    assert_eq!(restart.join().unwrap().requests().len(), 1);
}

#[test]
fn a_refusal_exits_with_5_and_lists_the_fields() {
    let mut details = ErrorDetails::with_error_info("INVALID_FIELD", "ddpm", []);
    details.add_bad_request_violation("num_steps", "must be in 1..=1000, got 5000");
    let status = Status::with_error_details(Code::InvalidArgument, "a field is wrong", details);
    let (mock, folder) = (Mock::start([Script::Refuse(status)]), folder());

    let refused = run(&mock, "sample glyphs --steps 5000", &folder);
    let unknown = run(&mock, "models nothing", &folder);

    assert_eq!(refused.status.code(), Some(5));
    let sentence = text(&refused.stderr);
    assert!(sentence.contains("a field is wrong (InvalidArgument, INVALID_FIELD)"), "{sentence}");
    assert!(sentence.contains("\n  num_steps: must be in 1..=1000, got 5000"), "{sentence}");
    assert_eq!(unknown.status.code(), Some(5));
    assert!(text(&unknown.stderr).contains("no model `nothing`"));
}

#[test]
fn wrong_flags_exit_with_2() {
    let (mock, folder) = (Mock::start([]), folder());
    let wrong = [
        "sample",
        "sample glyphs --count 0",
        "sample glyphs --indices 5-2",
        "sample glyphs --sampler ddmp",
        "sample glyphs --sampler ddim:eta=x",
        "sample glyphs --image nowhere.png",
        "sample glyphs --sampler ddim-inverse",
        "sample glyphs --label square",
        "sample toy --label 0",
        "sample toy --format png",
        "models --server ftp://nowhere",
        "status --retry-seconds -1",
        "sample glyphs --partial",
        "sample glyphs --deadline 0",
        "sample glyphs --priority urgent",
    ];
    for arguments in wrong {
        let output = run(&mock, arguments, &folder);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {}", text(&output.stderr));
    }
    assert!(mock.requests().is_empty());
}

#[test]
fn a_folder_that_cannot_be_written_exits_with_3_before_anything_is_asked() {
    let (mock, folder) = (Mock::start([]), folder());
    fs::write(folder.path().join("taken"), "").unwrap();

    let output = run(&mock, "sample glyphs --out taken", &folder);

    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("taken"), "{}", text(&output.stderr));
    assert!(mock.requests().is_empty());
}

#[test]
fn a_failed_sample_exits_with_1_and_the_others_are_written() {
    let fail = |events: &mut Vec<v1::GenerateEvent>| {
        use v1::generate_event::Event;
        use v1::{Completed, SampleError};
        let message = "the network's output is not a number".to_owned();
        let error = SampleError { index: 1, message, ..Default::default() };
        events[2].event = Some(Event::SampleError(error));
        let completed = Completed { samples: 1, failed: 1, ..Default::default() };
        events[3].event = Some(Event::Completed(completed));
    };
    let (mock, folder) = (Mock::start([Script::Tamper(fail)]), folder());

    let output = run(&mock, "sample glyphs -n 2 --seed 1 --no-grid", &folder);

    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("1: the network's output is not a number"));
    assert!(files(&folder.path().join("samples")).keys().eq(["glyphs-1-0.png"]));
}

#[test]
fn an_interrupt_exits_with_130_and_leaves_whole_files_only() {
    let (mock, folder) = (Mock::start([Script::HangAfter(3)]), folder());
    let mut child = ddpm(&mock.endpoint(), "sample glyphs -n 4 --seed 1")
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let samples = folder.path().join("samples");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !samples.join("glyphs-1-1.png").exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }

    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(files(&samples).keys().eq(["glyphs-1-0.png", "glyphs-1-1.png"]));
}

#[test]
fn an_interrupt_keeps_what_has_come_and_says_how_to_draw_the_rest() {
    let (mock, folder) = (Mock::start([Script::HangAfter(3)]), folder());
    let mut child = ddpm(&mock.endpoint(), "sample glyphs -n 4 --seed 1 --format npy")
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut notes = String::new();
    while !notes.contains("accepted") {
        assert_ne!(stderr.read_line(&mut notes).unwrap(), 0, "{notes}");
    }
    // Two samples come with it, and nothing shows that they are held.
    thread::sleep(Duration::from_secs(1));

    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();

    stderr.read_to_string(&mut notes).unwrap();
    let output = child.wait_with_output().unwrap();
    let report = text(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{notes}");
    assert!(files(&folder.path().join("samples")).keys().eq(["glyphs-1-partial.npy"]), "{report}");
    assert!(notes.contains("add --seed 1 --indices 2-3"), "{notes}");
}

#[test]
fn a_reader_that_leaves_early_is_not_an_error() {
    let mock = Mock::start([]);
    let mut child = ddpm(&mock.endpoint(), "models")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    drop(child.stdout.take());

    assert!(child.wait().unwrap().success());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stderr, "");
}

#[test]
fn models_and_status_show_what_the_server_reports() {
    let (mock, folder) = (Mock::start([]), folder());

    let list = succeed(&mock, "models", &folder);
    let one: Value = serde_json::from_str(&succeed(&mock, "models toy --json", &folder)).unwrap();
    let status = succeed(&mock, "status", &folder);

    assert!(list.lines().nth(1).unwrap().starts_with("glyphs"), "{list}");
    assert!(list.contains("3x8x8"), "{list}");
    assert_eq!((one["name"].as_str(), one["kind"].as_str()), (Some("toy"), Some("points2d")));
    for part in [
        "ddpm-server 1.2.3",
        "0 requests of 2 principals",
        "3 requests wait for them",
        "at most 8 requests",
        "at most 30 s without an event read",
    ] {
        assert!(status.contains(part), "{part}: {status}");
    }
}

#[test]
fn after_an_upgrade_files_missing_indices_and_the_flag_to_go_on_are_named() {
    let broken = || Script::BreakAfter(3, draining(Duration::ZERO));
    let other = || Script::Refuse(mismatch("expect.fingerprint"));
    let (mock, folder) = (Mock::start([broken(), other()]), folder());

    let output = run(&mock, "sample glyphs -n 5 --no-grid", &folder);

    assert_eq!(output.status.code(), Some(5));
    let (report, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(
        files(&folder.path().join("samples")).keys().eq(["glyphs-4242-0.png", "glyphs-4242-1.png"])
    );
    for part in ["samples/glyphs-4242-0.png", "samples/glyphs-4242-1.png", "missing      2-4\n"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    for part in ["--seed 4242 --indices 2-4", "--accept-build", "EXPECT_MISMATCH"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }

    // What it says works.
    succeed(&mock, "sample glyphs --no-grid --seed 4242 --indices 2-4", &folder);
    assert_eq!(files(&folder.path().join("samples")).len(), 5);
}

#[test]
fn with_accept_build_another_build_goes_on() {
    let broken = Script::BreakAfter(3, draining(Duration::ZERO));
    let other = Script::Refuse(mismatch("expect.fingerprint"));
    let mock = Mock::start([broken, other, Script::another_build()]);
    let folder = folder();

    let report =
        succeed(&mock, "sample glyphs -n 4 --seed 7 --no-grid --accept-build --json", &folder);

    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(report["receipt"]["fingerprint"], "another build");
    assert_eq!(report["earlier_fingerprints"], serde_json::json!(["mock"]));
    assert_eq!(report["files"].as_array().unwrap().len(), 4);
    assert!(report.get("missing").is_none() && report.get("error").is_none());
    // Each picture names the build that made it.
    for (index, build) in [(1, "mock"), (2, "another build")] {
        let path = folder.path().join(format!("samples/glyphs-7-{index}.png"));
        assert_eq!(png(&path).1["ddpm.fingerprint"], build);
    }
}

#[test]
fn another_model_is_refused_with_or_without_accept_build() {
    for flag in ["", "--accept-build"] {
        let broken = Script::BreakAfter(3, draining(Duration::ZERO));
        let other = Script::Refuse(mismatch("expect.model_digest"));
        let (mock, folder) = (Mock::start([broken, other]), folder());

        let output = run(&mock, &format!("sample glyphs -n 4 --seed 7 {flag}"), &folder);

        assert_eq!(output.status.code(), Some(5));
        let notes = text(&output.stderr);
        assert!(!notes.contains("--accept-build") && notes.contains("--indices 2-3"), "{notes}");
    }
}

#[test]
fn whatever_ends_a_run_the_report_says_what_is_there_and_what_is_missing() {
    let broken = || Script::BreakAfter(3, refusal(Code::Internal, "RUNTIME_FAILED", None));
    let (mock, folder) = (Mock::start([broken(), broken()]), folder());

    let pictures = run(&mock, "sample glyphs -n 4 --seed 7 --json", &folder);
    let array = run(&mock, "sample glyphs -n 4 --seed 7 --format npy --json --out array", &folder);

    for (output, names) in [
        (&pictures, &["samples/glyphs-7-0.png", "samples/glyphs-7-1.png"][..]),
        (&array, &["array/glyphs-7-partial.npy"]),
    ] {
        assert_eq!(output.status.code(), Some(5));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let written: Vec<&str> = report["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["path"].as_str().unwrap())
            .collect();
        assert_eq!(written, names);
        assert!(written.iter().all(|path| folder.path().join(path).exists()));
        assert_eq!(report["missing"], "2-3");
        assert!(report["error"].as_str().unwrap().contains("RUNTIME_FAILED"));
        assert!(report.get("completed").is_none());
    }
    let array = fs::read(folder.path().join("array/glyphs-7-partial.npy")).unwrap();
    assert!(text(&array[10..100]).contains("'shape': (2, 3, 8, 8)"));
}

#[test]
fn a_file_that_cannot_be_written_ends_the_run_with_a_report_of_the_others() {
    let (mock, folder) = (Mock::start([]), folder());
    // A folder is in the place of the third picture.
    fs::create_dir_all(folder.path().join("samples/glyphs-7-2.png/x")).unwrap();

    let output = run(&mock, "sample glyphs -n 4 --seed 7", &folder);

    assert_eq!(output.status.code(), Some(1));
    let report = text(&output.stdout);
    assert!(report.contains("samples/glyphs-7-1.png"), "{report}");
    assert!(report.contains("missing      2-3\n"), "{report}");
}

#[test]
fn a_run_that_is_cut_off_keeps_what_is_done_and_exits_with_1() {
    let (mock, folder) = (Mock::start([Script::Tamper(cut_off_after_one)]), folder());

    let output = run(&mock, "sample glyphs -n 4 --seed 7 --deadline 60 --partial", &folder);

    assert_eq!(output.status.code(), Some(1));
    let (report, notes) = (text(&output.stdout), text(&output.stderr));
    assert!(report.contains("1 done, 0 failed, 3 cut off by the deadline"), "{report}");
    assert!(report.contains("missing      1-3\n"), "{report}");
    assert!(notes.contains("--seed 7 --indices 1-3"), "{notes}");
    assert_eq!(mock.requests()[0].on_deadline(), v1::OnDeadline::ReturnFinished);
    assert!(mock.timeouts()[0].is_some());
}

#[test]
fn flags_on_how_to_serve_are_sent_and_the_promise_is_reported() {
    let strict = |events: &mut Vec<v1::GenerateEvent>| {
        if let Some(v1::generate_event::Event::Accepted(accepted)) = &mut events[0].event {
            let receipt = accepted.receipt.as_mut().unwrap();
            receipt.determinism = v1::Determinism::Strict.into();
        }
    };
    let (mock, folder) = (Mock::start([Script::Tamper(strict)]), folder());

    let report = succeed(&mock, "sample glyphs -n 1 --seed 7 --strict --priority batch", &folder);

    let request = &mock.requests()[0];
    assert_eq!(request.priority(), v1::Priority::Batch);
    assert_eq!(request.determinism(), v1::Determinism::Strict);
    assert_eq!((request.on_deadline, mock.timeouts()), (0, vec![None]));
    assert!(report.contains("bits         strict\n"), "{report}");
    let (_, chunks) = png(&folder.path().join("samples/glyphs-7-0.png"));
    assert_eq!(chunks["ddpm.determinism"], "strict");
}

#[test]
fn an_estimate_is_printed_and_nothing_is_drawn() {
    let (mock, folder) = (Mock::start([]), folder());

    let lines = succeed(&mock, "estimate glyphs --count 20 --steps 10 --priority batch", &folder);
    let json = succeed(&mock, "estimate glyphs --json", &folder);

    for part in ["200 (10 per sample)", "20.00 s", "5 samples ahead", "about 25.00 s"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    let json: Value = serde_json::from_str(&json).unwrap();
    // Sixteen pictures are the default, as of `ddpm sample`.
    assert_eq!((&json["total_evals"], &json["eta_seconds"]), (&160.into(), &21.0.into()));
    assert!(mock.requests().is_empty());
}

#[test]
fn with_0_retry_seconds_nothing_is_asked_again() {
    let (mock, folder) = (Mock::start([Script::Refuse(draining(Duration::ZERO))]), folder());

    let mut command = ddpm(&mock.endpoint(), "sample glyphs -n 1");
    let output = command.env("DDPM_RETRY_SECONDS", "0").current_dir(&folder).output().unwrap();

    assert_eq!(output.status.code(), Some(5));
    assert_eq!(mock.requests().len(), 1);
}

//! Promises of `eval`: results do not depend on the file format of pictures, references are cached,
//! names of measures are not misused, and impossible requests are refused by name.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use ddpm_data::{Split, ToyKind, glyphs, toy};
use ddpm_evaluation::preprocessing::{Classes, Preprocessing, Preset};
use ddpm_evaluation::small;
use ddpm_graph::format::{DimensionProto, ModelProto};
use prost::Message;
use serde_json::Value;
use tch::{CModule, Kind, Tensor};
use tempfile::TempDir;

use crate::support::{exporter, stderr, stdout, succeed, text};

fn eval(arguments: &[&str]) -> Output {
    let mut command = exporter(&["eval"]);
    command.env_remove("DDPM_CACHE").args(arguments).args(["--device", "cpu"]).output().unwrap()
}

/// Returns the report of an evaluation that must succeed.
fn report(arguments: &[&str]) -> Value {
    let output = eval(&[arguments, &["--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the results of a report, without its inputs.
fn results(mut report: Value) -> Value {
    for key in ["samples", "reference", "extractor"] {
        report.as_object_mut().unwrap().remove(key);
    }
    report
}

fn refusal(arguments: &[&str]) -> String {
    let output = eval(arguments);
    let printed = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{arguments:?}: {printed}");
    assert!(!printed.contains("panicked"), "{printed}");
    printed
}

/// Draws glyphs `first..first + count` as `[N, 3, 16, 16]`.
fn pixels(first: usize, count: usize) -> Tensor {
    let drawn = (first..first + count).flat_map(|i| glyphs::draw(3, Split::Test, i, 16).pixels);
    Tensor::from_slice(&drawn.collect::<Vec<u8>>()).reshape([count as i64, 3, 16, 16])
}

fn write_pictures(folder: &Path, pixels: &Tensor) {
    fs::create_dir(folder).unwrap();
    let last = pixels.permute([0, 2, 3, 1]).contiguous();
    for i in 0..last.size()[0] {
        let picture = Vec::<u8>::try_from(last.get(i).reshape([-1])).unwrap();
        let picture = image::RgbImage::from_raw(16, 16, picture).unwrap();
        picture.save(folder.join(format!("{i:03}.png"))).unwrap();
    }
}

/// Makes two folders of glyphs, `a` and `b`, in a folder for everything else.
fn two_folders(count: usize) -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    write_pictures(&a, &pixels(0, count));
    write_pictures(&b, &pixels(1000, count));
    (folder, a, b)
}

#[test]
fn a_folder_and_arrays_of_the_same_pictures_have_the_same_results() {
    let (folder, a, b) = two_folders(24);
    let reference = ["--against", text(&b), "--no-cache"];
    let of = |samples: &Path| results(report(&[&[text(samples)], &reference[..]].concat()));
    let want = of(&a);
    assert!(want["frechet_distance"].as_f64().unwrap() > 0.0, "{want}");
    assert_eq!(want["kid"]["subset_size"], 24);
    assert_eq!(want["precision_recall"]["neighbours"], 3);
    assert!(want["density_coverage"]["coverage"].is_f64());
    assert_eq!(want.get("fid"), None, "the shipped extractor makes no FID");

    let first = pixels(0, 24);
    let last = first.permute([0, 2, 3, 1]).contiguous();
    let samples = first.to_kind(Kind::Float) / 127.5 - 1.0;
    let path = |name: &str| folder.path().join(name);
    last.write_npy(path("last.npy")).unwrap();
    first.write_npy(path("first.npy")).unwrap();
    samples.write_npy(path("samples.npy")).unwrap();
    Tensor::write_npz(&[("arr_0", &last), ("labels", &first)], path("batch.npz")).unwrap();
    Tensor::write_safetensors(&[("samples", &samples)], path("samples.safetensors")).unwrap();
    for name in ["last.npy", "first.npy", "samples.npy", "batch.npz", "samples.safetensors"] {
        assert_eq!(of(&path(name)), want, "{name}");
    }
}

#[test]
fn saved_features_have_the_results_of_their_pictures() {
    let (folder, a, b) = two_folders(24);
    let saved = |pictures: &Path, name: &str| {
        let path = folder.path().join(name);
        let flags = ["--against", text(&b), "--no-cache", "--save-features", text(&path)];
        (results(report(&[&[text(pictures)], &flags[..]].concat())), path)
    };
    let ((want, a), (itself, b)) = (saved(&a, "a.npy"), saved(&b, "b.npy"));
    let matrices = report(&[text(&a), "--against", text(&b)]);
    assert_eq!(matrices.get("extractor"), None);
    assert_eq!(matrices["samples"]["kind"], "rows of features");
    assert_eq!(results(matrices), want);
    // Equal sets.
    assert!(itself["frechet_distance"].as_f64().unwrap() < 1e-9, "{itself}");
    assert_eq!(itself["precision_recall"]["precision"], 1.0);
    assert_eq!(itself["density_coverage"]["coverage"], 1.0);
}

#[test]
fn references_are_cached_and_a_damaged_cache_is_reported_and_rebuilt() {
    let (folder, a, b) = two_folders(24);
    let cache = folder.path().join("cache");
    let flags = [text(&a), "--against", text(&b), "--cache", text(&cache)];
    let first = report(&flags);
    assert_eq!(first["reference"]["cached"], false);
    assert_eq!(first["samples"].get("cached"), None);
    let second = report(&flags);
    assert_eq!(second["reference"]["cached"], true);
    assert_eq!(results(second), results(first.clone()));

    let files = |extension: &str| -> Vec<PathBuf> {
        let all = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.extension().is_some_and(|found| found == extension)).collect()
    };
    // Cached statistics can serve as a reference themselves.
    let [statistics] = &files("npz")[..] else { panic!("one reference") };
    let by_statistics = report(&[text(&a), "--against", text(statistics)]);
    assert_eq!(by_statistics["frechet_distance"], first["frechet_distance"]);
    assert_eq!(by_statistics["reference"]["count"], 24);
    assert_eq!(by_statistics["left_out"][0]["measure"], "kid");

    let [rows] = &files("npy")[..] else { panic!("one reference") };
    let whole = fs::read(rows).unwrap();
    fs::write(rows, &whole[..whole.len() / 2]).unwrap();
    let output = eval(&[&flags[..], &["--json"]].concat());
    assert!(stderr(&output).contains("fewer data"), "{}", stderr(&output));
    assert!(stderr(&output).contains("computing its features again"), "{}", stderr(&output));
    assert_eq!(fs::read(rows).unwrap(), whole);

    // Other pictures get their own entry.
    let other = report(&[text(&b), "--against", text(&a), "--cache", text(&cache)]);
    assert_eq!(other["reference"]["cached"], false);
    assert_eq!(files("npz").len(), 2);
    let never = report(&[text(&a), "--against", text(&b), "--no-cache"]);
    assert_eq!(never["reference"].get("cached"), None);
}

#[test]
fn the_reference_values_of_ddpm_torch_are_reproduced() {
    let folder = tempfile::tempdir().unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/measures/tests/parity");
    let tensors = Tensor::read_safetensors(vectors.join("metrics_features.safetensors")).unwrap();
    for (name, tensor) in &tensors {
        tensor.write_npy(folder.path().join(format!("{name}.npy"))).unwrap();
    }
    let [real, generated] = ["A_real", "B_generated"].map(|name| {
        let path = folder.path().join(format!("{name}.npy"));
        assert!(path.is_file(), "{name}");
        path
    });
    let of =
        |flags: &[&str]| report(&[&[text(&generated), "--against", text(&real)], flags].concat());
    let json = fs::read_to_string(vectors.join("reference.json")).unwrap();
    let want: Value = serde_json::from_str(&json).unwrap();
    let close = |got: &Value, want: &Value| {
        let (got, want) = (got.as_f64().unwrap(), want.as_f64().unwrap());
        assert!((got - want).abs() < 1e-9 * want.max(1.0), "{got} for {want}");
    };
    let exact = of(&[]);
    close(&exact["frechet_distance"], &want["frechet"][0]["eigh"]);
    close(&exact["precision_recall"]["precision"], &want["neighbours"][1]["precision"]);
    close(&exact["precision_recall"]["recall"], &want["neighbours"][1]["recall"]);
    close(&exact["density_coverage"]["density"], &want["neighbours"][2]["density"]);
    close(&exact["density_coverage"]["coverage"], &want["neighbours"][2]["coverage"]);
    let rounded = of(&["--binary16", "--measures", "precision-recall"]);
    assert_eq!(rounded["precision_recall"]["arithmetic"], "binary16");
    close(&rounded["precision_recall"]["precision"], &want["binary16"][1]["precision"]);
    assert_eq!(rounded.get("frechet_distance"), None, "only the requested measures");
}

#[test]
fn points_of_a_toy_set_reach_all_its_modes_and_half_a_set_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, keep: fn(usize) -> bool| {
        let point = |i| toy::point(ToyKind::Gaussian8, 9, Split::Test, i);
        let points: Vec<f32> = (0..8000).filter(|&i| keep(i)).flat_map(point).collect();
        let path = folder.path().join(name);
        Tensor::from_slice(&points).reshape([-1, 2]).write_npy(&path).unwrap();
        report(&[text(&path), "--against", "gaussian8:20000"])
    };
    let all = write("all.npy", |_| true);
    assert_eq!(all["samples"]["kind"], "points");
    assert_eq!(all["points"]["modes"]["hit"], 8);
    assert!(all["points"]["modes"]["high_quality"].as_f64().unwrap() > 0.98);
    let (kl, of_first) = (&all["points"]["kl"]["kl"], &all["points"]["kl"]["kl_of_first_batch"]);
    assert!(kl.as_f64().unwrap() < of_first.as_f64().unwrap(), "{kl} {of_first}");
    assert!(all["points"]["sliced_wasserstein"].as_f64().unwrap() < 0.02);
    // Point i belongs to mode i mod 8.
    assert_eq!(all["points"]["kl"]["first_batch"], 1000);
    let few = eval(&[text(&folder.path().join("all.npy")), "--against", "gaussian8:300"]);
    let few = stdout(&few);
    assert!(few.contains("nats (300 points of data)"), "{few}");
    let half = write("half.npy", |i| i % 8 < 4);
    assert_eq!(half["points"]["modes"]["hit"], 4);
    let off = half["points"]["modes"]["weights_kl"].as_f64().unwrap();
    assert!((off - 2.0_f64.ln()).abs() < 1e-9, "{off}");
    // Half of the mass lies where there are no samples, in bins that count as 1e-9.
    assert!(half["points"]["kl"]["kl"].as_f64().unwrap() > 5.0);
    assert!(half["points"]["sliced_wasserstein"].as_f64().unwrap() > 0.3);
}

/// Trains briefly and returns the folder of the run.
fn trained(folder: &TempDir, data: &str, flags: &[&str]) -> PathBuf {
    let run = folder.path().join("run");
    let train = ["train", "--data", data, "--out", text(&run), "--device", "cpu"];
    succeed(exporter(&train).args(flags));
    run
}

#[test]
fn a_toy_run_and_its_package_have_the_same_results_in_both_engines() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--steps", "30", "--batch-size", "50", "--timesteps", "20", "--beta-end", "0.5"];
    let run = trained(&folder, "gaussian8:2000", &flags);
    let sampling = ["--count", "500", "--seed", "4"];
    let of_run = report(&[&[text(&run)], &sampling[..]].concat());
    assert_eq!(of_run["reference"]["name"], "gaussian8:2000");
    let drawn = &of_run["samples"]["drawn"];
    assert_eq!((&drawn["seed"], &drawn["evals"]), (&Value::from(4), &Value::from(20)));
    assert_eq!((&drawn["sampler"], &drawn["num_steps"]), (&"ddpm".into(), &20.into()));
    assert_eq!(drawn["engine"], "libtorch on cpu");
    assert_eq!(of_run["samples"]["count"], 500);

    let package = run.join("package");
    let against = [text(&package), "--against", "gaussian8:2000"];
    let of_package = report(&[&against[..], &sampling].concat());
    assert_eq!(results(of_package), results(of_run.clone()));
    let onnx = report(&[&against[..], &sampling, &["--engine", "onnx"]].concat());
    assert!(onnx["samples"]["drawn"]["engine"].as_str().unwrap().starts_with("ONNX Runtime"));
    let distance = |report: &Value| report["points"]["sliced_wasserstein"].as_f64().unwrap();
    assert!((distance(&onnx) - distance(&of_run)).abs() < 1e-4 * distance(&of_run));

    let other = [&[text(&run)], &sampling[..], &["--sampler", "ddim", "--steps", "5"]].concat();
    assert_eq!(report(&other)["samples"]["drawn"]["evals"], 5);
    let lines = stdout(&eval(&[&[text(&run)], &sampling[..]].concat()));
    for part in ["seed 4", "20 evals a sample", "as ddpm-torch", "modes", "sliced Wasserstein"] {
        assert!(lines.contains(part), "{part}: {lines}");
    }

    let bits = report(&[text(&run), "--bits-per-dim", "50", "--seed", "1"]);
    let bound = &bits["bits_per_dim"];
    assert_eq!((bound["items"].as_u64(), bound["terms"].as_array().unwrap().len()), (Some(50), 20));
    assert!(bound["standard_error"].as_f64().unwrap() > 0.0);
    let of_package = report(&[&against[..], &["--bits-per-dim", "50", "--seed", "1"]].concat());
    assert_eq!(&of_package["bits_per_dim"], bound);
    let onnx = ["--bits-per-dim", "50", "--seed", "1", "--engine", "onnx"];
    let total = report(&[&against[..], &onnx].concat())["bits_per_dim"]["total"].as_f64().unwrap();
    assert!((total - bound["total"].as_f64().unwrap()).abs() < 1e-4, "{total}");
    let unread = refusal(&[text(&run), "--bits-per-dim", "5", "--sampler", "ddim"]);
    assert!(unread.contains("--sampler is for samples"), "{unread}");
    let refused = refusal(&[text(&run), "--engine", "onnx"]);
    assert!(refused.contains("--engine onnx is for packages"), "{refused}");
    let no_data = refusal(&[text(&package)]);
    assert!(no_data.contains("--against"), "{no_data}");
}

#[test]
fn a_run_of_pictures_is_compared_with_its_own_data_and_has_bits_per_dimension() {
    let folder = tempfile::tempdir().unwrap();
    let small = ["--hid-channels", "32", "--ch-multipliers", "1", "--apply-attn", "false"];
    let short = ["--steps", "2", "--batch-size", "4", "--timesteps", "8", "--no-export"];
    let range = ["--beta-end", "0.5", "--num-res-blocks", "1", "--sample-every", "0"];
    let run = trained(&folder, "glyphs:40", &[&small[..], &short, &range].concat());
    let judged = report(&[text(&run), "--count", "20", "--steps", "2", "--no-cache"]);
    assert_eq!(judged["reference"]["shape"], serde_json::json!([3, 16, 16]));
    assert_eq!(judged["reference"]["count"], 40);
    assert_eq!(judged["samples"]["drawn"]["evals"], 2);
    assert_eq!(judged["extractor"]["name"], "ddpm-small");
    assert_eq!(judged["kid"]["subset_size"], 20);
    assert!(judged["frechet_distance"].as_f64().unwrap() > 0.1, "two steps teach nothing");

    let bits = report(&[text(&run), "--bits-per-dim", "4", "--split", "test"]);
    let bound = &bits["bits_per_dim"];
    let number = |value: &Value| value.as_f64().unwrap();
    let terms: f64 = bound["terms"].as_array().unwrap().iter().map(number).sum();
    assert!((number(&bound["total"]) - number(&bound["prior"]) - terms).abs() < 1e-9);
    assert_eq!(bound["curve"].as_array().unwrap().len(), 9);
    let shown = eval(&[text(&run), "--bits-per-dim", "2"]);
    assert!(stdout(&shown).contains("bits per dimension"));
    let unlabelled = folder.path().join("unlabelled");
    write_pictures(&unlabelled, &pixels(0, 4));
    let classes = refusal(&[text(&run), "--bits-per-dim", "2", "--against", text(&unlabelled)]);
    assert!(classes.contains("other classes than the model"), "{classes}");
    let array = folder.path().join("a.npy");
    pixels(0, 4).write_npy(&array).unwrap();
    let array = refusal(&[text(&run), "--bits-per-dim", "2", "--against", text(&array)]);
    assert!(array.contains("not an array"), "{array}");
}

/// Writes a TorchScript module that returns the mean of each channel.
fn write_channel_means(path: &Path) {
    let pictures = Tensor::rand([2, 3, 16, 16], (Kind::Float, tch::Device::Cpu));
    let mut means =
        |inputs: &[Tensor]| vec![inputs[0].mean_dim([2i64, 3].as_slice(), false, Kind::Float)];
    let module = CModule::create_by_tracing("means", "forward", &[pictures], &mut means).unwrap();
    module.save(path).unwrap();
}

/// Writes the description beside an extractor.
fn describe(extractor: &Path, change: impl FnOnce(&mut Preprocessing)) {
    let mut preprocessing = Preset::InceptionPool3.preprocessing();
    preprocessing.size = None;
    change(&mut preprocessing);
    let text = serde_json::to_string(&preprocessing).unwrap();
    fs::write(Preprocessing::path_beside(extractor), text).unwrap();
}

fn distance(report: &Value) -> f64 {
    report["frechet_distance"].as_f64().unwrap()
}

#[test]
fn extractors_may_be_torchscript_modules_with_a_description() {
    let (folder, a, b) = two_folders(24);
    let sides = [text(&a), "--against", text(&b), "--no-cache"];
    let refused = |flags: &[&str]| refusal(&[&sides[..], flags].concat());
    let script = folder.path().join("means.pt");
    write_channel_means(&script);

    let undescribed = refused(&["--extractor", text(&script)]);
    assert!(undescribed.contains("means.pt.json") && undescribed.contains("--preset"));
    describe(&script, |preprocessing| {
        preprocessing.features = "channel-means".into();
        preprocessing.dimension = 3;
    });
    let means = report(&[&sides[..], &["--extractor", text(&script)]].concat());
    assert_eq!(means["extractor"]["preprocessing"]["features"], "channel-means");
    // The same features, computed here.
    let rows = |first, name: &str| {
        let values = pixels(first, 24).to_kind(Kind::Float) / 127.5 - 1.0;
        let path = folder.path().join(name);
        values.mean_dim([2i64, 3].as_slice(), false, Kind::Float).write_npy(&path).unwrap();
        path
    };
    let (a_rows, b_rows) = (rows(0, "a.npy"), rows(1000, "b.npy"));
    let want = report(&[text(&a_rows), "--against", text(&b_rows)]);
    assert!((distance(&means) - distance(&want)).abs() < 1e-5 * distance(&want));

    // The features must match the description.
    describe(&script, |_| ());
    let other = refused(&["--extractor", text(&script)]);
    assert!(
        other.contains("gives 3 features per picture, but its description says dimension 2048")
    );

    // Boolean arguments reach the module, which takes none.
    describe(&script, |preprocessing| preprocessing.arguments = vec![true]);
    let output = eval(&[&sides[..], &["--extractor", text(&script)]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("argument"), "{}", stderr(&output));
}

#[test]
fn extractors_may_be_onnx_files_with_a_description() {
    let (folder, a, b) = two_folders(24);
    let sides = [text(&a), "--against", text(&b), "--no-cache"];
    let of = |flags: &[&str]| report(&[&sides[..], flags].concat());
    let refused = |flags: &[&str]| refusal(&[&sides[..], flags].concat());

    // The built-in extractor as a user's file.
    let graph = folder.path().join("small.onnx");
    fs::write(&graph, small::GRAPH).unwrap();
    let text_of = serde_json::to_string(&small::preprocessing()).unwrap();
    fs::write(Preprocessing::path_beside(&graph), text_of).unwrap();
    assert_eq!(results(of(&["--extractor", text(&graph)])), results(of(&[])));
    describe(&graph, |preprocessing| preprocessing.output = Some("pool9".into()));
    let output = refused(&["--extractor", text(&graph)]);
    assert!(output.contains("no output \"pool9\""), "{output}");
    describe(&graph, |preprocessing| {
        *preprocessing = Preprocessing { size: Some([16, 16]), ..small::preprocessing() };
    });
    let output = refused(&["--extractor", text(&graph)]);
    assert!(output.contains("takes pictures of [3, 32, 32], got [3, 16, 16]"), "{output}");

    // A graph with a fixed batch of five returns the same features.
    let fixed = folder.path().join("fixed.onnx");
    let mut model = ModelProto::decode(small::GRAPH).unwrap();
    for value in
        model.graph.iter_mut().flat_map(|graph| graph.input.iter_mut().chain(&mut graph.output))
    {
        let tensor = value.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        let batch = DimensionProto { dim_value: Some(5), dim_param: None };
        tensor.shape.as_mut().unwrap().dim[0] = batch;
    }
    fs::write(&fixed, model.encode_to_vec()).unwrap();
    describe(&fixed, |preprocessing| *preprocessing = small::preprocessing());
    let (by_five, want) = (of(&["--extractor", text(&fixed)]), of(&[]));
    assert!((distance(&by_five) - distance(&want)).abs() < 1e-6 * distance(&want));

    let nowhere = eval(&[&sides[..], &["--ort-lib", "no/such.so"]].concat());
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("no/such.so"), "{}", stderr(&nowhere));
}

#[test]
fn a_preset_is_written_beside_the_extractor_and_never_over_another_description() {
    let (folder, a, b) = two_folders(24);
    let sides = [text(&a), "--against", text(&b), "--no-cache"];
    let refused = |flags: &[&str]| refusal(&[&sides[..], flags].concat());
    let fresh = folder.path().join("fresh.pt");
    write_channel_means(&fresh);
    let promised = refused(&["--extractor", text(&fresh), "--preset", "vgg16"]);
    assert!(promised.contains("dimension 4096"), "{promised}");
    assert_eq!(Preprocessing::read_beside(&fresh).unwrap(), Preset::Vgg16.preprocessing());
    let overwritten = refused(&["--extractor", text(&fresh), "--preset", "dinov2"]);
    assert!(overwritten.contains("differently"), "{overwritten}");
}

#[test]
fn classifier_outputs_are_scored_from_an_array_or_through_an_extractor() {
    let (folder, a, b) = two_folders(24);
    let script = folder.path().join("means.pt");
    write_channel_means(&script);
    describe(&script, |preprocessing| {
        preprocessing.features = "channel-means".into();
        preprocessing.dimension = 3;
        preprocessing.classes = Some(Classes::Logits);
    });
    let rows = folder.path().join("rows.npy");
    let sides = [text(&a), "--against", text(&b), "--no-cache", "--extractor", text(&script)];
    let score = report(&[&sides[..], &["--save-features", text(&rows)]].concat());
    let mean = score["classifier_score"]["mean"].as_f64().unwrap();
    assert!(mean > 1.0 && mean < 3.0, "{mean}");
    assert_eq!(score["classifier_score"]["splits"], 10);
    assert_eq!(score.get("inception_score"), None);
    let of_array = [text(&rows), "--against", text(&rows), "--classes", "logits"];
    let flags = ["--measures", "classifier-score"];
    assert_eq!(
        report(&[&of_array[..], &flags].concat())["classifier_score"],
        score["classifier_score"]
    );
    let lines = stdout(&eval(&sides));
    assert!(lines.contains("classifier score") && lines.contains("10 parts"), "{lines}");
    let misused = refusal(&[&of_array[..], &["--measures", "inception-score"]].concat());
    assert!(misused.contains("--preset inception-logits"), "{misused}");
    let unread = refusal(&[&sides[..], &["--classes", "logits"]].concat());
    assert!(unread.contains("--classes is for arrays"), "{unread}");
}

#[test]
fn features_that_do_not_name_their_extractor_are_reported_as_trusted() {
    let (folder, a, b) = two_folders(24);
    let [rows, cache] = ["rows.npy", "cache"].map(|name| folder.path().join(name));
    let against = ["--against", text(&b), "--cache", text(&cache)];
    let own = report(&[&[text(&a)], &against[..], &["--save-features", text(&rows)]].concat());
    assert_eq!(own["reference"].get("extractor_unknown"), None);
    let foreign = report(&[text(&rows), "--against", text(&b), "--no-cache"]);
    assert_eq!(foreign["samples"]["extractor_unknown"], true);
    let lines = stdout(&eval(&[text(&rows), "--against", text(&b), "--no-cache"]));
    assert!(
        lines.contains("by an extractor that they do not name: taken to be the same"),
        "{lines}"
    );
    // Our own statistics name their extractor.
    let mut files = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let statistics = files.find(|path| path.extension().is_some_and(|e| e == "npz")).unwrap();
    let named = report(&[text(&a), "--against", text(&statistics)]);
    assert_eq!(named["reference"].get("extractor_unknown"), None);
}

#[test]
fn statistics_of_another_extractor_are_refused() {
    let (folder, a, b) = two_folders(24);
    let cache = folder.path().join("cache");
    report(&[text(&a), "--against", text(&b), "--cache", text(&cache)]);
    let mut files = fs::read_dir(&cache).unwrap().map(|entry| entry.unwrap().path());
    let statistics = files.find(|path| path.extension().is_some_and(|e| e == "npz")).unwrap();
    let script = folder.path().join("means.pt");
    write_channel_means(&script);
    describe(&script, |preprocessing| preprocessing.dimension = 3);
    let flags = ["--against", text(&statistics), "--extractor", text(&script)];
    let printed = refusal(&[&[text(&a)], &flags[..]].concat());
    assert!(printed.contains("another extractor or preprocessing"), "{printed}");
}

#[test]
fn impossible_requests_are_refused_by_name() {
    let (folder, a, b) = two_folders(4);
    let path = |name: &str| folder.path().join(name);
    let features = path("features.npy");
    Tensor::rand([9, 5], (Kind::Float, tch::Device::Cpu)).write_npy(&features).unwrap();
    let wider = path("wider.npy");
    Tensor::rand([9, 6], (Kind::Float, tch::Device::Cpu)).write_npy(&wider).unwrap();
    let large = path("large");
    fs::create_dir(&large).unwrap();
    image::RgbImage::new(20, 20).save(large.join("a.png")).unwrap();
    let (empty, words) = (path("empty"), path("words.npy"));
    fs::create_dir(&empty).unwrap();
    fs::write(&words, b"not an array").unwrap();
    let script = path("script.pt");
    fs::write(&script, b"not a module").unwrap();
    describe(&script, |_| ());
    let (a, b, features) = (text(&a), text(&b), text(&features));
    let cases: [(&[&str], &str); 20] = [
        (&["no/such/folder", "--against", b], "no such folder"),
        (&["no/such.npy", "--against", b], "no/such.npy"),
        (&[a], "--against"),
        (&[a, "--against", "photos"], "none called `photos`"),
        (&[a, "--against", "no/such.npz"], "no/such.npz"),
        (&[a, "--against", text(&empty)], "no picture"),
        (&[a, "--against", text(&words)], "not a NumPy array"),
        (&[a, "--against", text(&large)], "--image-size"),
        (&[a, "--against", features], "64 features each, the reference 5"),
        (&[features, "--against", text(&wider)], "5 features each, the reference 6"),
        (&[a, "--against", b, "--measures", "fid"], "--measures fid: FID is"),
        (&[a, "--against", b, "--measures", "density-coverage"], "at least 6 rows"),
        (&[a, "--against", b, "--measures", "modes"], "points of the plane"),
        (&[features, "--against", features, "--extractor", text(&script)], "--extractor is for"),
        (&[a, "--against", b, "--extractor", text(&script)], "not a TorchScript module"),
        (&[a, "--against", b, "--count", "5"], "--count is for a run"),
        (&[a, "--against", b, "--engine", "onnx"], "--engine is for a run"),
        (&[a, "--against", b, "--bits-per-dim", "5"], "--bits-per-dim is for a run"),
        (&[a, "--against", b, "--steps", "5"], "--steps is for a run"),
        (&[features, "--against", features, "--split", "test"], "--split is for data sources"),
    ];
    for (arguments, sentence) in cases {
        let printed = refusal(&[arguments, &["--no-cache"]].concat());
        assert!(printed.contains(sentence), "{arguments:?}: {printed}");
    }
    // Pictures of one size can be compared, but a single picture has no statistics.
    let sized = ["--against", text(&large), "--image-size", "16", "--no-cache"];
    let one = refusal(&[&[a], &sized[..]].concat());
    assert!(one.contains("nothing can be measured: frechet: "), "{one}");
    image::RgbImage::new(20, 20).save(large.join("b.png")).unwrap();
    let two = report(&[&[a], &sized[..]].concat());
    assert!(two["frechet_distance"].is_f64());
    assert_eq!(two["left_out"][0]["measure"], "precision-recall");

    // A broken picture is refused or left out, as requested.
    fs::write(Path::new(b).join("broken.png"), b"no picture").unwrap();
    let broken = refusal(&[a, "--against", b, "--no-cache"]);
    assert!(broken.contains("broken.png"), "{broken}");
    let skipped = report(&[a, "--against", b, "--no-cache", "--on-broken", "skip"]);
    assert_eq!(skipped["reference"]["count"], 4);
}

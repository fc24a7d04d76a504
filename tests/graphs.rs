//! One network in several graphs: added to a package, served side by side, and named everywhere.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use ddpm_client::{Determinism, Error, Format, GraphInfo, Request};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{TestServer, binary, copy_folder, fails_to_start, glyphs, root};

fn convert(package: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(binary("ddpm-exporter"));
    // The data's features are made once for all tests.
    let cache = concat!(env!("CARGO_TARGET_TMPDIR"), "/features");
    command.arg("convert").arg(package).args(flags).args(["--cache", cache]).output().unwrap()
}

fn succeed(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

/// Returns a folder of models, not to be changed: the embedded glyphs, with an int8 graph of few
/// samples.
fn with_int8() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(make_int8);
    FOLDER.path()
}

fn make_int8() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("glyphs");
    copy_folder(&root().join("models/glyphs"), &package);
    let data = format!("folder:{}", own_samples().display());
    let flags = ["--graphs", "cuda,int8", "--data", &data, "--int8-samples", "100", "--force-int8"];
    succeed(&convert(&package, &flags));
    folder
}

/// Returns a package of random weights in every graph, not to be changed.
fn random() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Command::new(binary("ddpm-exporter"));
        random.args(["random", "--network", "glyphs", "--graphs", "cuda,int8", "--output"]);
        succeed(&random.arg(folder.path().join("glyphs-random")).output().unwrap());
        folder
    });
    FOLDER.path()
}

/// Returns a folder of the embedded glyphs' own samples, those by which graphs are judged, one of
/// them twice: nothing is as near to them as the portable graph.
fn own_samples() -> &'static Path {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        let server = TestServer::start(&[]);
        let labels: Vec<String> = (0..16).map(|label| label.to_string()).collect();
        let mut sample = Command::new(binary("ddpm"));
        sample.args(["--server", server.address(), "sample", "glyphs", "--label"]);
        sample.arg(labels.join(",")).args(["--count", "100", "--seed", "1", "--no-grid", "--out"]);
        succeed(&sample.arg(folder.path()).output().unwrap());
        let one = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        fs::copy(&one, folder.path().join("again.png")).unwrap();
        folder
    });
    FOLDER.path()
}

fn manifest(package: &Path) -> Value {
    serde_json::from_slice(&fs::read(package.join("ddpm.json")).unwrap()).unwrap()
}

fn request() -> Request {
    glyphs(4).format(Format::RawF32).determinism(Determinism::Strict)
}

#[tokio::test]
async fn two_graphs_of_a_model_are_served_side_by_side_and_keep_their_bits() {
    let models = with_int8().to_str().unwrap();
    let server = TestServer::start(&["--models", models, "--graphs", "int8"]);

    let model = server.client().await.model("glyphs").await.unwrap();
    assert_eq!(model.graph, "portable");
    let names = |graph: &GraphInfo| (graph.name.clone(), graph.precision.clone());
    let listed: Vec<_> = model.graphs.iter().map(names).collect();
    let pair = |name: &str, precision: &str| (name.to_owned(), precision.to_owned());
    assert_eq!(listed, [pair("portable", "fp32"), pair("int8", "int8")]);
    assert!(model.graphs.iter().all(|graph| graph.strict && !graph.call_costs.is_empty()));
    assert_eq!(model.graphs[1].quality.unwrap().samples, 100);

    let portable = server.sample(request()).await;
    let int8 = server.sample(request().graph("int8")).await;
    assert_eq!(portable.receipt.graph, "portable");
    assert_eq!(int8.receipt.graph, "int8");
    assert_ne!(portable.samples, int8.samples);
    assert_eq!(portable.receipt.program_digest, int8.receipt.program_digest);
    let (a, b, c) = tokio::join!(
        server.sample(request()),
        server.sample(request().graph("int8")),
        server.sample(request().graph("portable")),
    );
    assert_eq!(a.samples, portable.samples);
    assert_eq!(b.samples, int8.samples);
    assert_eq!(c.samples, portable.samples);
}

#[tokio::test]
async fn the_operator_chooses_the_graph_of_requests_that_name_none() {
    let models = with_int8().to_str().unwrap();
    let server = TestServer::start(&["--models", models, "--graph", "int8"]);

    let sampled = server.sample(request()).await;
    assert_eq!(sampled.receipt.graph, "int8");
    let refused = server.client().await.generate(request().graph("portable")).await;
    let Err(error) = refused else { panic!("it serves int8 alone") };
    let Error::Refused(refusal) = &error else { panic!("{error}") };
    assert!(format!("{refusal:?}").contains("GRAPH_UNAVAILABLE"), "{refusal:?}");
    assert!(error.to_string().contains("only in int8"), "{error}");
}

#[tokio::test]
async fn a_package_without_the_graph_is_served_in_its_portable_one_and_the_log_says_so() {
    let toy = root().join("models/toy");
    let server = TestServer::start(&["--models", toy.to_str().unwrap(), "--graph", "int8"]);
    let model = server.client().await.model("toy").await.unwrap();
    assert_eq!((model.graph.as_str(), model.graphs.len()), ("portable", 1));
    server.signal("TERM");
    let (_, log) = server.wait();
    assert!(log.contains("the package has no such graph") && log.contains("int8"), "{log}");
}

#[test]
fn a_graph_that_does_not_run_on_the_device_stops_the_server() {
    for flags in [["--graph", "cuda"], ["--graphs", "cuda"]] {
        let (code, log) = fails_to_start(&flags);
        assert_eq!(code, 3, "{log}");
        assert!(log.contains("cuda does not run on cpu"), "{log}");
    }
}

#[test]
fn a_changed_int8_graph_is_refused_by_its_golden_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("glyphs");
    copy_folder(&with_int8().join("glyphs"), &package);
    // Another network's graph under this name, with the digest to match.
    let path = package.join("unet/model.int8.onnx");
    let other = fs::read(random().join("glyphs-random/unet/model.onnx")).unwrap();
    fs::write(&path, &other).unwrap();
    let mut json = manifest(&package);
    for file in json["files"].as_array_mut().unwrap() {
        if file["path"] == "unet/model.int8.onnx" {
            file["sha256"] = ddpm_package::Sha256Hex::of(&other).as_str().into();
            file["size"] = other.len().into();
        }
    }
    fs::write(package.join("ddpm.json"), serde_json::to_vec(&json).unwrap()).unwrap();

    let models = folder.path().to_str().unwrap();
    let (code, log) = fails_to_start(&["--models", models, "--graphs", "int8"]);
    assert_eq!(code, 3, "{log}");
    assert!(log.contains("the int8 graph on cpu differs from the golden outputs"), "{log}");
}

#[test]
fn a_graph_whose_samples_are_worse_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("glyphs");
    copy_folder(&root().join("models/glyphs"), &package);
    let before = manifest(&package);

    let data = format!("folder:{}", own_samples().display());
    let output = convert(&package, &["--graphs", "int8", "--data", &data, "--int8-samples", "100"]);

    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("the int8 graph is not written"), "{text}");
    assert!(text.contains("--force-int8"), "{text}");
    assert_eq!(manifest(&package), before);
    assert!(!package.join("unet/model.int8.onnx").exists());
}

#[test]
fn what_somebody_insisted_on_is_marked_and_verified() {
    let package = with_int8().join("glyphs");

    let variants = manifest(&package)["variants"].clone();
    assert_eq!(variants[0]["graph"], "cuda");
    assert_eq!(variants[1]["graph"], "int8");
    assert_eq!(variants[1]["quality"]["passed"], false);
    let verify = Command::new(binary("ddpm-exporter")).arg("verify").arg(&package).output();
    let lines = String::from_utf8(verify.unwrap().stdout).unwrap();
    for graph in ["portable", "cuda", "int8"] {
        assert!(lines.contains(graph), "{lines}");
    }
    assert_eq!(lines.matches(": ok").count(), 4, "{lines}");
}

#[tokio::test]
async fn a_random_network_has_every_graph_and_nobody_claims_that_its_samples_are_good() {
    let package = random().join("glyphs-random");
    let variants = manifest(&package)["variants"].clone();
    let name = |at: usize| variants[at]["graph"].as_str();
    assert_eq!((name(0), name(1)), (Some("cuda"), Some("int8")));
    assert!(variants[1].get("quality").is_none(), "{variants}");

    let models = package.to_str().unwrap();
    let server = TestServer::start(&["--models", models, "--graphs", "int8"]);
    let model = server.client().await.model("glyphs-random").await.unwrap();
    assert_eq!(model.graphs[1].quality, None);
    let request = Request::new("glyphs-random", ddpm_client::Indices::first(2)).num_steps(5);
    assert_eq!(server.sample(request.graph("int8")).await.receipt.graph, "int8");
    server.signal("TERM");
    let (_, log) = server.wait();
    assert!(log.contains("nobody has compared its samples"), "{log}");
}

#[test]
fn points_are_no_data_for_a_model_of_pictures() {
    let glyphs = root().join("models/glyphs");
    let output = convert(&glyphs, &["--graphs", "int8", "--data", "swissroll"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("has points, and the model makes pictures"), "{text}");
}

#[test]
fn data_that_the_package_does_not_name_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("imported");
    let fixture = root().join("tests/fixtures/diffusers/legacy");
    let mut import = Command::new(binary("ddpm-exporter"));
    import.arg("import").arg(fixture).arg("--output").arg(&package);
    succeed(&import.output().unwrap());

    let output = convert(&package, &["--graphs", "int8"]);

    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("name it with --data"), "{text}");
}

//! Trainer and server give the same pictures: one uses libtorch, the other ONNX Runtime, with
//! the same program, noise and kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ddpm_client::samplers::{Ddim, Ddpm};
use ddpm_client::{ClippedEps, Format, Grid, Indices, Request, Sampler};

use crate::harness::{TestServer, binary, root, values};

const COUNT: u32 = 8;
const SEED: u64 = 20_261_123;

/// Runs `ddpm-exporter sample` on the package of an embedded model; returns the samples, one
/// after another.
fn libtorch(model: &str, flags: &[&str]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let package = root().join("models").join(model);
    let output = Command::new(binary("ddpm-exporter"))
        .args(["sample", package.to_str().unwrap(), "--device", "cpu"])
        .args(["--count", &COUNT.to_string(), "--seed", &SEED.to_string()])
        .args(flags)
        .arg("--out")
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    read_npy(&folder.path().join("samples.npy"))
}

/// Reads a NumPy file of little-endian f32.
fn read_npy(path: &Path) -> Vec<f32> {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert!(String::from_utf8_lossy(&bytes[10..header]).contains("'<f4'"));
    let (words, rest) = bytes[header..].as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().copied().map(f32::from_le_bytes).collect()
}

async fn served(request: Request) -> Vec<f32> {
    let server = TestServer::start(&[]);
    let samples = server.sample(request.format(Format::RawF32).seed(SEED)).await.samples;
    samples.iter().flat_map(|sample| values(&sample.data).to_vec()).collect()
}

fn assert_same_pictures(libtorch: &[f32], served: &[f32], what: &str) {
    assert_eq!(libtorch.len(), served.len());
    let size = served.iter().fold(0.0f32, |size, value| size.max(value.abs()));
    assert!(size > 0.5, "{what}: the samples are not trivial: {size}");
    let differences = libtorch.iter().zip(served).map(|(a, b)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    println!("{what}: largest difference {largest:.1e}");
    assert!(largest <= 1e-3, "{what}: largest difference {largest}");
}

#[tokio::test]
async fn glyphs_are_the_same_in_both_for_50_rows_of_ddim() {
    let labels: Vec<u32> = (0..8).collect();
    let request = Request::new("glyphs", Indices::first(COUNT))
        .class_labels(labels)
        .sampler(Sampler::Ddim(Ddim { eta: 0.0, clip_rule: ClippedEps::Recompute }))
        .grid(Grid::Trailing)
        .num_steps(50);
    let flags = ["--labels", "0,1,2,3,4,5,6,7", "--sampler", "ddim", "--steps", "50"];
    let ours = libtorch("glyphs", &[&flags[..], &["--grid", "trailing"]].concat());
    assert_same_pictures(&ours, &served(request).await, "glyphs, ddim");
}

#[tokio::test]
async fn glyphs_are_the_same_in_both_with_noise_in_every_row() {
    let request = Request::new("glyphs", Indices::first(COUNT))
        .class_labels(vec![14])
        .sampler(Sampler::Ddim(Ddim { eta: 1.0, clip_rule: ClippedEps::Recompute }))
        .grid(Grid::Leading { offset: 0 })
        .num_steps(50);
    let flags = ["--labels", "star", "--sampler", "ddim:eta=1", "--steps", "50"];
    let ours = libtorch("glyphs", &[&flags[..], &["--grid", "leading"]].concat());
    assert_same_pictures(&ours, &served(request).await, "glyphs, ddim with noise");
}

#[tokio::test]
async fn points_are_the_same_in_both_for_50_rows_of_ddpm() {
    let manifest = ddpm_package::Package::open(&toy()).unwrap().manifest().clone();
    let request = Request::new("toy", Indices::first(COUNT))
        .sampler(Sampler::Ddpm(Ddpm { variance: Some(manifest.variance) }))
        .grid(Grid::Trailing)
        .num_steps(50);
    let flags = ["--sampler", "ddpm", "--steps", "50", "--grid", "trailing"];
    assert_same_pictures(&libtorch("toy", &flags), &served(request).await, "toy, ddpm");
}

fn toy() -> PathBuf {
    root().join("models/toy")
}

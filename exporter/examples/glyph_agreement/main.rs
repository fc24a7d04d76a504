//! Checks whether a model's glyphs show the requested classes.
//!
//! Trains a classifier on generated glyphs, which must do well on held-out ones, and lets it judge
//! samples of a model package, drawn as by the server: fixed seed, labels in turn. Agreement is the
//! share of samples in which it sees the requested label.
//!
//! ```text
//! cargo run --release -p ddpm-exporter --example glyph_agreement -- models/glyphs --out grid.png
//! ```
//!
//! Results go to stdout, progress to stderr. Exit codes: 0 at least 90 % agree, 1 failed, 2 usage,
//! 3 package that cannot be judged, 6 fewer agree.

mod report;
mod samples;
#[path = "../support/mod.rs"]
mod support;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ddpm_data::glyphs::CLASS_NAMES;
use ddpm_package::{Manifest, Package};
use ddpm_pictures::{Picture, grid_of, write_png};

use report::Report;
use samples::Samples;
use support::classifier::Classifier;

/// Share of samples that must show their label.
const REQUIRED_AGREEMENT: f64 = 0.9;

/// Columns of the grid: one per class.
const COLUMNS: usize = CLASS_NAMES.len();
/// Side of the square that each pixel becomes.
const ENLARGEMENT: u32 = 4;
const PADDING: u32 = 2;

/// Judges the samples of a glyphs model with a classifier.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of the package.
    #[arg(value_name = "PACKAGE_DIR")]
    package: PathBuf,

    /// Number of samples; sample i should show class i mod 16.
    #[arg(long, default_value = "256")]
    count: NonZeroUsize,

    /// Seed of the samples.
    #[arg(long, default_value_t = 7)]
    seed: u64,

    /// Steps of the package's default sampler [default: the package's].
    #[arg(long)]
    steps: Option<usize>,

    /// PNG file for a grid of the samples, with one column per class.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// The package is valid, but its model does not draw glyphs.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a glyphs model: {problem}", package.display())]
struct NotGlyphs {
    package: PathBuf,
    problem: String,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(share) if share >= REQUIRED_AGREEMENT => ExitCode::SUCCESS,
        Ok(share) => {
            let (share, required) = (100.0 * share, 100.0 * REQUIRED_AGREEMENT);
            eprintln!("check failed: {share:.1} % of the samples agree, less than {required:.0} %");
            ExitCode::from(6)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            let of_package = error.is::<NotGlyphs>() || error.is::<ddpm_package::Error>();
            ExitCode::from(if of_package { 3 } else { 1 })
        }
    }
}

/// Judges samples, prints the report, and returns the share that agrees.
fn run(args: &Args) -> anyhow::Result<f64> {
    let package = Package::open(&args.package)?;
    let side = check_is_glyphs(&args.package, package.manifest())?;
    // Comes first because it is quick, and invalid requests fail here.
    let samples = Samples::draw(&package, args.count.get(), args.seed, args.steps)?;
    let (classifier, accuracy) = Classifier::judge(side)?;
    let seen = classifier.classify(&samples.values)?;
    let report = Report::new(&package, &samples, accuracy, &seen);
    if let Some(path) = &args.out {
        write_grid(path, package.manifest(), &samples, &report)?;
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.share)
}

/// Checks that the model draws glyphs, and returns their side.
fn check_is_glyphs(package: &Path, manifest: &Manifest) -> Result<usize, NotGlyphs> {
    let refuse = |problem: String| NotGlyphs { package: package.into(), problem };
    if manifest.classes != CLASS_NAMES {
        let count = manifest.classes.len();
        return Err(refuse(format!("its {count} classes are not those of the generator")));
    }
    match manifest.sample_shape[..] {
        [3, height, width] if height == width => Ok(height),
        ref shape => Err(refuse(format!("its samples have the shape {shape:?}, not [3, S, S]"))),
    }
}

fn write_grid(
    path: &Path,
    manifest: &Manifest,
    samples: &Samples,
    report: &Report,
) -> anyhow::Result<()> {
    let [channels, height, width] = [0, 1, 2].map(|axis| manifest.sample_shape[axis] as u32);
    let cell = |values| Picture::from_values([channels, height, width], values).map(Some);
    let cells = samples
        .values
        .chunks_exact(manifest.sample_len())
        .map(cell)
        .collect::<Result<Vec<_>, _>>()?;
    let picture = grid_of(&cells, COLUMNS, ENLARGEMENT, PADDING)?;
    let mut file = Vec::new();
    write_png(&mut file, &picture, &report.text())?;
    std::fs::write(path, file).with_context(|| format!("{} cannot be written", path.display()))
}

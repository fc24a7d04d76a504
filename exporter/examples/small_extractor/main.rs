//! Trains the extractor that `ddpm-exporter eval` uses when none is named, and writes its two files.
//!
//! ```text
//! cargo run --release -p ddpm-exporter --example small_extractor
//! ```
//!
//! Exit codes: 0 ok, 1 failed, 6 it did not learn enough to be of use.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ddpm_exporter::evaluate::preprocessing::Preprocessing;
use ddpm_exporter::evaluate::small::train::{Trained, preprocessing, train};

/// Shares of held-out glyphs and digits that it must know.
const REQUIRED: [f64; 2] = [0.95, 0.9];

/// Trains the small extractor of the evaluation.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of handwritten digits in MNIST's file format.
    #[arg(long, default_value = "tests/fixtures/digits")]
    digits: PathBuf,

    /// The ONNX file; its description is written beside it.
    #[arg(long, default_value = "exporter/src/evaluate/small/extractor.onnx")]
    out: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let Trained { onnx, glyph_accuracy, digit_accuracy } = train(&args.digits)?;
    println!("held-out glyphs {glyph_accuracy:.4}, digits {digit_accuracy:.4}");
    if glyph_accuracy < REQUIRED[0] || digit_accuracy < REQUIRED[1] {
        eprintln!("check failed: {REQUIRED:?} of them must be told right");
        return Ok(ExitCode::from(6));
    }
    fs::write(&args.out, &onnx).with_context(|| format!("{}", args.out.display()))?;
    let path = Preprocessing::path_beside(&args.out);
    let text = serde_json::to_string_pretty(&preprocessing())? + "\n";
    fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    println!("{}, {} bytes", args.out.display(), onnx.len());
    Ok(ExitCode::SUCCESS)
}

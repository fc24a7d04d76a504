//! Trains the default extractor of `ddpm-exporter eval`, and writes its file.
//!
//! ```text
//! cargo run --release -p ddpm-exporter --example small_extractor
//! ```
//!
//! Exit codes: 0 ok, 1 failed, 6 its accuracy is too low.

#[path = "../support/epoch.rs"]
mod epoch;
mod network;
mod train;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use ddpm_evaluation::small;

use train::{Trained, train};

/// Required accuracy on held-out glyphs and digits.
const REQUIRED: [f64; 2] = [0.95, 0.9];

/// Trains the small extractor for evaluation.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of handwritten digits in MNIST's file format.
    #[arg(long, default_value = "tests/fixtures/digits")]
    digits: PathBuf,

    /// ONNX file to write; the description beside it is left unchanged.
    #[arg(long, default_value = "crates/evaluation/src/small/extractor.onnx")]
    out: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let described = small::preprocessing();
    ensure!(
        described.dimension as i64 == network::DIMENSION
            && described.size == Some([network::SIDE as usize; 2]),
        "the description beside the extractor is for another network"
    );
    let Trained { onnx, glyph_accuracy, digit_accuracy } = train(&args.digits)?;
    println!("held-out glyphs {glyph_accuracy:.4}, digits {digit_accuracy:.4}");
    if glyph_accuracy < REQUIRED[0] || digit_accuracy < REQUIRED[1] {
        eprintln!("check failed: the required accuracies are {REQUIRED:?}");
        return Ok(ExitCode::from(6));
    }
    fs::write(&args.out, &onnx).with_context(|| format!("{}", args.out.display()))?;
    println!("{}, {} bytes", args.out.display(), onnx.len());
    Ok(ExitCode::SUCCESS)
}

//! The command line: one file or folder per command. Results go to stdout, progress and logs to
//! stderr.
//!
//! Commands follow the life of a model; what they share comes first:
//!
//! * `failure`: why a command failed, and its exit code; `output`: results on stdout;
//! * `names`: names as typed; `device`: where libtorch computes; `model`: loads a trained model;
//!   `labels`: where they come from; `classes`: classes as typed; `sampling`: how to sample;
//!   `cache`: where features are cached;
//! * `settings`: the settings of a run; `layers`: which of them win; `distributed`: training on
//!   several processes; `judging`: measuring samples during training;
//! * `presets`, `data`, `train`, `sample`, `eval`: from settings and data to an evaluated model;
//! * `export`, `import`, `verify`, `inspect`: packages;
//! * `random`, `doctor`: benchmarks and checks of the machine.

mod failure;
pub use failure::Failure;
use failure::within;

mod output;

mod names;

mod device;

mod model;

mod sampling;

mod settings;

mod layers;

mod distributed;

mod cache;

mod labels;

mod classes;

mod judging;

mod presets;

mod data;

mod train;

mod sample;

mod eval;

mod export;

mod import;

mod verify;

mod convert;

mod graphs;

mod inspect;

mod random;

mod doctor;

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use ddpm_console::{LossyStderr, last_note};
use tracing_subscriber::EnvFilter;

/// Trains diffusion models and writes ONNX model packages.
#[derive(Debug, clap::Parser)]
#[command(name = "ddpm-exporter", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter data check folder:PICTURES --image-size 32
  ddpm-exporter train --data glyphs --out runs/glyphs
  ddpm-exporter train --data folder:PICTURES --image-size 32 --out runs/mine
  ddpm-exporter train --resume runs/mine
  ddpm-exporter sample runs/mine --count 16 --out samples
  ddpm-exporter eval runs/mine --count 1000
  ddpm-exporter export runs/mine --output models/mine
  ddpm-exporter import cifar10.pt --config cifar10.json --output models/cifar10
  ddpm-exporter convert models/mine --graphs int8
  ddpm-exporter verify models/mine
  ddpm-exporter inspect models/mine";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the settings of published results, in the format of --config.
    Presets(presets::PresetsArgs),
    /// Write a settings file to edit, for --config.
    Init(presets::InitArgs),
    /// Inspect a data set before training.
    Data(data::Args),
    /// Train a model, then write and verify its package.
    Train(Box<train::Args>),
    /// Draw samples in libtorch, the same as the server draws for the same seed.
    Sample(sample::Args),
    /// Compare samples with data: Fréchet distance, KID, precision and recall, toy measures.
    Eval(Box<eval::Args>),
    /// Write and verify the package of a checkpoint.
    Export(Box<export::Args>),
    /// Turn another program's model into a package, and verify it.
    Import(import::Args),
    /// Add graphs to a package: fp16 for CUDA, int8 for CPUs.
    Convert(Box<convert::Args>),
    /// Recompute the golden outputs of a package's graphs in libtorch and in ONNX Runtime.
    Verify(verify::Args),
    /// Describe a run, a checkpoint, a package or an ONNX file.
    Inspect(inspect::Args),
    /// Write a package of random weights, for benchmarks and device checks.
    Random(random::Args),
    /// Check what this machine offers, what works, and how to fix the rest.
    Doctor(doctor::Args),
}

impl Cli {
    /// Runs the command, prints errors to stderr and returns the exit code: 0 ok, 1 failed, 2
    /// usage, 3 bad settings or package, 6 failed check, 130 or 143 stopped by a signal.
    #[must_use]
    pub fn run(self) -> ExitCode {
        start_logging();
        let result = match self.command {
            Command::Presets(args) => args.run(),
            Command::Init(args) => args.run(),
            Command::Data(args) => args.run(),
            Command::Train(args) => args.run(),
            Command::Sample(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Import(args) => args.run(),
            Command::Convert(args) => args.run(),
            Command::Verify(args) => args.run(),
            Command::Inspect(args) => args.run(),
            Command::Random(args) => args.run(),
            Command::Doctor(args) => args.run(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                last_note(format_args!("{failure}"));
                failure.exit_code()
            }
        }
    }
}

/// Prints the libraries' warnings to stderr; `RUST_LOG` selects more.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LossyStderr)
        .with_ansi(stderr().is_terminal())
        // It would report a line that it cannot write with a macro that panics.
        .log_internal_errors(false);
    // Fails only if logging is already set up, as in a test.
    let _ = logging.try_init();
}

//! The command line: one file a command. Results go to stdout, progress and logs to stderr.
//!
//! The commands stand in the order of a model's life; what several of them share comes before:
//!
//! * `failure`: why a command ended early, and its exit code;
//! * `names`: names that people type; `device`: where libtorch computes; `model`: a trained model, from
//!   whatever holds one; `how`: how to sample;
//! * `settings`: the words of a run; `layers`: which of them count; `distributed`: on several processes;
//! * `presets`, `data`, `train` with its `dry_run`, `sample`, `eval`: from settings and data to a model
//!   that was judged;
//! * `export`, `import`, `verify`, `inspect`: packages;
//! * `random`, `doctor`: for the machine.

mod failure;
pub use failure::Failure;

mod names;

mod device;

mod model;

mod how;

mod settings;

mod layers;

mod distributed;

mod cache;

mod judging;

mod presets;

mod data;

mod train;

mod dry_run;

mod sample;

mod eval;

mod export;

mod import;

mod verify;

mod inspect;

mod random;

mod doctor;

use std::process::ExitCode;

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
  ddpm-exporter verify models/mine
  ddpm-exporter inspect models/mine";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the settings of published results, as files for --config.
    Presets(presets::PresetsArgs),
    /// Write a file of settings to edit, for --config.
    Init(presets::InitArgs),
    /// Look at a data set before training.
    Data(data::Args),
    /// Train a model, then write and verify its package.
    Train(Box<train::Args>),
    /// Draw samples in libtorch: those that the server draws for the same seed.
    Sample(sample::Args),
    /// Compare samples with data: Fréchet distance, KID, precision and recall, toy measures.
    Eval(Box<eval::Args>),
    /// Write the package of a checkpoint, and verify it.
    Export(export::Args),
    /// Make a package of another program's model, and verify it.
    Import(import::Args),
    /// Recompute a package's golden outputs in libtorch and in ONNX Runtime.
    Verify(verify::Args),
    /// Say what a run, a checkpoint, a package or an ONNX file holds.
    Inspect(inspect::Args),
    /// Write a package of untrained weights, for benchmarks and checks of devices.
    Random(random::Args),
    /// Say what this machine has, what of it works, and what to do about the rest.
    Doctor(doctor::Args),
}

impl Cli {
    /// Runs the command and says how it went, in words on stderr and by the exit code: 0 ok, 1
    /// failed, 2 usage, 3 bad settings or package, 6 a check failed, 130 and 143 when cut short.
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
            Command::Verify(args) => args.run(),
            Command::Inspect(args) => args.run(),
            Command::Random(args) => args.run(),
            Command::Doctor(args) => args.run(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                eprintln!("{failure}");
                failure.exit_code()
            }
        }
    }
}

/// Warnings of the libraries; `RUST_LOG` asks for more.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // It fails only if there is logging already, as in a test.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}

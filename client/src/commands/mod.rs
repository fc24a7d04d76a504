//! The commands, one file each.

mod context;
mod encode;
mod estimate;
mod flags;
mod interpolate;
mod models;
mod output;
mod program;
mod sample;
mod status;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use ddpm_client::Error;

use self::context::{Context, DEFAULT_SERVER};
use self::flags::seconds;

/// Draws samples from diffusion models served by `ddpm-server`.
#[derive(Debug, clap::Parser)]
#[command(name = "ddpm", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    /// Address of the server.
    #[arg(
        long,
        env = "DDPM_SERVER",
        value_name = "URL",
        default_value = DEFAULT_SERVER,
        global = true
    )]
    server: String,

    /// How long to go on without a sample while the server is away, restarts, drains or is full.
    /// Time in the server's queue does not count. 0: never ask again.
    #[arg(
        long,
        env = "DDPM_RETRY_SECONDS",
        value_name = "S",
        default_value = "300",
        value_parser = seconds,
        global = true
    )]
    retry_seconds: Duration,

    /// Print one JSON document instead of lines.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Exit codes: 0 done, 1 something is missing or could not be written, 2 usage, 4 server unreachable,
5 refused, 128 plus the number of a signal.

Examples:
  ddpm models
  ddpm watch MODEL --count 16 --steps 50
  ddpm sample MODEL --count 16 --seed 7
  ddpm sample MODEL --sampler dpm++:order=3 --steps 20 --label 3 --gif
  ddpm sample MODEL --image drawing.png --strength 0.6
  ddpm sample MODEL --known photo.png --mask mask.png
  ddpm estimate MODEL --count 10000 --steps 50
  ddpm program MODEL --sampler heun --steps 10 --json > rows.json
  ddpm sample MODEL --program rows.json
  ddpm interpolate MODEL --from a.png --to b.png --frames 9 --gif";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Draw samples and write them as pictures, animations or arrays.
    Sample(Box<sample::Args>),
    /// Watch samples form in the terminal.
    Watch(Box<watch::Args>),
    /// Say what samples would cost and when they would be done, without drawing them.
    Estimate(Box<estimate::Args>),
    /// Show the rows that a run would apply; with --json, in the form that `ddpm sample
    /// --program` reads.
    Program(Box<program::Args>),
    /// Encode pictures: write the noise that DDIM decodes to them.
    Encode(encode::Args),
    /// Interpolate between two samples.
    Interpolate(Box<interpolate::Args>),
    /// List the models of the server, or describe one.
    Models(models::Args),
    /// Show the server's versions, device, limits and load.
    Status,
}

impl Cli {
    /// Runs the command and returns its exit code.
    pub(crate) async fn run(self) -> Result<ExitCode, Error> {
        let context = Context::new(self.server, self.retry_seconds, self.json);
        match self.command {
            Command::Sample(args) => sample::run(&context, &args).await,
            Command::Watch(args) => watch::run(&context, &args).await,
            Command::Estimate(args) => estimate::run(&context, &args).await,
            Command::Program(args) => program::run(&context, &args).await,
            Command::Encode(args) => encode::run(&context, &args).await,
            Command::Interpolate(args) => interpolate::run(&context, &args).await,
            Command::Models(args) => models::run(&context, &args).await,
            Command::Status => status::run(&context).await,
        }
    }
}

//! One file per command; here what they share.

mod ask;
mod encode;
mod interpolate;
mod models;
mod output;
mod program;
mod sample;
mod status;

use std::process::ExitCode;

use ddpm_client::{Client, Error, Options};

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

    /// Print one JSON document instead of lines.
    #[arg(long, global = true)]
    json: bool,

    #[command(subcommand)]
    command: Command,
}

const DEFAULT_SERVER: &str = "http://127.0.0.1:50051";

const EXAMPLES: &str = "\
Examples:
  ddpm models
  ddpm sample MODEL --count 16 --seed 7
  ddpm sample MODEL --sampler dpm++:order=3 --steps 20 --label 3 --gif
  ddpm sample MODEL --image drawing.png --strength 0.6
  ddpm sample MODEL --known photo.png --mask mask.png
  ddpm program MODEL --sampler heun --steps 10 --json > rows.json
  ddpm sample MODEL --program rows.json
  ddpm interpolate MODEL --from a.png --to b.png --frames 9 --gif";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Draw samples and write them as pictures, animations or arrays.
    Sample(Box<sample::Args>),
    /// Show the rows that a run would apply; with --json in the form that `ddpm sample
    /// --program` takes.
    Program(Box<program::Args>),
    /// Encode pictures: write the noise that DDIM turns back into them.
    Encode(encode::Args),
    /// Draw the way from one sample to another.
    Interpolate(Box<interpolate::Args>),
    /// List the models of the server, or tell all about one.
    Models(models::Args),
    /// Show versions, device, limits and load of the server.
    Status,
}

/// What a command needs to know of the outside.
#[derive(Debug)]
struct Context {
    server: String,
    json: bool,
}

impl Context {
    /// The server, unless it is the one that is meant anyway.
    fn other_server(&self) -> Option<&str> {
        Some(self.server.as_str()).filter(|server| *server != DEFAULT_SERVER)
    }

    async fn connect(&self) -> Result<Client, Error> {
        Client::connect(&self.server, Options::default()).await
    }
}

impl Cli {
    /// Runs the command; the exit code is that of a run without an error.
    pub(crate) async fn run(self) -> Result<ExitCode, Error> {
        let context = Context { server: self.server, json: self.json };
        match self.command {
            Command::Sample(args) => sample::run(&context, &args).await,
            Command::Program(args) => program::run(&context, &args).await,
            Command::Encode(args) => encode::run(&context, &args).await,
            Command::Interpolate(args) => interpolate::run(&context, &args).await,
            Command::Models(args) => models::run(&context, &args).await,
            Command::Status => status::run(&context).await,
        }
    }
}

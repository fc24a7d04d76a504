//! `ddpm-exporter`: one subcommand a stage; no logic.

use std::process::ExitCode;

use clap::Parser;
use ddpm_exporter::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}

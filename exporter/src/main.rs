//! `ddpm-exporter`: one subcommand per stage.

use std::process::ExitCode;

use clap::Parser;
use ddpm_exporter::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}

//! The `ddpm` command: samples models of a `ddpm-server`.
//!
//! Results go to stdout, progress and errors to stderr. Exit codes: 0 ok,
//! 1 failed, 2 usage, 4 server unreachable, 5 refused, 130 and 143
//! when cut short by SIGINT and SIGTERM.

mod commands;

use std::process::ExitCode;

use clap::Parser;
use ddpm_client::Error;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = commands::Cli::parse();
    tokio::select! {
        result = command.run() => result.unwrap_or_else(|error| failed(&error)),
        // Dropping the command drops its stream, so the server stops working for
        // it, and a file that is not whole yet is never renamed into its place.
        code = cut_short() => ExitCode::from(code),
    }
}

fn failed(error: &Error) -> ExitCode {
    let message = match error {
        Error::Unreachable { endpoint, cause } => format!(
            "no server at {endpoint}: start one with `ddpm-server`, \
             or name another with --server ({cause})"
        ),
        other => other.to_string(),
    };
    eprintln!("error: {message}");
    ExitCode::from(error.exit_code())
}

/// 128 plus the number of the signal that came.
async fn cut_short() -> u8 {
    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => signals.recv().await,
        // Without a handler the signal ends the process by itself.
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => 130,
        _ = wait(SignalKind::terminate()) => 143,
    }
}

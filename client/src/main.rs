//! The `ddpm` command: samples models of a `ddpm-server`.
//!
//! Results go to stdout, progress and errors to stderr. Exit codes: 0 success,
//! 1 failed, 2 usage, 4 server unreachable, 5 refused, 129, 130 and 143
//! when stopped by SIGHUP, SIGINT and SIGTERM.

mod commands;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

use ddpm_client::Error;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command: commands::Cli = ddpm_console::parse();
    tokio::select! {
        result = command.run() => result.unwrap_or_else(|error| report_error(&error)),
        // Dropping the command drops its stream, so the server stops working on it,
        // and an unfinished file is never renamed into place.
        code = stop_signal() => ExitCode::from(code),
    }
}

fn report_error(error: &Error) -> ExitCode {
    let message = match error {
        Error::Unreachable { endpoint, cause } => format!(
            "no server at {endpoint}: start one with `ddpm-server`, \
             or name another with --server ({cause})"
        ),
        other => other.to_string(),
    };
    ddpm_console::last_note(format_args!("error: {message}"));
    ExitCode::from(error.exit_code())
}

/// Waits for a signal and returns 128 plus its number.
async fn stop_signal() -> u8 {
    let wait = async |kind| match signal(kind) {
        Ok(mut signals) => signals.recv().await,
        // Without a handler, the signal itself ends the process.
        Err(_) => std::future::pending().await,
    };
    let hangup = async {
        // Under `nohup` it stays ignored.
        if ddpm_console::ignores_hangup() {
            std::future::pending::<()>().await;
        }
        wait(SignalKind::hangup()).await;
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => 130,
        _ = wait(SignalKind::terminate()) => 143,
        () = hangup => 129,
    }
}

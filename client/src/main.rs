//! The `ddpm` command: samples models of a `ddpm-server`.
//!
//! Results go to stdout, progress and errors to stderr. Exit codes: 0 success,
//! 1 failed, 2 usage, 4 server unreachable, 5 refused, 129, 130 and 143
//! when stopped by SIGHUP, SIGINT and SIGTERM.

mod commands;
mod stop;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

use ddpm_client::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command: commands::Cli = ddpm_console::parse();
    tokio::select! {
        // A command that ends because of the signal goes first.
        biased;
        result = command.run() => result.unwrap_or_else(|error| report_error(&error)),
        // Dropping the command drops its stream, so the server stops working on it,
        // and an unfinished file is never renamed into place.
        code = stop::signalled() => ExitCode::from(code),
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

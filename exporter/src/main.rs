//! `ddpm-exporter`: one subcommand per stage.

use std::process::ExitCode;

use ddpm_console::last_note;
use ddpm_exporter::cli::Cli;

fn main() -> ExitCode {
    if let Err(error) = ddpm_onnx::disable_telemetry() {
        last_note(format_args!("error: {error}"));
        return ExitCode::FAILURE;
    }
    ddpm_console::parse::<Cli>().run()
}

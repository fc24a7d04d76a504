//! `presets` and `init`: settings to start from.

use std::io::Write;
use std::path::PathBuf;

use ddpm_files::{is_stdout, write_whole};

use super::Failure;
use super::layers::{PRESETS, preset};
use super::output::{out, print_path, print_text};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct PresetsArgs {
    /// Preset to print as a settings file [default: list all presets].
    name: Option<String>,
}

impl PresetsArgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let Some(name) = &self.name else {
            for (name, text) in PRESETS {
                let about = text.lines().next().unwrap_or_default().trim_start_matches("# ");
                out!("{name:10} {about}")?;
            }
            return Ok(());
        };
        preset(name).map_err(|reason| Failure::Refused(reason.into()))?;
        let text = PRESETS.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
        print_text(text.unwrap_or_default())
    }
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// File to write, or - for standard output [default: ddpm.toml].
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,

    /// Preset that the file builds on.
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,

    /// Replace an existing file.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
The file lists every key with its meaning, commented out.

Examples:
  ddpm-exporter init
  ddpm-exporter init mine.toml --preset cifar10
  ddpm-exporter train --config mine.toml --data folder:PICTURES --out runs/mine";

/// The file that `init` writes.
pub(super) const TEMPLATE: &str = include_str!("../../../../presets/template.toml");

impl InitArgs {
    pub(super) fn run(&self) -> Result<(), Failure> {
        if let Some(name) = &self.preset {
            preset(name).map_err(|reason| Failure::Refused(reason.into()))?;
        }
        let path = self.path.clone().unwrap_or_else(|| "ddpm.toml".into());
        if !is_stdout(&path) && path.is_file() && !self.force {
            let reason = format!("{}: already exists; --force replaces it", path.display());
            return Err(Failure::Refused(reason.into()));
        }
        let text = text(self.preset.as_deref());
        write_whole(&path, |out| out.write_all(text.as_bytes())).map_err(|cause| {
            Failure::Refused(format!("{}: cannot be written: {cause}", path.display()).into())
        })?;
        if !is_stdout(&path) {
            print_path(&path.display());
        }
        Ok(())
    }
}

fn text(preset: Option<&str>) -> String {
    match preset {
        None => TEMPLATE.to_owned(),
        Some(name) => TEMPLATE.replacen("# preset = \"small\"", &format!("preset = \"{name}\""), 1),
    }
}

#[cfg(test)]
mod tests;

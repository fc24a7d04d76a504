//! `presets` and `init`: settings to start from.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use super::Failure;
use super::layers::{PRESETS, preset};

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
                println!("{name:10} {about}");
            }
            return Ok(());
        };
        preset(name).map_err(|reason| Failure::Refused(reason.into()))?;
        let text = PRESETS.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
        print!("{}", text.unwrap_or_default());
        Ok(())
    }
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct InitArgs {
    /// File to write [default: ddpm.toml].
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
        let mut options = File::options();
        options.write(true).create_new(!self.force).create(true).truncate(true);
        let written = options
            .open(&path)
            .and_then(|mut file| file.write_all(text(self.preset.as_deref()).as_bytes()));
        match written {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let reason = format!("{}: already exists; --force replaces it", path.display());
                Err(Failure::Refused(reason.into()))
            }
            written => {
                written.map_err(|cause| {
                    Failure::Refused(
                        format!("{}: cannot be written: {cause}", path.display()).into(),
                    )
                })?;
                println!("{}", path.display());
                Ok(())
            }
        }
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

//! The command line.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Parser, ValueEnum};

/// Measures the page in headless Chromium.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Figures to measure [default: all].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Figure>,

    /// Measure less: a minute or two, with the same goals.
    #[arg(long)]
    short: bool,

    /// The folder of `ddpm-server` [default: that of this program].
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,

    /// Folder of the server's log and of report.md.
    #[arg(long, value_name = "DIR", default_value = "target/page-bench")]
    pub(crate) out: PathBuf,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// Frames drawn while glyphs form.
    Glyphs,
    /// Frames drawn while points move.
    Points,
    /// The time to the first preview.
    Preview,
    /// Memory of the page after many runs.
    Memory,
    /// What previews cost the server.
    Watching,
}

impl Options {
    /// Returns the figures to measure, in order.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let wanted = |figure: &Figure| self.only.is_empty() || self.only.contains(figure);
        Figure::value_variants().iter().copied().filter(wanted).collect()
    }

    /// Returns the first of two values, or the second in the short form.
    pub(crate) fn pick<T>(&self, long: T, short: T) -> T {
        if self.short { short } else { long }
    }

    /// Finds the server.
    ///
    /// # Errors
    ///
    /// It is missing.
    pub(crate) fn server(&self) -> anyhow::Result<PathBuf> {
        let this = std::env::current_exe()?;
        let beside = this.parent().unwrap_or(Path::new("."));
        let path = self.binaries.as_deref().unwrap_or(beside).join("ddpm-server");
        ensure!(path.is_file(), "{} is not there: `make bench-page` builds it", path.display());
        Ok(path)
    }
}

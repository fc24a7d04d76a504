//! Flags of what becomes of the finished model.

use ddpm_training::ExportConfig;

/// What becomes of the finished model. A resumed run remembers it.
#[derive(Debug, Clone, Default, clap::Args)]
pub(in crate::cli) struct ExportFlags {
    /// Do not write a package at the end; a resumed run remembers it.
    #[arg(long, overrides_with = "export")]
    no_export: bool,

    /// Write a package at the end, although the run began with --no-export.
    #[arg(long)]
    export: bool,

    /// Leave out the files that also make the package a diffusers pipeline; they store the weights
    /// a second time. A resumed run remembers it.
    #[arg(long, overrides_with = "with_weights")]
    no_weights: bool,

    /// Write those files, although the run began with --no-weights.
    #[arg(long)]
    with_weights: bool,
}

impl ExportFlags {
    /// Overrides the settings that are set here.
    pub(in crate::cli) fn apply(&self, config: &mut ExportConfig) {
        config.package = (config.package && !self.no_export) || self.export;
        config.weights = (config.weights && !self.no_weights) || self.with_weights;
    }
}

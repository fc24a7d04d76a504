//! Flags of the cache of reference features.

use std::path::PathBuf;

/// The cache folder, or none.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CacheArgs {
    /// Folder to cache reference features in [default: ddpm/evaluation in the user's cache].
    #[arg(long, env = "DDPM_CACHE", value_name = "DIR", help_heading = "Features")]
    cache: Option<PathBuf>,

    /// Neither read nor write cached features.
    #[arg(long, help_heading = "Features")]
    no_cache: bool,
}

impl CacheArgs {
    /// Returns the folder; `None` disables the cache.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        if self.no_cache {
            return None;
        }
        self.cache.clone().or_else(|| {
            let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
            let home = || Some(PathBuf::from(set("HOME")?).join(".cache"));
            let cache = set("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
            Some(cache?.join("ddpm/evaluation"))
        })
    }
}

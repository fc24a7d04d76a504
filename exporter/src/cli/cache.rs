//! Where features of references are remembered.

use std::path::PathBuf;

/// A folder, or none.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct CacheArgs {
    /// Where features of references are remembered [default: ddpm/evaluation in the user's cache].
    #[arg(long, env = "DDPM_CACHE", value_name = "DIR", help_heading = "Features")]
    cache: Option<PathBuf>,

    /// Remember no features, and use none that are remembered.
    #[arg(long, help_heading = "Features")]
    no_cache: bool,
}

impl CacheArgs {
    /// The folder; `None` if nothing is to be remembered.
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

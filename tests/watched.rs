//! Programs under watch: the names that they look up, and the files that they make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::harness::root;

/// A home of its own for a program, and a list of what it looks up.
pub(crate) struct Watched {
    home: TempDir,
    outside: TempDir,
}

impl Watched {
    pub(crate) fn new() -> Self {
        let folder = || tempfile::tempdir().expect("temporary folders can be made");
        Self { home: folder(), outside: folder() }
    }

    /// Returns the variables under which a program is watched. Cargo sets a variable for tests that
    /// would hide the fault, so it is emptied.
    pub(crate) fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        let home = self.home.path();
        vec![
            ("HOME", home.into()),
            ("XDG_CACHE_HOME", home.join("cache")),
            ("XDG_CONFIG_HOME", home.join("config")),
            ("XDG_DATA_HOME", home.join("data")),
            ("TMPDIR", home.into()),
            ("LD_PRELOAD", shim().into()),
            ("DDPM_LOOKUPS", self.lookups()),
            ("ORT_DISABLE_TELEMETRY", PathBuf::new()),
        ]
    }

    /// Checks that nothing was looked up, and that no file appeared in the home, but for those
    /// whose path contains `told`.
    pub(crate) fn assert_private(&self, told: &[&str]) {
        let looked_up = fs::read_to_string(self.lookups()).unwrap_or_default();
        assert_eq!(looked_up, "", "names or addresses");
        let mut found = files(self.home.path());
        found.retain(|path| !told.iter().any(|part| path.to_string_lossy().contains(part)));
        assert!(found.is_empty(), "{found:?}");
    }

    /// Empties the list of look-ups.
    pub(crate) fn forget_lookups(&self) {
        fs::remove_file(self.lookups()).expect("there were some");
    }

    fn lookups(&self) -> PathBuf {
        self.outside.path().join("lookups")
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// Builds the library that notes look-ups.
fn shim() -> &'static Path {
    static SHIM: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("lookups.so");
        let built = Command::new("c++")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(root().join("tests/fixtures/privacy/lookups.cpp"))
            .arg("-ldl")
            .status();
        assert!(built.unwrap().success());
        (folder, library)
    };
    &SHIM.get_or_init(build).1
}

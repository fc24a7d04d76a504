//! No program reports to anybody: while it works, no name is looked up, no address beyond this
//! machine is reached, and no file appears that it was not told to write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::Duration;

use tempfile::TempDir;

use crate::harness::{TestServer, binary, glyphs, root};

/// Longer than ONNX Runtime takes to report after it is loaded: under a second, without the
/// variable that keeps it from that.
const WHILE: Duration = Duration::from_secs(3);

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

#[tokio::test]
async fn the_server_tells_nobody_that_it_runs() {
    let watched = Watched::new();
    let server = TestServer::start_with(&[], &watched.variables());
    assert_eq!(server.sample(glyphs(2)).await.samples.len(), 2);
    sleep(WHILE);
    watched.assert_private(&[]);
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
    watched.assert_private(&[]);
}

#[tokio::test]
async fn the_client_talks_to_its_server_only() {
    let watched = Watched::new();
    let server = TestServer::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(binary("ddpm"))
        .args(["--server", server.address(), "sample", "glyphs", "-n", "2", "--steps", "2"])
        .args(["--gif", "--out"])
        .arg(folder.path().join("out"))
        .envs(watched.variables())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    watched.assert_private(&[]);
}

#[test]
fn a_look_up_and_a_file_would_be_noticed() {
    let watched = Watched::new();
    let script = "import os, socket\n\
                  try: socket.getaddrinfo('example.invalid', 443)\n\
                  except OSError: pass\n\
                  open(os.path.expanduser('~/trace'), 'w').close()";
    let done = Command::new("python3").args(["-c", script]).envs(watched.variables()).status();
    assert!(done.unwrap().success());
    assert_eq!(fs::read_to_string(watched.lookups()).unwrap(), "name example.invalid\n");
    assert_eq!(files(watched.home.path()), [watched.home.path().join("trace")]);
}

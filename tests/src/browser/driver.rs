//! The process of chromedriver, and the browser that it starts.

use std::env;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, bail};
use tempfile::TempDir;

/// Runs a program until the standard input ends, which it does when the process that holds its
/// other end is gone, be it killed; then ends the whole process group, so the browser too.
const GUARD: &str = r#""$@" </dev/null & exec >/dev/null; cat; kill -KILL 0"#;

/// What chromedriver says once it listens.
const READY: &str = "started successfully on port ";

/// A running chromedriver.
#[derive(Debug)]
pub(super) struct Driver {
    guard: Child,
    address: String,
    folder: TempDir,
}

impl Driver {
    /// Starts chromedriver on a free port.
    ///
    /// # Errors
    ///
    /// It is missing or does not start.
    pub(super) fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ddpm-browser-").tempdir()?;
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .arg(find("chromedriver")?)
            .arg("--port=0")
            // Whatever the two write beside the profile.
            .env("HOME", folder.path())
            .env("TMPDIR", folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_CACHE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("sh does not start")?;
        let mut lines = BufReader::new(guard.stdout.take().expect("it is piped")).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once(READY)?;
            Some(port.trim_end_matches('.').to_owned())
        });
        // A full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        let address = format!("http://127.0.0.1:{}", port.as_deref().unwrap_or_default());
        let driver = Self { guard, address, folder };
        if port.is_none() {
            bail!("chromedriver did not say its port");
        }
        Ok(driver)
    }

    /// Returns the URL of the driver.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Returns the folder that is removed in the end.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Finds a program of the browser's packages.
///
/// # Errors
///
/// A sentence that says what to install.
pub(super) fn find(name: &str) -> anyhow::Result<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&folders).map(|folder| folder.join(name)).find(|it| it.is_file());
    found.with_context(|| {
        format!(
            "{name} is missing: run tools/browser.sh, which installs it or says what to install"
        )
    })
}

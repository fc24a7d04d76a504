//! A server in a process of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Time that a server has to start: loading includes measuring.
const START: Duration = Duration::from_secs(120);

/// Ticks of the clock that /proc counts processor time in, in a second: Linux has them so on every
/// machine that we support.
const TICKS: f64 = 100.0;

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
    id: u32,
    _cache: TempDir,
}

impl Process {
    /// Starts a server with a cache of its own and waits until it serves.
    ///
    /// * `command`: the program with its flags; some get defaults for measurements here.
    /// * `log`: the file that its log goes to.
    ///
    /// # Errors
    ///
    /// It does not start; its log says why.
    pub async fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let cache = tempfile::tempdir()?;
        let mut child = command
            // Not a flag: servers from before there was a cache are started here too.
            .env("DDPM_CACHE_DIR", cache.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            .env("NO_COLOR", "1")
            .env("RUST_LOG", "warn")
            .env("DDPM_DEVICE", "cpu")
            .kill_on_drop(true)
            .spawn()?;
        let id = child.id().context("it has just started")?;
        let stdout = child.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let line =
            timeout(START, lines.next_line()).await.context("it takes too long to start")??;
        let address = line.as_deref().and_then(|line| line.strip_prefix("listening on http://"));
        let Some(address) = address else {
            bail!("the server did not start:\n{}", fs::read_to_string(log)?);
        };
        let address = address.trim().parse()?;
        // It must never block on its output.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address, id, _cache: cache })
    }

    /// Returns where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the processor time that it has used.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.id));
        let text = text.context("the server has ended by itself")?;
        // The name, in brackets, may have blanks; user and system time are fields 14 and 15.
        let fields = text.rsplit_once(") ").context("a name in brackets")?.1.split(' ');
        let ticks: Result<Vec<u64>, _> = fields.skip(11).take(2).map(str::parse).collect();
        Ok(Duration::from_secs_f64(ticks?.iter().sum::<u64>() as f64 / TICKS))
    }

    /// Kills it at once.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It did not end within `limit`.
    pub async fn wait(mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        Ok(timeout(limit, self.child.wait()).await.context("the server does not end")??)
    }
}

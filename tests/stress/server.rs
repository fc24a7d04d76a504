//! A server in a process of its own, seen from outside.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Context;
use ddpm_tests::load;
use ddpm_tests::process::Process;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tonic::transport::Channel;

use crate::options::Options;

/// The address of those who measure and are nobody's principal otherwise.
const OBSERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 200));

/// A running server; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Resident memory in MiB right after the start.
    pub(crate) idle_mib: f64,
    id: u32,
}

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setup<'a> {
    /// Flags and their values; those that the server does not know are left out and reported.
    pub(crate) flags: Vec<(&'a str, String)>,
    /// Most open files; `None`: as this process.
    pub(crate) descriptors: Option<u32>,
    /// A library that is loaded before all others.
    pub(crate) preload: Option<PathBuf>,
    /// The port; 0: any.
    pub(crate) port: u16,
}

impl<'a> Setup<'a> {
    /// Adds a flag.
    pub(crate) fn flag(mut self, name: &'a str, value: &impl ToString) -> Self {
        self.flags.push((name, value.to_string()));
        self
    }
}

impl Server {
    /// Starts a server with a cache of its own and waits until it serves.
    ///
    /// # Errors
    ///
    /// It does not start; its log says why.
    pub(crate) async fn start(options: &Options, setup: &Setup<'_>) -> anyhow::Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = options.out.join(format!("server-{number}.log"));
        let process = Process::start(command(options, setup), &log).await?;
        let (address, id) = (process.address(), process.id());
        let mut server = Self { process, address, idle_mib: 0.0, id };
        server.idle_mib = server.memory_mib("VmRSS:")?;
        Ok(server)
    }

    /// Connects as principal 127.0.0.`last`.
    pub(crate) async fn connect(&self, last: u8) -> anyhow::Result<Channel> {
        load::connect(self.address, principal(last)).await
    }

    /// Connects as somebody who only looks.
    pub(crate) async fn observer(&self) -> anyhow::Result<Channel> {
        load::connect(self.address, OBSERVER).await
    }

    /// Returns resident memory now, in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<f64> {
        self.memory_mib("VmRSS:")
    }

    /// Returns the largest resident memory so far, in MiB.
    pub(crate) fn peak_mib(&self) -> anyhow::Result<f64> {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, key: &str) -> anyhow::Result<f64> {
        Ok(self.status(key)? as f64 / 1024.0)
    }

    /// Returns the number of threads.
    pub(crate) fn threads(&self) -> anyhow::Result<u64> {
        self.status("Threads:")
    }

    /// Returns the number of open files.
    pub(crate) fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.id))?.count())
    }

    fn status(&self, key: &str) -> anyhow::Result<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id))
            .context("the server has ended by itself")?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).with_context(|| format!("no {key} in /proc"))
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) -> anyhow::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = Pid::from_raw(self.id.cast_signed()).context("an id above 0")?;
        Ok(kill_process(id, signal)?)
    }

    /// Kills it at once.
    pub(crate) async fn kill(self) -> anyhow::Result<()> {
        self.process.kill().await
    }

    /// Waits for its end.
    pub(crate) async fn wait(self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.process.wait(limit).await
    }
}

/// Returns the address 127.0.0.`last`.
pub(crate) fn principal(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

fn command(options: &Options, setup: &Setup<'_>) -> Command {
    let mut command = match setup.descriptors {
        None => Command::new(&options.server),
        Some(most) => {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
            shell.arg(&options.server);
            shell
        }
    };
    command.arg("--listen").arg(format!("127.0.0.1:{}", setup.port));
    if let Some(library) = &setup.preload {
        command.env("LD_PRELOAD", library);
    }
    for (name, value) in &setup.flags {
        if options.knows(name) {
            command.arg(name).arg(value);
        }
    }
    command
}

/// Returns a port that nobody listens on.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

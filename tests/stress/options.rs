//! The command line.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use ddpm_tests::attack::Kind;

/// Proves the figures of docs/stress.md on this machine.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// Figures to measure [default: all but the soak].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    only: Vec<Figure>,

    /// Attacks of the figure `attacks` [default: all].
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KIND")]
    attacks: Vec<Kind>,

    /// Measure less: minutes instead of an hour, with the same goals.
    #[arg(long)]
    short: bool,

    /// The folder of `ddpm-server` and `ddpm` [default: that of this program].
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,

    /// An older server, which the figure `paired` compares with.
    #[arg(long, value_name = "PATH")]
    baseline: Option<PathBuf>,

    /// Minutes of the soak.
    #[arg(long, value_name = "MINUTES", default_value_t = 20)]
    soak_minutes: u64,

    /// Plants a leak into the server of the soak, which must then fail: one in N frees is lost.
    #[arg(long, value_name = "N")]
    leak: Option<u32>,

    /// Starts of the server that fairness is measured on [default: 10; short: 2].
    #[arg(long, value_name = "N")]
    starts: Option<usize>,

    /// Key of everything that is drawn.
    #[arg(long, default_value_t = 12)]
    seed: u64,

    /// Folder of logs and of report.md.
    #[arg(long, value_name = "DIR", default_value = "target/stress")]
    out: PathBuf,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What this program does in processes of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Attacks a server for a time.
    Attack(Attack),
    /// Opens streams and does not read them.
    Unread(UnreadStreams),
}

/// An attack from the command line.
#[derive(Debug, Args)]
pub(crate) struct Attack {
    /// Which.
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// The server.
    pub(crate) server: SocketAddr,
    /// From 64 addresses instead of one.
    #[arg(long)]
    pub(crate) many: bool,
    /// How long.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
}

/// Streams that are not read, from the command line.
#[derive(Debug, Args)]
pub(crate) struct UnreadStreams {
    /// The server.
    pub(crate) server: SocketAddr,
    /// Where they come from.
    #[arg(long, default_value = "127.0.0.66")]
    pub(crate) source: IpAddr,
    /// Streams that are not read at all.
    #[arg(long, default_value_t = 256)]
    pub(crate) unread: u32,
    /// Streams that are read a byte a second.
    #[arg(long, default_value_t = 100)]
    pub(crate) trickling: u32,
    /// How long they are held.
    #[arg(long, default_value_t = 60.0)]
    pub(crate) seconds: f64,
}

/// A figure of docs/stress.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// Work is shared by principal.
    Fairness,
    /// The mix at 60 % of saturation.
    Goodput,
    /// Calls that are cancelled by the thousand.
    Cancels,
    /// Streams that are not read.
    Unread,
    /// Everything else that a hostile peer can do.
    Attacks,
    /// Deadlines at 150 % of saturation.
    Deadlines,
    /// The expected time to the end.
    Eta,
    /// kill -9.
    Kills,
    /// Rolling restarts.
    Rolling,
    /// A second SIGTERM.
    Second,
    /// Speed beside that of an older server.
    Paired,
    /// The mix for a long time.
    Soak,
}

/// What figures need to know.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    only: Vec<Figure>,
    attacks: Vec<Kind>,
    /// Whether to measure less.
    pub(crate) short: bool,
    /// The server.
    pub(crate) server: PathBuf,
    /// The client's command.
    pub(crate) client: PathBuf,
    /// The server to compare with.
    pub(crate) baseline: Option<PathBuf>,
    /// Length of the soak.
    pub(crate) soak: Duration,
    /// One in how many frees the server of the soak loses.
    pub(crate) leak: Option<u32>,
    /// Starts that fairness is measured on.
    pub(crate) starts: usize,
    /// Key of everything that is drawn.
    pub(crate) seed: u64,
    /// Folder of logs and report.
    pub(crate) out: PathBuf,
    /// The flags that the server knows: an older one lacks some.
    help: String,
}

impl Options {
    /// Finds the programs.
    ///
    /// # Errors
    ///
    /// One is missing or does not run.
    pub(crate) fn new(cli: &Cli) -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        let beside = this.parent().unwrap_or(Path::new("."));
        let folder = cli.binaries.as_deref().unwrap_or(beside);
        let program = |name: &str| {
            let path = folder.join(name);
            ensure!(path.is_file(), "{} is not there: `make stress` builds it", path.display());
            Ok(std::path::absolute(path)?)
        };
        let (server, client) = (program("ddpm-server")?, program("ddpm")?);
        std::fs::create_dir_all(&cli.out).context("the folder of the report")?;
        let help = help(&server)?;
        Ok(Self {
            only: cli.only.clone(),
            attacks: cli.attacks.clone(),
            short: cli.short,
            server,
            client,
            baseline: cli.baseline.clone(),
            soak: Duration::from_secs(60 * cli.soak_minutes),
            leak: cli.leak,
            starts: cli.starts.unwrap_or(if cli.short { 2 } else { 10 }),
            seed: cli.seed,
            out: std::path::absolute(&cli.out)?,
            help,
        })
    }

    /// Returns the figures to measure, in order.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let all = Figure::value_variants().iter().copied();
        match self.only.is_empty() {
            true => all.filter(|figure| self.is_measured_anyway(*figure)).collect(),
            false => all.filter(|figure| self.only.contains(figure)).collect(),
        }
    }

    /// Leaves out what takes too long, and what needs an older server that was not named.
    fn is_measured_anyway(&self, figure: Figure) -> bool {
        match figure {
            Figure::Soak => false,
            Figure::Paired => self.baseline.is_some(),
            _ => true,
        }
    }

    /// Returns the same options for another server.
    ///
    /// # Errors
    ///
    /// It does not run.
    pub(crate) fn with_server(&self, server: &Path) -> anyhow::Result<Self> {
        let server = std::path::absolute(server)?;
        Ok(Self { help: help(&server)?, server, ..self.clone() })
    }

    /// Returns the attacks to make.
    pub(crate) fn attacks(&self) -> Vec<Kind> {
        if self.attacks.is_empty() { Kind::ALL.to_vec() } else { self.attacks.clone() }
    }

    /// Returns the first of two values, or the second in the short form.
    pub(crate) fn pick<T>(&self, long: T, short: T) -> T {
        if self.short { short } else { long }
    }

    /// Returns whether the server has a flag such as `--stall-seconds`.
    pub(crate) fn knows(&self, flag: &str) -> bool {
        self.help.split_whitespace().any(|word| word == flag)
    }
}

/// Returns what a server says about its flags.
fn help(server: &Path) -> anyhow::Result<String> {
    let output = std::process::Command::new(server).arg("--help").output();
    let output = output.with_context(|| format!("{} does not run", server.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

//! `ddpm-server`: arguments, logging, loading, listening and signals.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use ddpm_server::config::{Args, Settings};
use ddpm_server::serve;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, warn};
use tracing_subscriber::EnvFilter;

/// Exit code: the server failed.
const FAILED: u8 = 1;

/// Exit code: bad settings or package.
const BAD_CONFIG: u8 = 3;

fn main() -> ExitCode {
    let args = Args::parse();
    start_logging();
    let loaded = Settings::new(args)
        .map_err(anyhow::Error::from)
        .and_then(|settings| Ok((settings.listen(), serve::load(settings)?)));
    let (listen, loaded) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error, BAD_CONFIG),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let result = runtime.block_on(run(loaded, listen));
        // Do not wait for a call of the network that never ends.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, FAILED),
    }
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    error!("{error:#}");
    ExitCode::from(code)
}

/// Logs to stderr, filtered by `RUST_LOG`; by default, ONNX Runtime logs only warnings.
fn start_logging() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,ort=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

async fn run(loaded: serve::Loaded, listen: std::net::SocketAddr) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr()?;
    announce(address);
    let shutdown = async move {
        signals.recv().await;
        tokio::spawn(async move {
            let code = signals.recv().await;
            warn!("second signal: stopping at once");
            std::process::exit(code);
        });
    };
    serve(loaded, listener, shutdown).await
}

/// Prints the address to stdout, since requests are now accepted.
fn announce(address: std::net::SocketAddr) {
    let mut stdout = std::io::stdout();
    // Serve even if nobody reads stdout.
    let _ = writeln!(stdout, "listening on http://{address}");
    let _ = writeln!(stdout, "try: ddpm sample glyphs --server http://{address} --count 16 --gif");
    let _ = stdout.flush();
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for either, and returns the exit code of a program that it ends.
    async fn recv(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

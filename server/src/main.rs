//! `ddpm-server`: arguments, logging, loading, listening and signals.

use std::future::pending;
use std::io::{IsTerminal, stderr};
use std::process::ExitCode;

use ddpm_console::LossyStderr;
use ddpm_server::config::{Args, Settings};
use ddpm_server::serve;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, warn};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// Exit code: the server failed.
const FAILED: u8 = 1;

/// Lines of the log that may wait for its reader.
const LOG_LINES: usize = 10_000;

/// Exit code: bad settings or package.
const BAD_CONFIG: u8 = 3;

fn main() -> ExitCode {
    if let Err(error) = ddpm_onnx::disable_telemetry() {
        ddpm_console::last_note(format_args!("error: {error}"));
        return ExitCode::from(FAILED);
    }
    let args: Args = ddpm_console::parse();
    // What is logged last is written when it is dropped.
    let _log = start_logging();
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
///
/// A thread of its own writes the log, so requests never wait for its reader: if that is slow,
/// lines are lost; if it is gone, all of them.
fn start_logging() -> WorkerGuard {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,ort=warn"));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LOG_LINES)
        .finish(LossyStderr);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(stderr().is_terminal())
        // It would report a line that it cannot write with a macro that panics.
        .log_internal_errors(false)
        .init();
    guard
}

async fn run(loaded: serve::Loaded, listen: std::net::SocketAddr) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| anyhow::anyhow!("cannot listen on {listen}: {error}"))?;
    let address = listener.local_addr()?;
    announce(address, loaded.example());
    let shutdown = async move {
        signals.first().await;
        tokio::spawn(async move {
            let code = signals.second().await;
            // The log's own thread would not get to write it.
            ddpm_console::last_note(format_args!("second signal: stopping at once"));
            std::process::exit(code);
        });
    };
    serve(loaded, listener, shutdown).await
}

/// Prints the address to stdout, since requests are now accepted.
fn announce(address: std::net::SocketAddr, model: &str) {
    let text = format!(
        "listening on http://{address}\n\
         try: ddpm sample {model} --server http://{address} --count 16 --gif\n"
    );
    // Serve even if nobody reads stdout.
    if let Err(error) = ddpm_console::print(&text) {
        warn!(%error, "the address is not announced");
    }
}

/// SIGINT, SIGTERM and, unless it is ignored as under `nohup`, SIGHUP: the terminal is closed.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: match ddpm_console::ignores_hangup() {
                true => None,
                false => Some(signal(SignalKind::hangup())?),
            },
        })
    }

    /// Waits for one of them.
    async fn first(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = hangup => {}
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Waits for one that means a person's impatience, and returns the exit code of a program that
    /// it ends. SIGHUP does not: shells send it twice, and systemd right after SIGTERM.
    async fn second(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

//! `ddpm-server`: arguments, logging, loading, listening and signals.

use std::future::pending;
use std::io::{ErrorKind, IsTerminal, stderr};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ddpm_console::LossyStderr;
use ddpm_server::config::{Args, Settings};
use ddpm_server::serve::{self, Ended, Ending, serve};
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
    let log = start_logging();
    let (code, ended) = start(args);
    if ended == Ended::EngineBusy {
        drop(log);
        // Destructors would take ONNX Runtime down under the engine's thread.
        signal_hook::low_level::exit(code.into());
    }
    ExitCode::from(code)
}

/// Takes the port, loads the models and serves; returns the exit code.
fn start(args: Args) -> (u8, Ended) {
    let failed = |error: &anyhow::Error, code| {
        error!("{error:#}");
        (code, Ended::Clean)
    };
    let settings = match Settings::new(args) {
        Ok(settings) => settings,
        Err(error) => return failed(&error.into(), BAD_CONFIG),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into(), FAILED),
    };
    // First, since loading takes a while: connections wait, and a taken port is said at once.
    let listener = match runtime.block_on(bind(settings.listen())) {
        Ok(listener) => listener,
        Err(error) => return failed(&error, FAILED),
    };
    let loaded = match serve::load(settings) {
        Ok(loaded) => loaded,
        Err(error) => return failed(&error, BAD_CONFIG),
    };
    let result = runtime.block_on(run(loaded, listener));
    // Do not wait for a call of the network that never ends.
    runtime.shutdown_background();
    result.unwrap_or_else(|error| failed(&error, FAILED))
}

/// Signals that come closer together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(100);

/// Listens on the first address that this machine has.
async fn bind(addresses: &[SocketAddr]) -> anyhow::Result<TcpListener> {
    let mut failed = None;
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                let absent = error.kind() == ErrorKind::AddrNotAvailable;
                let remedy = match error.kind() {
                    ErrorKind::AddrInUse => {
                        "; another server may be running: name another --listen"
                    }
                    ErrorKind::PermissionDenied => "; ports below 1024 may need more rights",
                    _ => "",
                };
                failed = Some(anyhow::anyhow!("cannot listen on {address}: {error}{remedy}"));
                if !absent {
                    break;
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| anyhow::anyhow!("there is no address to listen on")))
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

/// Serves until a signal; returns the exit code.
async fn run(loaded: serve::Loaded, listener: TcpListener) -> anyhow::Result<(u8, Ended)> {
    let mut signals = Signals::new()?;
    announce(listener.local_addr()?, &loaded.example(), loaded.has_page());
    let ending = Ending::default();
    let signalled = tokio::spawn({
        let ending = ending.clone();
        async move {
            signals.first().await;
            ending.drain.cancel();
            let code = signals.second().await;
            warn!("second signal: stopping at once");
            ending.now.cancel();
            code
        }
    });
    let hurried = ending.now.clone();
    let ended = serve(loaded, listener, ending).await?;
    let code = if hurried.is_cancelled() { signalled.await? } else { 0 };
    Ok((code, ended))
}

/// Prints the address to stdout, since requests are now accepted.
fn announce(address: SocketAddr, example: &str, page: bool) {
    // A browser cannot open "every address".
    let here = match address.ip().is_unspecified() {
        true => SocketAddr::new([127, 0, 0, 1].into(), address.port()),
        false => address,
    };
    let page = match page {
        true => format!("watch: open http://{here}/ in a browser\n"),
        false => String::new(),
    };
    let text = format!(
        "listening on http://{address}\n{page}\
         try: ddpm sample {example} --server http://{address} --count 16 --gif\n"
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
    /// it ends. SIGHUP does not: shells send it twice, and systemd right after SIGTERM. Neither
    /// does one right after the first: `timeout` sends to the program, and then to its group.
    async fn second(&mut self) -> u8 {
        let first = Instant::now();
        loop {
            let code = tokio::select! {
                _ = self.interrupt.recv() => 130,
                _ = self.terminate.recv() => 143,
            };
            if first.elapsed() >= SAME_SIGNAL {
                return code;
            }
        }
    }
}

//! Turns the command line and the environment into settings.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ddpm_onnx::DeviceChoice;

/// Serves reverse diffusion over gRPC, batching single denoising steps across
/// requests.
///
/// Without arguments, it serves two small models embedded in the binary on the
/// loopback address. Ctrl-C, SIGTERM or the end of its terminal drains the server:
/// it finishes accepted requests and refuses new ones; a second Ctrl-C or SIGTERM
/// stops it at once.
///
/// Exit codes: 0 drained, 1 failed, 2 usage, 3 bad settings or package.
#[derive(Debug, Clone, Default, clap::Parser)]
#[command(name = "ddpm-server", version)]
pub struct Args {
    /// Address to listen on; port 0 picks a free one [default: 127.0.0.1:50051].
    #[arg(long, env = "DDPM_LISTEN", value_name = "ADDR:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,

    /// A model package or a folder of packages [default: the embedded models].
    #[arg(long, env = "DDPM_MODELS", value_name = "DIR")]
    pub models: Option<PathBuf>,

    /// Device that runs the models: auto, cpu, cuda or cuda:N [default: auto].
    #[arg(long, env = "DDPM_DEVICE", value_name = "DEVICE")]
    pub device: Option<DeviceChoice>,

    /// The ONNX Runtime library [default: ORT_DYLIB_PATH, then next to the
    /// executable, then the system's].
    #[arg(long, env = "DDPM_ORT_LIB", value_name = "FILE")]
    pub ort_lib: Option<PathBuf>,

    /// Threads for models on the CPU [default: one per core].
    #[arg(long, env = "DDPM_THREADS", value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Let idle model threads spin before they sleep: faster on a dedicated
    /// machine, but slows everything else on a shared one.
    #[arg(long, env = "DDPM_SPIN")]
    pub spin: bool,

    /// Most network evaluations per call [default: measured at startup].
    #[arg(long, env = "DDPM_MAX_BATCH", value_name = "N")]
    pub max_batch: Option<NonZeroU32>,

    /// Folder that keeps measurements from one start to the next [default:
    /// $XDG_CACHE_HOME/ddpm-server, else ~/.cache/ddpm-server].
    #[arg(long, env = "DDPM_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Most samples per request [default: 100000].
    #[arg(long, env = "DDPM_MAX_SAMPLES", value_name = "N")]
    pub max_samples: Option<NonZeroU32>,

    /// Most network evaluations per request, over all its samples
    /// [default: 100000000].
    #[arg(long, env = "DDPM_MAX_EVALS", value_name = "N")]
    pub max_evals: Option<NonZeroU32>,

    /// Most samples waiting or in flight over all requests, except those whose readers
    /// are behind [default: 200000].
    #[arg(long, env = "DDPM_MAX_QUEUE", value_name = "N")]
    pub max_queue: Option<NonZeroU32>,

    /// Most requests at the same time [default: 1024].
    #[arg(long, env = "DDPM_MAX_REQUESTS", value_name = "N")]
    pub max_requests: Option<NonZeroU32>,

    /// Most memory for all requests together, in MiB: messages, rows and inputs, and
    /// what waits for readers [default: 1024].
    #[arg(long, env = "DDPM_MAX_MEMORY_MIB", value_name = "MIB")]
    pub max_memory_mib: Option<NonZeroU32>,

    /// Most requests of one principal at the same time [default: a quarter of
    /// --max-requests].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_REQUESTS", value_name = "N")]
    pub principal_max_requests: Option<NonZeroU32>,

    /// Most time of the device that the requests of one principal may wait for
    /// together, in seconds [default: no limit].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_SECONDS", value_name = "S")]
    pub principal_max_seconds: Option<NonZeroU32>,

    /// Most network evaluations that one principal may ask for per minute
    /// [default: no limit].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_EVALS", value_name = "N")]
    pub principal_max_evals: Option<NonZeroU32>,

    /// Seconds that a stream may go without taking a whole event before it ends
    /// [default: 30].
    #[arg(long, env = "DDPM_STALL_SECONDS", value_name = "S")]
    pub stall_seconds: Option<NonZeroU32>,

    /// Seconds that accepted requests have to finish after a signal [default: 30].
    #[arg(long, env = "DDPM_DRAIN_SECONDS", value_name = "S")]
    pub drain_seconds: Option<u64>,

    /// Allow an address that other machines can reach, without encryption or tokens.
    #[arg(long, env = "DDPM_INSECURE")]
    pub insecure: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        "an IP address and a port from 0 to 65535, such as 127.0.0.1:50051 or [::1]:0".to_owned()
    })
}

/// The settings of a server, with every default filled in.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) models: Option<PathBuf>,
    pub(crate) device: DeviceChoice,
    pub(crate) ort_lib: Option<PathBuf>,
    pub(crate) threads: Option<usize>,
    pub(crate) spin: bool,
    pub(crate) max_batch: Option<u32>,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
}

pub(crate) use crate::admission::Limits;

/// Invalid settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Other machines can reach the address, and nothing protects it.
    #[error(
        "other machines can reach {0}, and this server has neither encryption nor tokens: \
         listen on 127.0.0.1, or pass --insecure"
    )]
    Exposed(SocketAddr),
}

/// The largest request message: room for a program of 100,000 rows.
const MAX_REQUEST_BYTES: u64 = 16 << 20;

impl Settings {
    /// Returns the address to listen on.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Fills in the defaults and checks settings that depend on each other.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which says what to change.
    pub fn new(args: Args) -> Result<Self, ConfigError> {
        let loopback = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 50051);
        let listen = args.listen.unwrap_or(loopback);
        if !listen.ip().is_loopback() && !args.insecure {
            return Err(ConfigError::Exposed(listen));
        }
        let number = |value: Option<NonZeroU32>, default| value.map_or(default, NonZeroU32::get);
        let seconds = |value: NonZeroU32| Duration::from_secs(u64::from(value.get()));
        let max_requests = number(args.max_requests, 1024);
        Ok(Self {
            listen,
            models: args.models,
            device: args.device.unwrap_or_default(),
            ort_lib: args.ort_lib,
            threads: args.threads.map(NonZeroUsize::get),
            spin: args.spin,
            max_batch: args.max_batch.map(NonZeroU32::get),
            cache_dir: args.cache_dir.or_else(|| cache_dir(&|name| env::var_os(name))),
            limits: Limits {
                max_samples: number(args.max_samples, 100_000),
                max_evals: u64::from(number(args.max_evals, 100_000_000)),
                max_watched_samples: 1024,
                max_queued_samples: u64::from(number(args.max_queue, 200_000)),
                max_requests,
                max_request_bytes: MAX_REQUEST_BYTES,
                max_held_bytes: u64::from(number(args.max_memory_mib, 1024)) << 20,
                max_principal_requests: number(
                    args.principal_max_requests,
                    max_requests.div_ceil(4),
                ),
                max_principal_backlog: args.principal_max_seconds.map(seconds),
                max_principal_evals: args.principal_max_evals.map(|n| u64::from(n.get())),
                stall: args.stall_seconds.map_or(Duration::from_secs(30), seconds),
            },
            drain: Duration::from_secs(args.drain_seconds.unwrap_or(30)),
        })
    }
}

/// Returns the folder for measurements by the XDG base directory specification, which says that
/// relative paths count as unset; `None` if there is no home.
fn cache_dir(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(caches.join("ddpm-server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measurements_are_kept_where_the_system_keeps_caches() {
        let found = |caches: Option<&str>, home: Option<&str>| {
            cache_dir(&|name| match name {
                "XDG_CACHE_HOME" => caches.map(OsString::from),
                "HOME" => home.map(OsString::from),
                _ => None,
            })
        };
        let in_caches = Some("/caches/ddpm-server".into());
        let in_home = Some("/home/me/.cache/ddpm-server".into());
        assert_eq!(found(Some("/caches"), Some("/home/me")), in_caches);
        assert_eq!(found(Some("/caches"), None), in_caches);
        assert_eq!(found(None, Some("/home/me")), in_home);
        assert_eq!(found(Some("caches"), Some("/home/me")), in_home);
        assert_eq!(found(Some(""), Some("/home/me")), in_home);
        assert_eq!(found(None, Some("")), None);
        assert_eq!(found(None, None), None);
    }

    #[test]
    fn the_folder_that_is_named_comes_first() {
        let args = Args { cache_dir: Some("here".into()), ..Args::default() };
        assert_eq!(Settings::new(args).unwrap().cache_dir, Some("here".into()));
    }

    #[test]
    fn an_address_that_others_can_reach_needs_insecure() {
        let listen = Some("0.0.0.0:50051".parse().unwrap());
        let args = Args { listen, ..Args::default() };
        let error = Settings::new(args.clone()).unwrap_err().to_string();
        assert!(error.contains("pass --insecure"), "{error}");
        assert!(Settings::new(Args { insecure: true, ..args }).is_ok());
    }
}

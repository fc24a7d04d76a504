//! Turns the command line and the environment into settings.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use ddpm_console::at_least_one;
use ddpm_onnx::DeviceChoice;
use ddpm_package::GraphName;
use http::HeaderName;

use crate::principal::TrustedProxies;
use crate::transport::{Bounds, default_connections, default_peer_connections};
use crate::web::{Hosts, WebRules};

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
    /// Address to listen on, such as 127.0.0.1:50051, 0.0.0.0:50051 or localhost:50051; port 0
    /// picks a free one [default: 127.0.0.1:50051].
    #[arg(long, env = "DDPM_LISTEN", value_name = "HOST:PORT")]
    pub listen: Option<String>,

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
    #[arg(value_parser = at_least_one::<NonZeroUsize>)]
    pub threads: Option<NonZeroUsize>,

    /// Let idle model threads spin before they sleep: faster on a dedicated
    /// machine, but slows everything else on a shared one.
    #[arg(long, env = "DDPM_SPIN")]
    pub spin: bool,

    /// Most network evaluations per call; up to there, the server chooses by what calls
    /// cost [default: 1024].
    #[arg(long, env = "DDPM_MAX_BATCH", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_batch: Option<NonZeroU32>,

    /// Network evaluations in every call that can be filled, whatever calls cost, and
    /// whoever waits [default: chosen call by call].
    #[arg(long, env = "DDPM_BATCH", value_name = "N", conflicts_with = "max_batch")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub batch: Option<NonZeroU32>,

    /// Graph for requests that name none: auto (cuda on CUDA, otherwise portable), portable, cuda
    /// or int8; portable where a package lacks it [default: auto].
    #[arg(long, env = "DDPM_GRAPH", value_name = "GRAPH")]
    pub graph: Option<GraphChoice>,

    /// More graphs, for requests that name them; each takes memory of its own.
    #[arg(long, env = "DDPM_GRAPHS", value_name = "GRAPH,…", value_delimiter = ',')]
    pub graphs: Vec<GraphName>,

    /// Where samples live between two calls of the network: host (this program's memory) or device
    /// (ONNX Runtime's, which also applies the rows) [default: host].
    #[arg(long, env = "DDPM_SAMPLES_ON", value_name = "WHERE", value_enum)]
    pub samples_on: Option<SamplesOn>,

    /// Folder that keeps measurements from one start to the next [default:
    /// $XDG_CACHE_HOME/ddpm-server, else ~/.cache/ddpm-server].
    #[arg(long, env = "DDPM_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Most samples per request [default: 100000].
    #[arg(long, env = "DDPM_MAX_SAMPLES", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_samples: Option<NonZeroU32>,

    /// Most network evaluations per request, over all its samples
    /// [default: 100000000].
    #[arg(long, env = "DDPM_MAX_EVALS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_evals: Option<NonZeroU32>,

    /// Most samples waiting or in flight over all requests, except those whose readers
    /// are behind [default: 1000000].
    #[arg(long, env = "DDPM_MAX_QUEUE", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_queue: Option<NonZeroU32>,

    /// Most requests at the same time [default: 1024].
    #[arg(long, env = "DDPM_MAX_REQUESTS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_requests: Option<NonZeroU32>,

    /// Most memory for all requests together, in MiB: messages, rows and inputs, and
    /// what waits for readers [default: 1024].
    #[arg(long, env = "DDPM_MAX_MEMORY_MIB", value_name = "MIB")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_memory_mib: Option<NonZeroU32>,

    /// Most requests of one principal at the same time [default: a quarter of
    /// --max-requests].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_REQUESTS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub principal_max_requests: Option<NonZeroU32>,

    /// Most samples of one principal waiting or in flight, except those whose readers are
    /// behind [default: half of --max-queue].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_SAMPLES", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub principal_max_samples: Option<NonZeroU32>,

    /// Most time of the device that the requests of one principal may wait for
    /// together, in seconds [default: no limit].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_SECONDS", value_name = "S")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub principal_max_seconds: Option<NonZeroU32>,

    /// Most network evaluations that one principal may ask for per minute
    /// [default: no limit].
    #[arg(long, env = "DDPM_PRINCIPAL_MAX_EVALS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub principal_max_evals: Option<NonZeroU32>,

    /// Seconds that a stream may go without taking a whole event before it ends
    /// [default: 30].
    #[arg(long, env = "DDPM_STALL_SECONDS", value_name = "S")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub stall_seconds: Option<NonZeroU32>,

    /// Seconds that accepted requests have to finish after a signal; closing takes up to 4 more
    /// [default: 25].
    #[arg(long, env = "DDPM_DRAIN_SECONDS", value_name = "S")]
    pub drain_seconds: Option<u32>,

    /// Of these, seconds in which requests are still accepted while health checks already say
    /// NOT_SERVING, for load balancers to notice [default: 0].
    #[arg(long, env = "DDPM_DRAIN_DELAY_SECONDS", value_name = "S")]
    pub drain_delay_seconds: Option<u32>,

    /// Most connections, each of which may hold 1 MiB of what its peer sent beside --max-memory-mib
    /// [default: the limit of open files (`ulimit -n`) minus 64, at most 10000].
    #[arg(long, env = "DDPM_MAX_CONNECTIONS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_connections: Option<NonZeroU32>,

    /// Most connections from one address [default: a quarter of --max-connections].
    #[arg(long, env = "DDPM_MAX_PEER_CONNECTIONS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_peer_connections: Option<NonZeroU32>,

    /// Most calls at the same time on one connection [default: 200].
    #[arg(long, env = "DDPM_MAX_STREAMS", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub max_streams: Option<NonZeroU32>,

    /// HTTP/2 control frames per second that are read from one address, 8 KiB of messages counting
    /// as one; ten times as many from all; more wait [default: 2000].
    #[arg(long, env = "DDPM_PEER_FRAMES_PER_SECOND", value_name = "N")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub peer_frames_per_second: Option<NonZeroU32>,

    /// Seconds until a connection without a call is told to go away [default: 300].
    #[arg(long, env = "DDPM_IDLE_SECONDS", value_name = "S")]
    #[arg(value_parser = at_least_one::<NonZeroU32>)]
    pub idle_seconds: Option<NonZeroU32>,

    /// Address of a proxy that names whom it speaks for; repeat it, or separate with commas.
    /// Needs --principal-header. Bounds on one address do not apply to it.
    #[arg(long, env = "DDPM_TRUSTED_PROXY", value_name = "ADDR", value_delimiter = ',')]
    pub trusted_proxy: Vec<IpAddr>,

    /// Header in which trusted proxies name whom they speak for, such as x-forwarded-for; its
    /// last element counts.
    #[arg(long, env = "DDPM_PRINCIPAL_HEADER", value_name = "NAME")]
    pub principal_header: Option<HeaderName>,

    /// Serve gRPC over HTTP/2 alone: no page, no gRPC-web, no HTTP/1.1.
    #[arg(long, env = "DDPM_NO_PAGE")]
    #[arg(conflicts_with_all = ["allow_host", "cors_origin"])]
    pub no_page: bool,

    /// Name under which browsers may open the page, beside loopback and the address that they
    /// reach, such as denoise.example; repeat it, or separate with commas.
    #[arg(long, env = "DDPM_ALLOW_HOST", value_name = "NAME", value_delimiter = ',')]
    pub allow_host: Vec<HostName>,

    /// Origin, as scheme, host and port, whose scripts may call over gRPC-web; repeat it, or
    /// separate with commas [default: the page's alone].
    #[arg(long, env = "DDPM_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<Origin>,

    /// Allow an address that other machines can reach, without encryption or tokens.
    #[arg(long, env = "DDPM_INSECURE")]
    pub insecure: bool,
}

/// The settings of a server, with every default filled in.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) models: Option<PathBuf>,
    pub(crate) device: DeviceChoice,
    pub(crate) ort_lib: Option<PathBuf>,
    pub(crate) threads: Option<usize>,
    pub(crate) spin: bool,
    pub(crate) graphs: ServedGraphs,
    pub(crate) samples_on: SamplesOn,
    pub(crate) sizes: Sizes,
    pub(crate) cache_dir: Option<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) drain: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) bounds: Bounds,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) web: Option<WebRules>,
}

pub use crate::graphs::GraphChoice;
pub use crate::runtime::SamplesOn;
pub use crate::web::{HostName, Origin};

pub(crate) use crate::admission::Limits;
use crate::cost::Sizes;
use crate::graphs::ServedGraphs;

/// Invalid settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Other machines can reach the address, and nothing protects it.
    #[error(
        "other machines can reach {0}, and this server has neither encryption nor tokens: \
         listen on 127.0.0.1, or pass --insecure"
    )]
    Exposed(SocketAddr),
    /// The address cannot be understood, or its name is unknown.
    #[error(
        "cannot listen on {text:?} ({why}): give an address and a port from 0 to 65535, such as \
         127.0.0.1:50051, [::1]:0 or localhost:50051"
    )]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// One of two options that need each other is missing.
    #[error(
        "--trusted-proxy and --principal-header need each other: the first says whose word to \
         take, the second where it is"
    )]
    HalfTrust,
    /// The delay is a part of the drain.
    #[error(
        "--drain-delay-seconds {delay} leaves nothing of --drain-seconds {drain} for accepted \
         requests: lower the first or raise the second"
    )]
    LongDelay {
        /// The delay, in seconds.
        delay: u32,
        /// The drain, in seconds.
        drain: u32,
    },
}

/// Where the server listens without an option.
const DEFAULT_ADDRESS: &str = "127.0.0.1:50051";

/// How long after the stall time a stream is reset whose status is not read either.
const UNREAD_STATUS: Duration = Duration::from_secs(2);

/// With up to 4 s for closing, this fits into the 30 s that Kubernetes gives a container.
const DRAIN_SECONDS: u32 = 25;

/// The largest request message: room for a program of 100,000 rows.
const MAX_REQUEST_BYTES: u64 = 16 << 20;

impl Settings {
    /// Returns the addresses to listen on: the first that this machine has.
    #[must_use]
    pub fn listen(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// Fills in the defaults and checks settings that depend on each other.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which says what to change.
    pub fn new(args: Args) -> Result<Self, ConfigError> {
        let listen = addresses(args.listen.as_deref().unwrap_or(DEFAULT_ADDRESS))?;
        let exposed = listen.iter().find(|address| !address.ip().is_loopback());
        if let Some(exposed) = exposed.filter(|_| !args.insecure) {
            return Err(ConfigError::Exposed(*exposed));
        }
        let (drain, delay) = drain(args.drain_seconds, args.drain_delay_seconds)?;
        let (bounds, proxies) = (bounds(&args), proxies(&args)?);
        let web = (!args.no_page).then(|| WebRules {
            hosts: Hosts::new(
                args.allow_host,
                listen.iter().any(|address| address.ip().is_unspecified()),
            ),
            origins: args.cors_origin,
        });
        let number = |value: Option<NonZeroU32>, default| value.map_or(default, NonZeroU32::get);
        let seconds = |value: NonZeroU32| Duration::from_secs(u64::from(value.get()));
        let max_requests = number(args.max_requests, 1024);
        let max_queue = number(args.max_queue, 1_000_000);
        Ok(Self {
            listen,
            models: args.models,
            device: args.device.unwrap_or_default(),
            ort_lib: args.ort_lib,
            threads: args.threads.map(NonZeroUsize::get),
            spin: args.spin,
            graphs: ServedGraphs { default: args.graph.unwrap_or_default(), more: args.graphs },
            samples_on: args.samples_on.unwrap_or_default(),
            sizes: Sizes {
                max: args.batch.or(args.max_batch).map(NonZeroU32::get),
                fixed: args.batch.map(NonZeroU32::get),
            },
            cache_dir: args.cache_dir.or_else(|| cache_dir(&|name| env::var_os(name))),
            limits: Limits {
                max_samples: number(args.max_samples, 100_000),
                max_evals: u64::from(number(args.max_evals, 100_000_000)),
                max_watched_samples: 1024,
                max_queued_samples: u64::from(max_queue),
                max_principal_samples: u64::from(number(
                    args.principal_max_samples,
                    max_queue.div_ceil(2),
                )),
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
            drain,
            drain_delay: delay,
            bounds,
            proxies,
            web,
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

/// Resolves what to listen on; loopback addresses come first.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, ConfigError> {
    let failed = |why: String| ConfigError::Address { text: text.into(), why };
    let found = text.to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let mut found: Vec<SocketAddr> = found.collect();
    if found.is_empty() {
        return Err(failed("the name has no address".into()));
    }
    found.sort_by_key(|address| !address.ip().is_loopback());
    Ok(found)
}

/// Returns the time of the drain, and how much of it requests are still accepted.
fn drain(
    seconds: Option<u32>,
    delay_seconds: Option<u32>,
) -> Result<(Duration, Duration), ConfigError> {
    let (drain, delay) = (seconds.unwrap_or(DRAIN_SECONDS), delay_seconds.unwrap_or(0));
    if delay > 0 && delay >= drain {
        return Err(ConfigError::LongDelay { delay, drain });
    }
    Ok((Duration::from_secs(drain.into()), Duration::from_secs(delay.into())))
}

/// Returns the bounds of the transport.
fn bounds(args: &Args) -> Bounds {
    let count = |value: NonZeroU32| value.get() as usize;
    let connections = args.max_connections.map_or_else(default_connections, count);
    let per_peer = || default_peer_connections(connections);
    let defaults = Bounds::default();
    let number = |value: Option<NonZeroU32>, default| value.map_or(default, NonZeroU32::get);
    let seconds = |value: NonZeroU32| Duration::from_secs(u64::from(value.get()));
    Bounds {
        connections,
        peer_connections: args.max_peer_connections.map_or_else(per_peer, count),
        connection_streams: number(args.max_streams, defaults.connection_streams),
        peer_frames: number(args.peer_frames_per_second, defaults.peer_frames),
        idle: args.idle_seconds.map_or(defaults.idle, seconds),
        stall: args.stall_seconds.map_or(defaults.stall, |stall| seconds(stall) + UNREAD_STATUS),
        ..defaults
    }
}

fn proxies(args: &Args) -> Result<Option<TrustedProxies>, ConfigError> {
    match (&args.trusted_proxy[..], &args.principal_header) {
        ([], None) => Ok(None),
        ([_, ..], Some(header)) => {
            Ok(Some(TrustedProxies::new(&args.trusted_proxy, header.clone())))
        }
        _ => Err(ConfigError::HalfTrust),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    fn settings(args: &[&str]) -> Result<Settings, ConfigError> {
        Settings::new(Args::parse_from([&["ddpm-server"], args].concat()))
    }

    fn message(args: &[&str]) -> String {
        settings(args).unwrap_err().to_string()
    }

    #[test]
    fn operators_can_read_about_every_flag() {
        let page = include_str!("../../docs/operating.md");
        for flag in Args::command().get_arguments().filter_map(clap::Arg::get_long) {
            let row = ["`", " "].map(|end| format!("\n| `--{flag}{end}"));
            assert!(row.iter().any(|row| page.contains(row)), "--{flag} is not on the page");
        }
    }

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
    fn no_drain_time_is_too_long_for_the_clock() {
        let most = u32::MAX.to_string();
        let settings = settings(&["--drain-seconds", &most]).unwrap();
        assert!(std::time::Instant::now().checked_add(settings.drain).is_some());
        let longer = (u64::from(u32::MAX) + 1).to_string();
        let args = Args::try_parse_from(["ddpm-server", "--drain-seconds", &longer]);
        assert!(args.is_err());
    }

    #[test]
    fn the_folder_that_is_named_comes_first() {
        let args = Args { cache_dir: Some("here".into()), ..Args::default() };
        assert_eq!(Settings::new(args).unwrap().cache_dir, Some("here".into()));
    }

    #[test]
    fn an_address_that_others_can_reach_needs_insecure() {
        let error = message(&["--listen", "0.0.0.0:50051"]);
        assert!(error.contains("pass --insecure"), "{error}");
        assert!(settings(&["--listen", "0.0.0.0:50051", "--insecure"]).is_ok());
    }

    #[test]
    fn a_name_may_stand_for_a_loopback_address() {
        let settings = settings(&["--listen", "localhost:7"]).unwrap();
        assert!(!settings.listen.is_empty());
        assert!(settings.listen.iter().all(|it| it.ip().is_loopback() && it.port() == 7));
    }

    #[test]
    fn an_address_that_cannot_be_understood_is_said_with_an_example() {
        for text in ["localhost", "127.0.0.1", "127.0.0.1:70000", ":", "::1:x"] {
            let error = message(&["--listen", text]);
            assert!(error.contains(text) && error.contains("localhost:50051"), "{error}");
        }
    }

    #[test]
    fn proxies_and_their_header_need_each_other() {
        let (proxy, header) = ("--trusted-proxy=10.0.0.1,10.0.0.2", "--principal-header=x-user");
        assert!(message(&[proxy]).contains("--principal-header"));
        assert!(message(&[header]).contains("--trusted-proxy"));
        let proxies = settings(&[proxy, header]).unwrap().proxies.unwrap();
        assert!(proxies.contains("10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn a_delay_must_leave_time_to_drain() {
        let delay = |delay| ["--drain-seconds", "10", "--drain-delay-seconds", delay];
        assert!(message(&delay("10")).contains("--drain-delay-seconds 10"));
        assert_eq!(settings(&delay("9")).unwrap().drain_delay, Duration::from_secs(9));
        assert!(settings(&["--drain-seconds", "0"]).is_ok());
    }

    #[test]
    fn without_options_the_settings_are_those_that_the_help_names() {
        let settings = Settings::new(Args::default()).unwrap();
        assert_eq!(settings.listen(), ["127.0.0.1:50051".parse().unwrap()]);
        let want = Limits {
            max_samples: 100_000,
            max_evals: 100_000_000,
            max_watched_samples: 1024,
            max_queued_samples: 1_000_000,
            max_requests: 1024,
            max_request_bytes: 16_777_216,
            max_held_bytes: 1_073_741_824,
            max_principal_requests: 256,
            max_principal_samples: 500_000,
            max_principal_backlog: None,
            max_principal_evals: None,
            stall: Duration::from_secs(30),
        };
        assert_eq!(settings.limits, want);
        let seconds = |duration: Duration| duration.as_secs();
        assert_eq!([settings.drain, settings.drain_delay].map(seconds), [25, 0]);
        let bounds = settings.bounds;
        assert_eq!((bounds.connection_streams, bounds.peer_frames), (200, 2000));
        assert_eq!([bounds.idle, bounds.stall].map(seconds), [300, 32]);
        assert!(settings.proxies.is_none());
        assert!(settings.web.is_some());
    }

    #[test]
    fn options_replace_the_limits() {
        let settings = settings(&[
            "--max-memory-mib=3",
            "--max-requests=9",
            "--max-queue=11",
            "--principal-max-seconds=7",
            "--principal-max-evals=8",
            "--stall-seconds=5",
            "--idle-seconds=6",
            "--max-streams=4",
            "--peer-frames-per-second=2",
        ])
        .unwrap();
        let (limits, bounds) = (settings.limits, settings.bounds);
        assert_eq!(limits.max_held_bytes, 3 * 1_048_576);
        // A quarter and a half, rounded up.
        assert_eq!((limits.max_requests, limits.max_principal_requests), (9, 3));
        assert_eq!((limits.max_queued_samples, limits.max_principal_samples), (11, 6));
        assert_eq!(limits.max_principal_backlog, Some(Duration::from_secs(7)));
        assert_eq!(limits.max_principal_evals, Some(8));
        assert_eq!((bounds.connection_streams, bounds.peer_frames), (4, 2));
        assert_eq!([limits.stall, bounds.idle].map(|it| it.as_secs()), [5, 6]);
        // Streams end with a status before the transport resets them.
        assert_eq!(bounds.stall, Duration::from_secs(7));
    }

    #[test]
    fn a_fixed_batch_is_the_largest_too() {
        let sizes = |args: &[&str]| {
            let sizes = settings(args).unwrap().sizes;
            (sizes.max, sizes.fixed)
        };
        assert_eq!(sizes(&[]), (None, None));
        assert_eq!(sizes(&["--max-batch=7"]), (Some(7), None));
        assert_eq!(sizes(&["--batch=5"]), (Some(5), Some(5)));
    }

    #[test]
    fn one_peer_gets_a_quarter_of_the_connections_unless_told_otherwise() {
        let bounds = |args: &[&str]| {
            let bounds = settings(args).unwrap().bounds;
            (bounds.connections, bounds.peer_connections)
        };
        assert_eq!(bounds(&["--max-connections", "10"]), (10, 3));
        let both = ["--max-connections", "10", "--max-peer-connections", "7"];
        assert_eq!(bounds(&both), (10, 7));
    }
}

//! Finds ONNX Runtime and loads it, once per process.

use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::{env, fs};

use ort::environment::{Environment, GlobalThreadPoolOptions};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::{Error, disable_telemetry};

/// The loaded ONNX Runtime: one per process, never unloaded.
pub struct Runtime {
    environment: Environment,
    path: PathBuf,
    version: String,
    threads: usize,
    workers: OnceLock<Result<Arc<ThreadPool>, String>>,
}

/// How to load ONNX Runtime.
#[derive(Debug, Clone, Default)]
pub struct RuntimeOptions {
    /// The library. `None` searches `ORT_DYLIB_PATH`, then the executable's folder and its `lib`,
    /// then where it was when this program was built, then the system's library folders.
    pub library: Option<PathBuf>,
    /// Threads of the pool that all graphs share; `None` means one per core.
    pub threads: Option<usize>,
    /// Whether idle threads of the pool spin before they sleep: faster for us, slower for
    /// everything else on the machine.
    pub spinning: bool,
}

/// The library that `make setup` fetched, in the checkout that this program was built in.
const BUILT_WITH: Option<&str> = option_env!("ORT_DYLIB_PATH");

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static LOADING: Mutex<()> = Mutex::new(());

impl Runtime {
    /// Loads the library, or returns the one already loaded.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] or [`Error::Library`] with the command that fixes it; [`Error::Loaded`]
    /// if another library is already loaded; [`Error::Telemetry`] if it would report home.
    pub fn load(options: &RuntimeOptions) -> Result<&'static Self, Error> {
        let _one_at_a_time = LOADING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(runtime) = RUNTIME.get() {
            return match &options.library {
                Some(path) if *path != runtime.path => Err(Error::Loaded(runtime.path.clone())),
                _ => Ok(runtime),
            };
        }
        disable_telemetry()?;
        let path = find(options.library.as_deref())?;
        let threads = options.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let unusable = |reason| Error::Library { path: path.clone(), reason };
        let environment = open(&path, threads, options.spinning).map_err(unusable)?;
        let version = version(&path).map_err(unusable)?;
        let workers = OnceLock::new();
        Ok(RUNTIME.get_or_init(|| Self { environment, path, version, threads, workers }))
    }

    /// Checks that [`Runtime::load`] will find a library and can use it, without starting its
    /// threads: for work that needs it only at its end. Returns its path.
    ///
    /// # Errors
    ///
    /// As [`Runtime::load`].
    pub fn locate(options: &RuntimeOptions) -> Result<PathBuf, Error> {
        disable_telemetry()?;
        let path = find(options.library.as_deref())?;
        match version(&path) {
            Ok(found) if is_new_enough(&found) => Ok(path),
            Ok(found) => {
                let reason =
                    format!("it has version {found}, and 1.{} is needed", ort::MINOR_VERSION);
                Err(Error::Library { path, reason })
            }
            Err(reason) => Err(Error::Library { path, reason }),
        }
    }

    /// Returns the path of the library.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the version of the library, such as `1.31.1`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the number of threads that evaluate a graph: those of the pool that all graphs
    /// share, or of the lanes among which its rows are divided.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Returns the threads that take rows besides the calling one, for all graphs; they start when
    /// they are first asked for.
    ///
    /// # Errors
    ///
    /// If the system does not let them start.
    pub(crate) fn workers(&self) -> Result<Arc<ThreadPool>, String> {
        let start = || {
            ThreadPoolBuilder::new()
                .num_threads(self.threads.saturating_sub(1).max(1))
                .thread_name(|number| format!("lane-{}", number + 1))
                .build()
                .map(Arc::new)
                .map_err(|error| error.to_string())
        };
        self.workers.get_or_init(start).clone()
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").field("path", &self.path).finish_non_exhaustive()
    }
}

fn open(path: &Path, threads: usize, spinning: bool) -> Result<Environment, String> {
    let builder = ort::init_from(path).map_err(|error| error.to_string())?;
    let pool = GlobalThreadPoolOptions::default()
        .with_intra_threads(threads)
        .and_then(|pool| pool.with_spin_control(spinning))
        .map_err(|error| error.to_string())?;
    builder
        .with_name("ddpm")
        .with_telemetry(false)
        .with_global_thread_pool(pool)
        .build()
        .map_err(|error| error.to_string())
}

/// Reads the version of the library, which `ort` does not expose.
fn version(path: &Path) -> Result<String, String> {
    type GetApiBase = unsafe extern "C" fn() -> *const ort::sys::OrtApiBase;
    // SAFETY: a library with this function is ONNX Runtime; the function's signature is part of its
    // stable C interface.
    let text = unsafe {
        let library = libloading::Library::new(path).map_err(|error| error.to_string())?;
        let get_api_base: libloading::Symbol<'_, GetApiBase> =
            library.get(b"OrtGetApiBase").map_err(|error| error.to_string())?;
        let text = CStr::from_ptr(((*get_api_base()).GetVersionString)());
        // It does not survive being unloaded, and will be loaded again anyway.
        std::mem::forget(library);
        text
    };
    Ok(text.to_string_lossy().into_owned())
}

/// Returns whether a version such as `1.31.1` has the interface that `ort` calls.
fn is_new_enough(version: &str) -> bool {
    let minor = version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    minor.is_some_and(|minor| minor >= ort::MINOR_VERSION)
}

/// Finds the library in the first place that has one.
fn find(named: Option<&Path>) -> Result<PathBuf, Error> {
    if let Some(path) = named {
        return existing(path, "--ort-lib");
    }
    if let Some(path) = env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return existing(Path::new(&path), "ORT_DYLIB_PATH");
    }
    let executable = env::current_exe().unwrap_or_default();
    let folder = executable.parent().unwrap_or(Path::new("."));
    for place in [folder.to_path_buf(), folder.join("lib"), folder.join("../lib")] {
        if let Some(path) = library_in(&place) {
            return Ok(path);
        }
    }
    if let Some(path) = BUILT_WITH.map(PathBuf::from).filter(|path| path.is_file()) {
        return Ok(path);
    }
    let system = ["/usr/local/lib", "/usr/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64"];
    let found = system.iter().find_map(|place| library_in(Path::new(place)));
    found.ok_or_else(|| Error::NotFound {
        searched: format!("--ort-lib, ORT_DYLIB_PATH, {}, the system's folders", folder.display()),
    })
}

fn existing(path: &Path, what: &str) -> Result<PathBuf, Error> {
    if path.is_file() {
        return Ok(path.into());
    }
    Err(Error::NotFound { searched: format!("{what} = {}, which does not exist", path.display()) })
}

/// Returns the newest `libonnxruntime.so…` of a folder.
fn library_in(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.filter_map(Result::ok);
    let names = entries.filter(|entry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with("libonnxruntime.so"))
    });
    names.map(|entry| entry.path()).max()
}

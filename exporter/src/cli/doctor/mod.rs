//! `doctor`: what this machine has, what of it works, and what to do about the rest.

mod machine;

mod self_test;

use std::path::PathBuf;
use std::thread::available_parallelism;

use ddpm_onnx::{Runtime, RuntimeOptions};
use serde_json::json;

use super::Failure;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder that runs would be written to [default: the current one].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// ONNX Runtime's library [default: ORT_DYLIB_PATH, beside this program, or the system's].
    #[arg(long, value_name = "FILE")]
    ort_lib: Option<PathBuf>,

    /// Print one JSON document instead of lines.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Exit code 6 if something that is needed does not work.

Examples:
  ddpm-exporter doctor
  ddpm-exporter doctor --dir /data/runs";

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It works.
    Ok,
    /// Training works without it.
    Missing,
    /// Nothing works without it.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    state: State,
    /// What was found, or what is wrong and what to do about it.
    text: String,
}

impl Finding {
    /// Something that works, or that must.
    fn needed(what: &'static str, found: Result<String, String>) -> Self {
        match found {
            Ok(text) => Self { what, state: State::Ok, text },
            Err(text) => Self { what, state: State::Failed, text },
        }
    }

    /// Something that works, or that training can do without.
    fn optional(what: &'static str, found: Result<String, String>) -> Self {
        match found {
            Ok(text) => Self { what, state: State::Ok, text },
            Err(text) => Self { what, state: State::Missing, text },
        }
    }

    fn mark(&self) -> &'static str {
        match self.state {
            State::Ok => "ok",
            State::Missing => "--",
            State::Failed => "FAILED",
        }
    }
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let findings = self.look();
        if self.json {
            let entries: Vec<_> = findings
                .iter()
                .map(|found| json!({ "what": found.what, "state": found.mark(), "text": found.text }))
                .collect();
            println!("{:#}", json!(entries));
        } else {
            for found in &findings {
                println!("{:6} {:14} {}", found.mark(), found.what, found.text);
            }
        }
        match findings.iter().filter(|found| found.state == State::Failed).count() {
            0 => Ok(()),
            failed => Err(Failure::CheckFailed(format!("{failed} of the above do not work"))),
        }
    }

    fn look(&self) -> Vec<Finding> {
        // First: another call into libtorch would make it remember that there is no CUDA.
        let cuda = machine::cuda();
        let dir = self.dir.clone().unwrap_or_else(|| ".".into());
        vec![
            Finding::needed("program", Ok(program())),
            Finding::needed("libtorch", machine::libtorch()),
            Finding::optional("cuda", cuda),
            Finding::optional("nccl", machine::nccl()),
            Finding::needed("threads", Ok(threads())),
            Finding::optional("bf16", machine::bf16()),
            Finding::needed("onnxruntime", self.onnx_runtime()),
            Finding::optional("memory", machine::memory()),
            Finding::needed("disk", machine::disk(&dir)),
            Finding::needed("self-test", self_test::run(&self.runtime_options())),
        ]
    }

    fn runtime_options(&self) -> RuntimeOptions {
        RuntimeOptions { library: self.ort_lib.clone(), ..RuntimeOptions::default() }
    }

    fn onnx_runtime(&self) -> Result<String, String> {
        match Runtime::load(&self.runtime_options()) {
            Ok(runtime) => Ok(format!("{} at {}", runtime.version(), runtime.path().display())),
            Err(error) => Err(format!(
                "{error}; `make setup` fetches it; without it models train, but are not verified"
            )),
        }
    }
}

fn program() -> String {
    let (version, system) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    format!("ddpm-exporter {version} for {system} on {}", std::env::consts::ARCH)
}

fn threads() -> String {
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    format!("libtorch uses {}, the machine gives us {cores}", tch::get_num_threads())
}

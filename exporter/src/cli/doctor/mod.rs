//! `doctor`: checks what this machine offers, what works, and how to fix the rest.

mod machine;

mod self_test;

use std::path::PathBuf;
use std::thread::available_parallelism;

use ddpm_onnx::{Runtime, RuntimeOptions};
use serde_json::json;

use super::Failure;
use super::output::out;

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Folder that runs will be written to [default: the current one].
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
Exit code 6 if something required does not work.

Examples:
  ddpm-exporter doctor
  ddpm-exporter doctor --dir /data/runs";

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    /// Does not work, but training works without it.
    Missing,
    /// Does not work, and is required.
    Failed,
}

/// One check of the machine.
#[derive(Debug)]
struct Finding {
    what: &'static str,
    state: State,
    /// What was found, or what is wrong and how to fix it.
    text: String,
}

impl Finding {
    fn required(what: &'static str, found: Result<String, String>) -> Self {
        match found {
            Ok(text) => Self { what, state: State::Ok, text },
            Err(text) => Self { what, state: State::Failed, text },
        }
    }

    fn optional(what: &'static str, found: Result<String, String>) -> Self {
        match found {
            Ok(text) => Self { what, state: State::Ok, text },
            Err(text) => Self { what, state: State::Missing, text },
        }
    }
}

impl State {
    fn mark(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "--",
            Self::Failed => "FAILED",
        }
    }
}

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let findings = self.examine();
        if self.json {
            let entries: Vec<_> = findings
                .iter()
                .map(|Finding { what, state, text }| {
                    json!({ "what": what, "state": state.mark(), "text": text })
                })
                .collect();
            out!("{:#}", json!(entries))?;
        } else {
            for found in &findings {
                out!("{:6} {:14} {}", found.state.mark(), found.what, found.text)?;
            }
        }
        match findings.iter().filter(|found| found.state == State::Failed).count() {
            0 => Ok(()),
            failed => Err(Failure::CheckFailed(format!("{failed} of the above do not work"))),
        }
    }

    fn examine(&self) -> Vec<Finding> {
        // Comes first: any other call would make libtorch cache that CUDA is missing.
        let cuda = machine::cuda();
        let dir = self.dir.clone().unwrap_or_else(|| ".".into());
        vec![
            Finding::required("program", Ok(program())),
            Finding::required("libtorch", machine::libtorch()),
            Finding::optional("cuda", cuda),
            Finding::optional("nccl", machine::nccl()),
            Finding::required("threads", Ok(threads())),
            Finding::optional("bf16", machine::bf16()),
            Finding::required("onnxruntime", self.onnx_runtime()),
            Finding::optional("memory", machine::memory()),
            Finding::required("disk", machine::disk(&dir)),
            // A toy's run takes a few MB: little space is no reason to fail.
            Finding::optional("space", machine::space(&dir)),
            Finding::required("self-test", self_test::run(&self.runtime_options())),
        ]
    }

    fn runtime_options(&self) -> RuntimeOptions {
        RuntimeOptions { library: self.ort_lib.clone(), ..RuntimeOptions::default() }
    }

    fn onnx_runtime(&self) -> Result<String, String> {
        match Runtime::load(&self.runtime_options()) {
            Ok(runtime) => Ok(format!("{} at {}", runtime.version(), runtime.path().display())),
            Err(error) => Err(format!(
                "{error}; `make setup` fetches it; without it, models train but are not verified"
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
    format!("libtorch uses {}, this machine offers {cores}", tch::get_num_threads())
}

//! `page-bench`: measures the page in headless Chromium with the server beside it, and prints one
//! line per goal: what was measured, PASS or FAIL.
//!
//! Each figure is a file of its own. What happens in the page is recorded there, by a script that
//! listens to the events that the page tells about itself.

// What figures are made of.
mod options;
mod page;

// The figures.
mod frames;
mod memory;
mod preview;
mod watching;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use clap::Parser;
use ddpm_tests::browser::Browser;
use ddpm_tests::machine;
use ddpm_tests::process::Process;
use ddpm_tests::report::{Report, Verdict};
use tokio::process::Command;

use options::{Figure, Options};

/// What all figures are measured with.
struct Bench {
    options: Options,
    // Dropped before the browser, whose runtime it lives on.
    server: Process,
    browser: Arc<Browser>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the figures that were asked for; returns whether all of them hold.
fn run(options: Options) -> anyhow::Result<bool> {
    let bench = Bench::new(options)?;
    let mut report = Report::new(bench.options.out.join("report.md"), &head())?;
    for figure in bench.options.figures() {
        let name = format!("{figure:?}").to_lowercase();
        eprintln!("page-bench: {name} …");
        let started = Instant::now();
        report.add(&name, &measure(figure, &bench), started.elapsed())?;
    }
    report.finish()
}

fn head() -> String {
    format!(
        "Machine: {}, load average at the start {:.2}. Headless Chromium without a GPU, the server \
         and this program share the machine; the server has a fresh cache.",
        machine::describe(),
        machine::load_average(),
    )
}

/// What a figure fails with, in the browser too, is a line of the report.
fn measure(figure: Figure, bench: &Bench) -> Verdict {
    let figure = || match figure {
        Figure::Glyphs => frames::glyphs(bench),
        Figure::Points => frames::points(bench),
        Figure::Preview => preview::preview(bench),
        Figure::Memory => memory::memory(bench),
        Figure::Watching => watching::watching(bench),
    };
    let result = catch_unwind(AssertUnwindSafe(figure));
    let result = result.unwrap_or_else(|_| Err(anyhow!("the browser failed, see above")));
    result.unwrap_or_else(|error| Verdict::failed(&error))
}

impl Bench {
    fn new(options: Options) -> anyhow::Result<Self> {
        let program = options.server()?;
        std::fs::create_dir_all(&options.out)?;
        let log = options.out.join("server.log");
        let browser = Browser::start()?;
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0"]);
        let server = browser.block_on(Process::start(command, &log))?;
        Ok(Self { options, server, browser })
    }
}

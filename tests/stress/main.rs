//! `stress`: runs the release server under everything that docs/stress.md promises, and prints one
//! line per promise: the goal, what was measured, PASS or FAIL.
//!
//! Each figure is a function in a file of its own. Attackers run in processes of their own (this
//! program again, with `attack` or `unread`), so that they take no time from those who measure.

// What figures are made of.
mod attackers;
mod job;
mod options;
mod relay;
mod server;
mod victims;

// The figures.
mod deadlines;
mod eta;
mod fairness;
mod goodput;
mod paired;
mod restarts;
mod soak;
mod storms;

use std::process::ExitCode;

use clap::Parser;
use ddpm_tests::machine;
use ddpm_tests::report::{Report, Verdict};
use tokio::signal::unix::{SignalKind, signal};

use options::{Cli, Command, Figure, Options};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        Some(Command::Attack(attack)) => attackers::attack(attack).await.map(|()| true),
        Some(Command::Unread(unread)) => attackers::unread(unread).await.map(|()| true),
        // Dropping what runs kills the servers and attackers that it started.
        None => tokio::select! {
            result = run(&cli) => result,
            ended = ended_by_signal() => ended,
        },
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn ended_by_signal() -> anyhow::Result<bool> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result?,
        _ = terminate.recv() => {}
    }
    anyhow::bail!("ended by a signal")
}

/// Runs the figures that were asked for; returns whether all of them hold.
async fn run(cli: &Cli) -> anyhow::Result<bool> {
    let options = Options::new(cli)?;
    let mut report = Report::new(options.out.join("report.md"), &head(&options))?;
    for figure in options.figures() {
        eprintln!("stress: {figure:?} …");
        let started = std::time::Instant::now();
        let verdict = match measure(figure, &options).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::failed(&error),
        };
        report.add(&format!("{figure:?}").to_lowercase(), &verdict, started.elapsed())?;
    }
    report.finish()
}

fn head(options: &Options) -> String {
    format!(
        "Machine: {}. {}, seed {}, load average at the start {:.2}. Principals are addresses of \
         the loopback network; generator, attackers and server share the machine.",
        machine::describe(),
        options.pick("long form", "short form"),
        options.seed,
        machine::load_average(),
    )
}

async fn measure(figure: Figure, options: &Options) -> anyhow::Result<Verdict> {
    match figure {
        Figure::Fairness => fairness::fairness(options).await,
        Figure::Goodput => goodput::goodput(options).await,
        Figure::Cancels => storms::cancels(options).await,
        Figure::Unread => storms::unread(options).await,
        Figure::Attacks => storms::attacks(options).await,
        Figure::Deadlines => deadlines::deadlines(options).await,
        Figure::Eta => eta::eta(options).await,
        Figure::Kills => restarts::kills(options).await,
        Figure::Rolling => restarts::rolling(options).await,
        Figure::Second => restarts::second_signal(options).await,
        Figure::Paired => paired::paired(options).await,
        Figure::Soak => soak::soak(options).await,
    }
}

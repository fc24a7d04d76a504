//! Figure 11: the mix for a long time, after which everything is as it was.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use ddpm_tests::load::{Mix, Outcome, median, open_loop};
use ddpm_tests::report::Verdict;
use tokio::time::{Instant, interval, sleep};

use crate::goodput::count;
use crate::job::{idle, saturation};
use crate::options::Options;
use crate::server::{Server, Setup};

/// Share of saturation that is asked for.
const LOAD: f64 = 0.6;

/// What memory may grow after [`WARM_UP`], as a share.
const GROWTH: f64 = 0.01;

/// Time after which memory should not grow any more.
const WARM_UP: Duration = Duration::from_secs(300);

/// Runs the mix and watches memory, descriptors and threads.
pub(crate) async fn soak(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let preload = options.leak.map(|lost| leak(options, lost)).transpose()?;
    let setup = Setup { preload, ..Setup::default() }.flag("--max-requests", &1000);
    let server = Server::start(options, &setup).await?;
    let observer = server.observer().await?;
    let mut clients = Vec::new();
    for last in 10..26 {
        clients.push(server.connect(last).await?);
    }
    // Fewer of the longest: memory that requests hold should not decide the result.
    let mix = Mix { steps: vec![(10, 0.65), (50, 0.30), (250, 0.05)], ..Mix::serving() };
    let capacity = saturation(&observer, Duration::from_secs(5)).await?;
    let plan = mix.plan(LOAD * capacity / mix.mean_evals(), options.soak, options.seed);
    let (descriptors, threads) = (server.descriptors()?, server.threads()?);

    let (start, mut second) = (Instant::now(), interval(Duration::from_secs(1)));
    let (mut memory, mut work) = (Vec::new(), Box::pin(open_loop(&clients, &plan)));
    let records = loop {
        tokio::select! {
            records = &mut work => break records,
            _ = second.tick() => memory.push((start.elapsed(), server.resident_mib()?)),
        }
    };
    idle(&observer).await?;
    sleep(Duration::from_secs(1)).await;

    // In a soak shorter than the warm-up, its second quarter stands in for the minute after it.
    let warm = WARM_UP.min(options.soak / 4);
    let minute = Duration::from_secs(60).min(options.soak / 4);
    let between = |from: Duration, to: Duration| {
        let inside = memory.iter().filter(|(at, _)| (from..to).contains(at));
        median(&inside.map(|(_, mib)| *mib).collect::<Vec<_>>())
    };
    let (early, late) =
        (between(warm, warm + minute), between(options.soak.saturating_sub(minute), options.soak));
    let growth = late / early - 1.0;
    verdict.line(
        format!("memory grows by at most 1 % in {} min", options.soak.as_secs() / 60),
        format!("{early:.1} -> {late:.1} MiB ({:+.2} %)", 100.0 * growth),
        growth <= GROWTH,
    );
    let expected =
        records.iter().all(|record| matches!(record.outcome, Outcome::Completed | Outcome::Left));
    verdict.line("no unexpected status", format!("{:?}", count(&records)), expected);
    let (open, running) = (server.descriptors()?, server.threads()?);
    verdict.line(
        "threads and descriptors are back",
        format!("{descriptors} -> {open} descriptors, {threads} -> {running} threads"),
        open <= descriptors && running <= threads + 1,
    );
    server.kill().await?;
    Ok(verdict)
}

/// Builds a library that loses one in `lost` frees.
fn leak(options: &Options, lost: u32) -> anyhow::Result<PathBuf> {
    let library = options.out.join("leak.so");
    let source = options.out.join("leak.c");
    std::fs::write(&source, include_str!("leak.c"))?;
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O2", &format!("-DLOST={lost}"), "-o"]);
    let status = compiler.arg(&library).arg(&source).status().context("there is no `cc`")?;
    ensure!(status.success(), "the leak does not compile");
    Ok(library)
}

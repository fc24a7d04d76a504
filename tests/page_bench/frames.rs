//! Figures 1 and 2: how smoothly samples form.

use ddpm_tests::load::{median, quantile};
use ddpm_tests::report::Verdict;

use crate::Bench;
use crate::page::{Page, Run, Settings};

/// Least frames a second, at the median.
const RATE: f64 = 30.0;

/// Longest gap between two frames with something new, in ms, at p99.9.
const GAP_MS: f64 = 100.0;

/// A browser rounds times to this many ms.
const CLOCK_MS: f64 = 0.1;

/// Measures 64 glyphs of 50 steps with previews of every step.
pub(crate) fn glyphs(bench: &Bench) -> anyhow::Result<Verdict> {
    frames(bench, Settings::GLYPHS)
}

/// Measures 1,000 points of 100 steps with previews of every step.
pub(crate) fn points(bench: &Bench) -> anyhow::Result<Verdict> {
    frames(bench, Settings::POINTS)
}

fn frames(bench: &Bench, settings: Settings) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let page = Page::open(bench, settings);
    let runs: Result<Vec<Run>, _> = (0..bench.options.pick(20, 5)).map(|_| page.run()).collect();
    let runs = runs?;
    let drawn = gaps(&runs, |run| &run.draws);
    let middle = median(&drawn);
    let what = format!("{} of {}, {} steps", settings.count, settings.model, settings.steps);
    verdict.line(
        format!("{what}: at least {RATE:.0} frames a second at the median"),
        format!("{:.1}", 1000.0 / middle),
        middle <= 1000.0 / RATE + CLOCK_MS,
    );
    let longest = quantile(&drawn, 0.999);
    verdict.line(
        format!("{what}: gaps of at most {GAP_MS:.0} ms at p99.9"),
        format!("{longest:.1} ms"),
        longest <= GAP_MS + CLOCK_MS,
    );
    verdict.note(format!(
        "{} gaps between frames with something new in {} runs of {:.2} s at the median; the page \
         was asked for {:.1} frames a second at the median, with gaps of {:.1} ms at p99.9",
        drawn.len(),
        runs.len(),
        median(&runs.iter().map(|run| (run.end - run.press) / 1000.0).collect::<Vec<_>>()),
        1000.0 / median(&gaps(&runs, |run| &run.frames)),
        quantile(&gaps(&runs, |run| &run.frames), 0.999),
    ));
    Ok(verdict)
}

/// Returns the times between frames of the same run, in ms.
fn gaps(runs: &[Run], of: impl Fn(&Run) -> &Vec<f64>) -> Vec<f64> {
    let of_run = |run| of(run).windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>();
    runs.iter().flat_map(of_run).collect()
}

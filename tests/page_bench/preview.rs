//! Figure 3: how soon something moves.

use ddpm_tests::load::{median, quantile};
use ddpm_tests::report::Verdict;

use crate::Bench;
use crate::page::{Page, Settings};

/// Longest time from the press of the button to the first preview, in ms, at the median.
const GOAL_MS: f64 = 300.0;

/// Runs that are measured.
const RUNS: usize = 20;

/// Measures the time from the press of the button to the first preview on a warm server.
pub(crate) fn preview(bench: &Bench) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let page = Page::open(bench, Settings::GLYPHS);
    page.run()?;
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let run = page.run()?;
        times.push(run.preview - run.press);
    }
    let middle = median(&times);
    verdict.line(
        format!("the first preview within {GOAL_MS:.0} ms of the press, median of {RUNS}"),
        format!("{middle:.0} ms"),
        middle <= GOAL_MS,
    );
    verdict.note(format!("the slowest took {:.0} ms", quantile(&times, 1.0)));
    Ok(verdict)
}

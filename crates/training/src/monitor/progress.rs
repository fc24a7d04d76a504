//! Progress on stderr: a bar on a terminal, occasional lines elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use ddpm_console::note;
use indicatif::{ProgressBar, ProgressStyle};

use crate::monitor::meter::{Meter, Reading};
use crate::step::StepReport;

/// Time between updates of the numbers beside the bar.
const BAR_PERIOD: Duration = Duration::from_secs(1);
/// Time between lines.
const LINE_PERIOD: Duration = Duration::from_secs(10);

/// Shows the progress of a run.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    meter: Meter,
    steps: u32,
}

impl Progress {
    /// Begins at `steps_done` of `steps` steps, with batches of `batch_size` items.
    pub(crate) fn new(steps: u32, steps_done: u32, batch_size: usize) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(steps.into()).with_style(style());
            bar.set_position(steps_done.into());
            bar.reset_eta();
            bar
        });
        Self { bar, meter: Meter::new(batch_size), steps }
    }

    /// Counts a step.
    pub(crate) fn step(&mut self, report: &StepReport) {
        self.meter.add(report);
        let last = report.step + 1 == self.steps;
        match &self.bar {
            Some(bar) => {
                bar.set_position(u64::from(report.step) + 1);
                if last || self.meter.elapsed() >= BAR_PERIOD {
                    let Reading { loss, items_per_s, .. } = self.meter.read(report);
                    bar.set_message(format!("loss {loss:.4}  {items_per_s:.0}/s"));
                }
            }
            None if last || self.meter.elapsed() >= LINE_PERIOD => {
                let reading = self.meter.read(report);
                note!("{}", self.line(&reading));
            }
            None => {}
        }
    }

    /// Prints a line, above the bar if there is one.
    pub(crate) fn note(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| note!("{line}")),
            None => note!("{line}"),
        }
    }

    /// Excludes time that was not spent on steps from the rates.
    pub(crate) fn pause(&mut self, time: Duration) {
        self.meter.pause(time);
    }

    /// Leaves the bar on the screen as it is.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }

    fn line(&self, reading: &Reading) -> String {
        let Reading { step, loss, items_per_s, .. } = *reading;
        let batch = self.meter.batch_size() as f64;
        let eta = f64::from(self.steps - step) * batch / items_per_s.max(1e-9);
        let eta = indicatif::HumanDuration(Duration::from_secs(eta as u64));
        format!("step {step}/{}  loss {loss:.4}  {items_per_s:.0}/s  {eta} left", self.steps)
    }
}

fn style() -> ProgressStyle {
    const TEMPLATE: &str = "{bar:32} {pos}/{len}  {msg}  {elapsed} < {eta}";
    ProgressStyle::with_template(TEMPLATE).expect("the template is valid")
}

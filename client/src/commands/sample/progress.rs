//! Progress on stderr: a bar on a terminal, otherwise a line from time to time.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use ddpm_client::{Accepted, Event, Interruption, Progress};
use ddpm_console::note;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Pause between two log lines.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) struct Display {
    bar: ProgressBar,
    samples: u32,
    settled: u32,
    last_line: Instant,
}

impl Display {
    pub(crate) fn new(samples: u32) -> Self {
        let style = ProgressStyle::with_template("{bar:32} {percent:>3} %  {elapsed}  {msg}");
        // The template is constant, so the default style is only a safety net.
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style);
        Self { bar, samples, settled: 0, last_line: Instant::now() }
    }

    pub(crate) fn notes(&mut self, notes: &[String]) {
        notes.iter().for_each(|note| self.line(note));
    }

    pub(crate) fn show(&mut self, event: &Event) {
        match event {
            Event::Accepted(accepted) => self.accepted(accepted),
            Event::Progress(progress) => self.progress(progress),
            Event::Samples(samples) => {
                self.settled += u32::try_from(samples.len()).unwrap_or(u32::MAX);
            }
            Event::SampleError(error) => {
                self.settled += 1;
                self.line(&format!("sample {} failed: {}", error.index, error.message));
            }
            Event::Interrupted(interruption) => self.interrupted(interruption),
            Event::Previews(_) => {}
            Event::Completed(_) => self.bar.finish_and_clear(),
        }
    }

    fn accepted(&mut self, accepted: &Accepted) {
        self.bar.set_length(accepted.total_evals);
        self.bar.set_position(u64::from(self.settled) * accepted.evals_per_sample);
        self.line(&format!(
            "accepted: seed {}, {} evals, {} samples ahead{}",
            accepted.receipt.seed,
            accepted.total_evals,
            accepted.queue_position,
            left(accepted.eta)
        ));
    }

    fn progress(&mut self, progress: &Progress) {
        self.bar.set_position(progress.evals_done);
        let state = format!("{} of {} samples{}", self.settled, self.samples, left(progress.eta));
        if is_terminal() {
            self.bar.set_message(state);
        } else if self.last_line.elapsed() >= LOG_INTERVAL {
            self.line(&format!("{state}, {} evals done", progress.evals_done));
        }
    }

    fn interrupted(&mut self, interruption: &Interruption) {
        self.line(&format!(
            "{}; requesting samples {} again in {:.1} s",
            interruption.error,
            interruption.missing,
            interruption.pause.as_secs_f64()
        ));
    }

    fn line(&mut self, text: &str) {
        self.last_line = Instant::now();
        self.bar.suspend(|| note!("{text}"));
    }
}

fn is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn left(eta: Option<Duration>) -> String {
    eta.map_or_else(String::new, |eta| format!(", about {:.0} s left", eta.as_secs_f64()))
}

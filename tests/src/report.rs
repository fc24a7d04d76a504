//! What programs that measure print and write: a line per goal, and a table of all of them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// What came of a figure.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    lines: Vec<Line>,
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
struct Line {
    goal: String,
    measured: String,
    holds: bool,
}

impl Verdict {
    /// Adds a goal, what was measured, and whether that holds the goal.
    pub fn line(&mut self, goal: impl Into<String>, measured: impl Into<String>, holds: bool) {
        self.lines.push(Line { goal: goal.into(), measured: measured.into(), holds });
    }

    /// Adds something to know about how it was measured.
    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        self.notes.push(text);
    }

    /// Says that a figure could not be measured.
    #[must_use]
    pub fn failed(error: &anyhow::Error) -> Self {
        let mut verdict = Self::default();
        verdict.line("it can be measured", format!("{error:#}"), false);
        verdict
    }
}

/// The report of a run: a table, and notes under it.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    head: String,
    table: String,
    notes: String,
    holds: bool,
}

impl Report {
    /// Begins a report.
    ///
    /// * `path`: where it is written.
    /// * `head`: the machine and what else was the same for all figures.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn new(path: PathBuf, head: &str) -> anyhow::Result<Self> {
        let head = format!("{head}\n");
        let table = "| figure | goal | measured | |\n|---|---|---|---|\n".to_owned();
        let report = Self { path, head, table, notes: String::new(), holds: true };
        report.write()?;
        Ok(report)
    }

    /// Adds a figure, prints its lines, and writes what is known so far.
    ///
    /// # Errors
    ///
    /// The report cannot be written.
    pub fn add(&mut self, name: &str, verdict: &Verdict, took: Duration) -> anyhow::Result<()> {
        for Line { goal, measured, holds } in &verdict.lines {
            let word = if *holds { "PASS" } else { "FAIL" };
            println!("{word} {name}: {goal}: {measured}");
            let measured = measured.replace('\n', " ").replace('|', "/");
            let _ = writeln!(self.table, "| {name} | {goal} | {measured} | {word} |");
            self.holds &= holds;
        }
        let _ = writeln!(self.notes, "\n### {name} ({:.0} s)\n", took.as_secs_f64());
        for note in &verdict.notes {
            let _ = writeln!(self.notes, "* {note}");
        }
        self.write()
    }

    /// Ends the report; returns whether every line holds.
    ///
    /// # Errors
    ///
    /// As [`Report::add`].
    pub fn finish(self) -> anyhow::Result<bool> {
        self.write()?;
        println!("wrote {}", self.path.display());
        Ok(self.holds)
    }

    fn write(&self) -> anyhow::Result<()> {
        let Self { head, table, notes, .. } = self;
        Ok(std::fs::write(&self.path, format!("{head}\n{table}{notes}"))?)
    }
}

/// Formats a list of numbers with few digits.
#[must_use]
pub fn list(values: &[f64], digits: usize) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:.digits$}")).collect();
    texts.join(", ")
}

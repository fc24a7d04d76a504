//! What is printed and written.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::machine;
use crate::options::{Figure, Options};

/// What came of a figure.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdict {
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
    pub(crate) fn line(
        &mut self,
        goal: impl Into<String>,
        measured: impl Into<String>,
        holds: bool,
    ) {
        self.lines.push(Line { goal: goal.into(), measured: measured.into(), holds });
    }

    /// Adds something to know about how it was measured.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        eprintln!("  {text}");
        self.notes.push(text);
    }

    /// Says that a figure could not be measured.
    pub(crate) fn failed(error: &anyhow::Error) -> Self {
        let mut verdict = Self::default();
        verdict.line("it can be measured", format!("{error:#}"), false);
        verdict
    }
}

/// The report of a run: a table, and notes under it.
#[derive(Debug)]
pub(crate) struct Report {
    path: PathBuf,
    head: String,
    table: String,
    notes: String,
    holds: bool,
}

impl Report {
    /// Begins a report.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(crate) fn new(options: &Options) -> anyhow::Result<Self> {
        let form = options.pick("long form", "short form");
        let head = format!(
            "Machine: {}. {form}, seed {}, load average at the start {:.2}. Principals are \
             addresses of the loopback network; generator, attackers and server share the \
             machine.\n",
            machine::describe(),
            options.seed,
            machine::load_average(),
        );
        let table = "| figure | goal | measured | |\n|---|---|---|---|\n".to_owned();
        let path = options.out.join("report.md");
        let report = Self { path, head, table, notes: String::new(), holds: true };
        report.write()?;
        Ok(report)
    }

    /// Adds a figure, prints its lines, and writes what is known so far.
    ///
    /// # Errors
    ///
    /// The report cannot be written.
    pub(crate) fn add(
        &mut self,
        figure: Figure,
        verdict: &Verdict,
        took: Duration,
    ) -> anyhow::Result<()> {
        for Line { goal, measured, holds } in &verdict.lines {
            let word = if *holds { "PASS" } else { "FAIL" };
            let name = format!("{figure:?}").to_lowercase();
            println!("{word} {name}: {goal}: {measured}");
            let measured = measured.replace('\n', " ").replace('|', "/");
            let _ = writeln!(self.table, "| {name} | {goal} | {measured} | {word} |");
            self.holds &= holds;
        }
        let _ = writeln!(self.notes, "\n### {figure:?} ({:.0} s)\n", took.as_secs_f64());
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
    pub(crate) fn finish(self) -> anyhow::Result<bool> {
        self.write()?;
        println!("wrote {}", self.path.display());
        Ok(self.holds)
    }

    fn write(&self) -> anyhow::Result<()> {
        let Self { head, table, notes, .. } = self;
        Ok(std::fs::write(&self.path, format!("{head}\n{table}{notes}"))?)
    }
}

/// Writes a list of numbers with few digits.
pub(crate) fn list(values: &[f64], digits: usize) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:.digits$}")).collect();
    texts.join(", ")
}

//! Prints the measurements as a Markdown table.

use std::fmt;
use std::num::NonZeroUsize;

use ddpm_package::Package;

use crate::yardstick::{Score, Yardstick};

/// All measurements of a package.
pub(crate) struct Table<'a> {
    pub(crate) package: &'a Package,
    pub(crate) yardstick: &'a Yardstick,
    pub(crate) count: NonZeroUsize,
    pub(crate) seeds: &'a [u64],
    pub(crate) budgets: &'a [usize],
    /// Distance between data and data, per seed.
    pub(crate) floor: Vec<f64>,
    pub(crate) rows: Vec<Row>,
}

/// A sampler on a grid.
pub(crate) struct Row {
    pub(crate) name: String,
    /// One per budget.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// A sampler on a grid within a budget.
pub(crate) struct Cell {
    /// Its cost.
    pub(crate) evals: u64,
    /// One per seed.
    pub(crate) scores: Vec<Score>,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, yardstick, count, seeds, budgets, floor, rows } = self;
        let manifest = package.manifest();
        let digest = package.digest().to_string();
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        writeln!(f, "{} {}, digest {}…", manifest.name, manifest.version, &digest[..12])?;
        writeln!(f, "{count} samples, seeds {}; {}", seeds.join(", "), yardstick.protocol())?;
        writeln!(f, "data to data: {}", mean_and_spread(floor, 1e3, 1))?;
        if let Some(accuracy) = yardstick.accuracy() {
            writeln!(f, "the judge knows {:.2} % of held-out glyphs", 100.0 * accuracy)?;
        }
        writeln!(f)?;
        let columns: Vec<String> = budgets.iter().map(usize::to_string).collect();
        writeln!(f, "| distance · 1000 in at most … evaluations | {} |", columns.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(budgets.len()))?;
        for Row { name, cells } in rows {
            let cells: Vec<String> = cells.iter().zip(*budgets).map(cell).collect();
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

/// Formats a cell as `12.3 ± 0.4`, with the share of agreement if there is a judge, and with the
/// evaluations if they are fewer than the budget.
fn cell((cell, budget): (&Option<Cell>, &usize)) -> String {
    let Some(Cell { evals, scores }) = cell else { return "–".to_owned() };
    let distances: Vec<f64> = scores.iter().map(|score| score.distance).collect();
    let mut text = mean_and_spread(&distances, 1e3, 1);
    let agreements: Vec<f64> = scores.iter().filter_map(|score| score.agreement).collect();
    if !agreements.is_empty() {
        text += &format!(", {} %", mean_and_spread(&agreements, 100.0, 1));
    }
    if *evals < *budget as u64 {
        text += &format!(" ({evals})");
    }
    text
}

/// Formats the mean, and the standard deviation if there are several values.
fn mean_and_spread(values: &[f64], scale: f64, digits: usize) -> String {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return format!("{:.digits$}", scale * mean);
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let spread = (squares / (count - 1.0)).sqrt();
    format!("{:.digits$} ± {:.digits$}", scale * mean, scale * spread)
}

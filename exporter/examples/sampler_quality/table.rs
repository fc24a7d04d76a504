//! What was measured, as a table in Markdown.

use std::fmt;

use ddpm_package::Package;

use crate::Args;
use crate::yardstick::{Score, Yardstick};

/// All measurements of a package.
pub(crate) struct Table<'a> {
    pub(crate) package: &'a Package,
    pub(crate) yardstick: &'a Yardstick,
    pub(crate) args: &'a Args,
    /// Distance of data to data, one a seed.
    pub(crate) floor: Vec<f64>,
    pub(crate) rows: Vec<Row>,
}

/// A sampler on a grid.
pub(crate) struct Row {
    pub(crate) name: String,
    /// One a budget.
    pub(crate) cells: Vec<Option<Cell>>,
}

/// A sampler on a grid in a budget.
pub(crate) struct Cell {
    /// What it costs.
    pub(crate) evals: u64,
    /// One a seed.
    pub(crate) scores: Vec<Score>,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, yardstick, args, floor, rows } = self;
        let manifest = package.manifest();
        let digest = package.digest().to_string();
        let seeds: Vec<String> = args.seeds.iter().map(u64::to_string).collect();
        writeln!(f, "{} {}, digest {}…", manifest.name, manifest.version, &digest[..12])?;
        writeln!(
            f,
            "{} samples, seeds {}; {}",
            args.count,
            seeds.join(", "),
            yardstick.protocol()
        )?;
        writeln!(f, "data to data: {}", mean_and_spread(floor, 1e3, 1))?;
        if let Some(accuracy) = yardstick.accuracy() {
            writeln!(f, "the judge knows {:.2} % of held-out glyphs", 100.0 * accuracy)?;
        }
        writeln!(f)?;
        let budgets: Vec<String> = args.evals.iter().map(usize::to_string).collect();
        writeln!(f, "| distance · 1000 in at most … evaluations | {} |", budgets.join(" | "))?;
        writeln!(f, "|---|{}", "---|".repeat(budgets.len()))?;
        for Row { name, cells } in rows {
            let cells: Vec<String> = cells.iter().zip(&args.evals).map(cell).collect();
            writeln!(f, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(())
    }
}

/// `12.3 ± 0.4`, with the evaluations where they are fewer than the budget, and the share of agreement
/// where there is a judge.
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

/// The mean, and the standard deviation of one measurement where there are several.
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

//! Measures the quality of a package's samples against their cost.
//!
//! Runs samplers on grids within budgets of network evaluations, and measures the sliced
//! Wasserstein distance of their samples from held-out data; for glyphs also the share in which a
//! classifier sees the requested class. `docs/samplers/quality.md` has the tables.
//!
//! ```text
//! cargo run --release -p ddpm-exporter --example sampler_quality -- models/toy --seeds 1,2,3
//! ```
//!
//! Results go to stdout as Markdown, progress to stderr. Exit codes: 0 measured, 1 failed, 2 usage.

mod plan;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod yardstick;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use ddpm_diffusion::{GridSpec, Parameterisation, Sampler};
use ddpm_package::Package;

use plan::Budgeted;
use support::sampling::Sampling;
use table::{Cell, Row, Table};
use yardstick::Yardstick;

/// Measures the quality of samples against what they cost.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of a package trained on a procedural data set.
    #[arg(value_name = "PACKAGE_DIR")]
    package: PathBuf,

    /// Samples per measurement.
    #[arg(long, default_value = "4096")]
    count: NonZeroUsize,

    /// Seeds of the samples; each measurement is repeated with every seed.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,

    /// Budgets of network evaluations per sample.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5,10,20,50,100")]
    evals: Vec<usize>,

    /// A sampler with its options; may be repeated [default: those in the documentation].
    #[arg(long, value_name = "SAMPLER")]
    sampler: Vec<Sampler>,

    /// A grid with its options; may be repeated [default: those that suit the process].
    #[arg(long, value_name = "GRID")]
    grid: Vec<GridSpec>,

    /// Measure distances only, without training a judge of glyphs.
    #[arg(long)]
    no_judge: bool,

    /// Measure the choice of `auto` instead.
    #[arg(long, conflicts_with_all = ["sampler", "grid"])]
    auto: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let package = Package::open(&args.package)?;
    let parameterisation = package.manifest().parameterisation()?;
    let yardstick = Yardstick::for_package(&args.package, package.manifest(), !args.no_judge)?;
    let mut measuring = Measuring {
        args,
        parameterisation: &parameterisation,
        sampling: Sampling::open(&package)?,
        yardstick: &yardstick,
        package: &package,
    };
    let rows = measuring.rows()?;
    let floor = args
        .seeds
        .iter()
        .map(|&seed| yardstick.floor(args.count.get(), seed))
        .collect::<Result<_, _>>()?;
    let Args { count, seeds, evals: budgets, .. } = args;
    let (package, yardstick) = (&package, &yardstick);
    print!("{}", Table { package, yardstick, count: *count, seeds, budgets, floor, rows });
    Ok(())
}

/// What all measurements share.
struct Measuring<'a> {
    args: &'a Args,
    parameterisation: &'a Parameterisation,
    sampling: Sampling<'a>,
    yardstick: &'a Yardstick,
    package: &'a Package,
}

impl Measuring<'_> {
    fn rows(&mut self) -> anyhow::Result<Vec<Row>> {
        if self.args.auto {
            let cells = self.cells(plan::auto)?;
            return Ok(vec![Row { name: "auto".to_owned(), cells }]);
        }
        let mut rows = Vec::new();
        for (sampler, grid) in
            plan::pairs(self.parameterisation, &self.args.sampler, &self.args.grid)
        {
            let name = format!("`{sampler}` on `{grid}`");
            let cells = self.cells(|parameterisation, evals, clip| {
                plan::within(parameterisation, sampler, &grid, evals, clip)
            })?;
            rows.push(Row { name, cells });
        }
        Ok(rows)
    }

    /// Measures once per budget; absent where nothing fits it.
    fn cells(
        &mut self,
        plan: impl Fn(&Parameterisation, usize, ddpm_diffusion::Clip) -> Option<Budgeted>,
    ) -> anyhow::Result<Vec<Option<Cell>>> {
        let manifest = self.package.manifest();
        let clip = manifest.kind.default_clip(manifest.default_sampler.sampler);
        let mut cells: Vec<Option<Cell>> = Vec::new();
        for &evals in &self.args.evals {
            let planned = plan(self.parameterisation, evals, clip);
            cells.push(planned.map(|planned| self.cell(&planned)).transpose()?);
        }
        Ok(cells)
    }

    fn cell(&mut self, planned: &Budgeted) -> anyhow::Result<Cell> {
        let count = self.args.count.get();
        let mut scores = Vec::new();
        for &seed in &self.args.seeds {
            let samples = self.sampling.draw(&planned.program, seed, count)?;
            scores.push(self.yardstick.score(samples)?);
        }
        eprintln!("{} in {} evals: {:?}", planned.text, planned.program.evals(), scores);
        Ok(Cell { evals: planned.program.evals(), scores })
    }
}

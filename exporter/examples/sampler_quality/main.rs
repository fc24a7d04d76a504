//! How good are samples of a package, for what they cost?
//!
//! Runs samplers on grids within budgets of network evaluations, and measures how far their samples are
//! from held-out data: by the sliced Wasserstein distance, and for glyphs by the share in which a
//! classifier sees the class that was asked for. `docs/samplers/quality.md` has the tables.
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
use ddpm_diffusion::{GridSpec, Network, Sampler};
use ddpm_exporter::sample::default_clip;
use ddpm_package::Package;

use plan::Budgeted;
use support::sampling::Sampling;
use table::{Cell, Row, Table};
use yardstick::Yardstick;

/// Measures the quality of samples against what they cost.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of a package that was trained on a procedural data set.
    #[arg(value_name = "PACKAGE_DIR")]
    package: PathBuf,

    /// Samples of each measurement.
    #[arg(long, default_value = "4096")]
    count: NonZeroUsize,

    /// Seeds of the samples: each measurement is done once with each.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1")]
    seeds: Vec<u64>,

    /// Most evaluations that a sample may cost.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "5,10,20,50,100")]
    evals: Vec<usize>,

    /// A sampler with its options; may be repeated [default: those of the documentation].
    #[arg(long, value_name = "SAMPLER")]
    sampler: Vec<Sampler>,

    /// A grid with its options; may be repeated [default: those that suit the process].
    #[arg(long, value_name = "GRID")]
    grid: Vec<GridSpec>,

    /// Measure distances alone, where a judge of glyphs would have to be trained first.
    #[arg(long)]
    no_judge: bool,

    /// Measure what `auto` chooses instead.
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
    let network = package.manifest().network()?;
    let yardstick = Yardstick::of(&args.package, package.manifest(), !args.no_judge)?;
    let mut measuring = Measuring {
        args,
        network: &network,
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
    print!("{}", Table { package: &package, yardstick: &yardstick, args, floor, rows });
    Ok(())
}

/// What every measurement of a run needs.
struct Measuring<'a> {
    args: &'a Args,
    network: &'a Network,
    sampling: Sampling<'a>,
    yardstick: &'a Yardstick,
    package: &'a Package,
}

impl Measuring<'_> {
    fn rows(&mut self) -> anyhow::Result<Vec<Row>> {
        if self.args.auto {
            let cells = self.cells(|network, evals, clip| plan::auto(network, evals, clip))?;
            return Ok(vec![Row { name: "auto".to_owned(), cells }]);
        }
        let mut rows = Vec::new();
        for (sampler, grid) in plan::pairs(self.network, &self.args.sampler, &self.args.grid) {
            let name = format!("`{sampler}` on `{grid}`");
            let cells = self
                .cells(|network, evals, clip| plan::within(network, sampler, &grid, evals, clip))?;
            rows.push(Row { name, cells });
        }
        Ok(rows)
    }

    /// One a budget; absent where nothing fits it.
    fn cells(
        &mut self,
        plan: impl Fn(&Network, usize, ddpm_diffusion::Clip) -> Option<Budgeted>,
    ) -> anyhow::Result<Vec<Option<Cell>>> {
        let clip = default_clip(self.package.manifest().kind);
        let mut cells: Vec<Option<Cell>> = Vec::new();
        for &evals in &self.args.evals {
            let planned = plan(self.network, evals, clip);
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

//! `data`: reports what training would see of a data set, before a long run finds out.

use std::io::Write;
use std::path::{Path, PathBuf};

use ddpm_console::note;
use ddpm_data::{Background, Dataset, ItemShape, LoadOptions, OnBroken, Report, Source, Split};
use ddpm_files::{is_stdout, write_whole};
use ddpm_pictures::sheet;

use super::Failure;
use super::labels::LabelFlags;
use super::output::print_text;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum Command {
    /// Decode everything; report count, digest, sizes, classes, duplicates and unusable pictures.
    Check(Check),
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Check {
    /// Data, as for `train --data`: folder:PATH, celeba:PATH, …
    source: Source,

    /// Side to crop and resize pictures to [default: unchanged; celeba: 64].
    #[arg(long, value_name = "PIXELS")]
    image_size: Option<usize>,

    /// Reduce colour to one channel.
    #[arg(long)]
    greyscale: bool,

    #[command(flatten)]
    labels: LabelFlags,

    /// Part of the data [default: train; celeba: all].
    #[arg(long, value_enum)]
    split: Option<Split>,

    /// Colour behind transparent pictures.
    #[arg(long, value_enum, value_name = "COLOUR", default_value_t)]
    background: Background,

    /// What to do with pictures, and other entries of the data, that cannot be read [default:
    /// refuse, with exit code 6].
    #[arg(long, value_enum)]
    on_broken: Option<OnBroken>,

    /// Seed of the procedural sets.
    #[arg(long, default_value_t = 0)]
    seed: u64,

    /// Draw the first 64 pictures as training would see them, or the first 10,000 points; - is
    /// standard output, and the report then goes to stderr.
    #[arg(long, value_name = "FILE.png")]
    grid: Option<PathBuf>,

    /// Print one JSON document, which lists everything, instead of a page.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  ddpm-exporter data check folder:pictures.zip --image-size 64 --grid first.png
  ddpm-exporter data check celeba:datasets --split valid
  ddpm-exporter data check parquet:cifar10/data --on-broken skip --json

Exit code: 0 if training could start, 3 if the data cannot be loaded, 6 if some pictures cannot be
used.";

/// Items on a grid.
const GRID_PICTURES: usize = 64;
const GRID_POINTS: usize = 10_000;

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Check(check) => check.run(),
        }
    }
}

impl Check {
    fn run(&self) -> Result<(), Failure> {
        let set = ddpm_data::load(&self.source, &self.options())?;
        let report = Report::of(&set);
        if let Some(path) = &self.grid {
            write_grid(path, &set)?;
        }
        let text = if self.json {
            let json = serde_json::to_string_pretty(&report);
            json.map_err(|error| Failure::Failed(error.into()))? + "\n"
        } else {
            report.page()
        };
        match self.grid.as_deref().is_some_and(is_stdout) {
            true => note!("{}", text.trim_end()),
            false => print_text(&text)?,
        }
        self.judge(&report)
    }

    /// Always skips broken pictures: the check is meant to find all of them.
    fn options(&self) -> LoadOptions {
        LoadOptions {
            image_size: self.image_size,
            greyscale: self.greyscale,
            background: self.background,
            on_broken: OnBroken::Skip,
            labels: self.labels.source().unwrap_or_default(),
            flips: None,
            seed: self.seed,
            split: self.split.unwrap_or(self.source.default_split()),
        }
    }

    fn judge(&self, report: &Report) -> Result<(), Failure> {
        let broken = report.left_out.len();
        if broken == 0 || self.on_broken == Some(OnBroken::Skip) {
            return Ok(());
        }
        Err(Failure::CheckFailed(format!(
            "{broken} of {} pictures cannot be used; repair or remove them, or train with \
             `--on-broken skip`",
            broken + report.count
        )))
    }
}

fn write_grid(path: &Path, set: &Dataset) -> Result<(), Failure> {
    let (shape, most) = match set.kind() {
        ItemShape::Images { channels, height, width } => {
            (vec![channels, height, width], GRID_PICTURES)
        }
        ItemShape::Points2d => (vec![2], GRID_POINTS),
    };
    let shape: Vec<i64> = shape.into_iter().map(|extent| extent as i64).collect();
    let (count, len) = (set.len().min(most), set.kind().num_elements());
    let mut samples = vec![0.0; count * len];
    samples.chunks_exact_mut(len).enumerate().for_each(|(i, x_0)| set.x_0(i, false, x_0));
    let text = [("ddpm.data".to_owned(), set.name().to_owned())];
    let png = sheet::png(&samples, &shape, &text);
    png.and_then(|png| write_whole(path, |out| out.write_all(&png))).map_err(|cause| {
        let problem =
            format!("{}: cannot be written: {cause}; name another --grid", path.display());
        Failure::Failed(problem.into())
    })
}

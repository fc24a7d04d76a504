//! `gallery`: draws pictures of the page, the terminal and the notebook into docs/pictures, so that
//! they show what the code does now.
//!
//! A picture is a function of a [`Studio`], a server with its embedded models and a browser, in the
//! list below. Seeds are set, so that samples look the same every time.

mod moving;
mod notebook;
mod page;
mod studio;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser;

use studio::Studio;

/// A picture's file, and what draws it.
type Entry = (&'static str, fn(&Studio) -> anyhow::Result<Vec<u8>>);

const PICTURES: &[Entry] = &[
    ("page.png", page::dark),
    ("page-light.png", page::light),
    ("page-points.png", page::points),
    ("page-phone.png", page::phone),
    ("page-forward.png", page::forward),
    ("page-compare.png", page::compare),
    ("page-moving.png", moving::page),
    ("terminal.png", terminal::watch),
    ("notebook.png", notebook::denoising),
];

/// Draws the pictures of the documentation again.
#[derive(Debug, Parser)]
struct Options {
    /// Pictures to draw, such as `page.png` [default: all].
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    only: Vec<String>,

    /// The folder of `ddpm-server` and `ddpm` [default: that of this program].
    #[arg(long, value_name = "DIR")]
    binaries: Option<PathBuf>,

    /// The folder of the pictures.
    #[arg(long, value_name = "DIR", default_value = "docs/pictures")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> anyhow::Result<()> {
    for name in &options.only {
        let known = PICTURES.iter().any(|(picture, _)| picture == name);
        ensure!(known, "there is no picture {name}: see the list in tests/gallery/main.rs");
    }
    std::fs::create_dir_all(&options.out)?;
    let studio = Studio::new(options.binaries.as_deref())?;
    for (name, draw) in PICTURES {
        if options.only.is_empty() || options.only.iter().any(|only| only == name) {
            let file = draw(&studio)?;
            let path = options.out.join(name);
            println!("{} ({} KB)", path.display(), file.len().div_ceil(1000));
            std::fs::write(path, file)?;
        }
    }
    Ok(())
}

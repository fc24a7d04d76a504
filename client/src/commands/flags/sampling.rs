//! How to get from noise to data.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use ddpm_client::{Clip, Error, Grid, Guidance, Program, Request, Sampler, SamplerChoice};

use super::optional::{apply, usage_error};

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct SamplingFlags {
    #[arg(long, value_name = "SPEC", help = sampler_help())]
    pub(crate) sampler: Option<SamplerChoice>,

    #[arg(long, value_name = "SPEC", help = grid_help())]
    pub(crate) grid: Option<Grid>,

    /// Intervals of the time grid, from 1 to the model's timesteps; with --sampler
    /// auto, the most evaluations per sample [default: the model's].
    #[arg(long)]
    pub(crate) steps: Option<u32>,

    /// What keeps predictions of x_0 in range: none, unit, or dynamic as in
    /// dynamic:quantile=0.995,max=100 [default: unit for pictures, none for points].
    #[arg(long, value_name = "SPEC")]
    pub(crate) clip: Option<Clip>,

    /// Classifier-free guidance towards --label: 1 uses the label alone, 0 no label,
    /// more than 1 exaggerates. Doubles the evaluations per step.
    #[arg(long, value_name = "W")]
    pub(crate) guidance: Option<f64>,

    /// Sigmas between which guidance acts, such as 0.2:5; either end may be omitted.
    /// Elsewhere it costs no extra evaluation.
    #[arg(long, value_name = "LO:HI", requires = "guidance")]
    pub(crate) guidance_interval: Option<Interval>,

    /// Rows to run as they are, from `ddpm program --json`. They define sampler, grid,
    /// steps, clip and guidance.
    #[arg(
        long,
        value_name = "FILE.json",
        conflicts_with_all = ["sampler", "grid", "steps", "clip", "guidance"]
    )]
    pub(crate) program: Option<PathBuf>,
}

fn sampler_help() -> String {
    format!(
        "Sampler with its options, as in dpm++:order=3,form=heun: {}; or auto, which lets the \
         server choose within --steps evaluations [default: the model's]",
        Sampler::ALL.map(Sampler::name).join(", ")
    )
}

fn grid_help() -> String {
    format!(
        "Points to visit, with options, as in karras:rho=7 or timesteps:999-500-0: {} \
         [default: the model's]",
        Grid::NAMES.join(", ")
    )
}

/// Two sigmas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Interval {
    low: f64,
    high: f64,
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (low, high) =
            text.split_once(':').ok_or("must be two sigmas with a colon, as in 0.2:5")?;
        let end = |text: &str, open: f64| match text.trim() {
            "" => Ok(open),
            text => text.parse::<f64>().map_err(|error| format!("`{text}`: {error}")),
        };
        let (low, high) = (end(low, 0.0)?, end(high, f64::INFINITY)?);
        if 0.0 <= low && low <= high {
            Ok(Self { low, high })
        } else {
            Err(format!("{low} to {high} is not an interval of sigmas"))
        }
    }
}

impl SamplingFlags {
    /// Returns whether the samples are encoded pictures.
    pub(crate) fn encodes(&self) -> bool {
        matches!(self.sampler, Some(SamplerChoice::Sampler(sampler)) if sampler.encodes())
    }

    /// Sets the fields of `request` whose flags were used.
    ///
    /// # Errors
    ///
    /// [`Error::File`] and [`Error::Request`] for a program that cannot be read.
    pub(crate) fn apply(&self, request: Request) -> Result<Request, Error> {
        let request = apply(request, self.sampler.clone(), Request::sampler);
        let request = apply(request, self.grid.clone(), Request::grid);
        let request = apply(request, self.steps, Request::num_steps);
        let request = apply(request, self.clip, Request::clip);
        let request = apply(request, self.guidance(), Request::guidance);
        Ok(apply(request, self.custom_rows()?, Request::sampler))
    }

    fn guidance(&self) -> Option<Guidance> {
        let everywhere = Guidance::everywhere(self.guidance?);
        Some(match self.guidance_interval {
            Some(Interval { low, high }) => {
                Guidance { sigma_min: low, sigma_max: high, ..everywhere }
            }
            None => everywhere,
        })
    }

    fn custom_rows(&self) -> Result<Option<Program>, Error> {
        let Some(path) = &self.program else { return Ok(None) };
        let text = fs::read_to_string(path).map_err(|source| Error::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        match Program::from_json(&text) {
            Ok(program) => Ok(Some(program)),
            Err(error) => usage_error(format!(
                "{} is not a program: {error}\n`ddpm program MODEL --json` prints one",
                path.display()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_may_omit_an_end() {
        let read = |text: &str| text.parse::<Interval>().unwrap();

        assert_eq!(read("0.2:5"), Interval { low: 0.2, high: 5.0 });
        assert_eq!(read(":5"), Interval { low: 0.0, high: 5.0 });
        assert_eq!(read("0.2:"), Interval { low: 0.2, high: f64::INFINITY });
        for text in ["5", "5:0.2", "a:b", "-1:2"] {
            assert!(text.parse::<Interval>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_help_names_every_sampler_and_every_grid() {
        for sampler in Sampler::ALL {
            assert!(sampler_help().contains(sampler.name()));
        }
        assert!(Grid::NAMES.iter().all(|name| grid_help().contains(name)));
    }
}

//! What `cases.json` says; its README explains the fields.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ddpm_diffusion::{
    BetaSchedule, Clip, Edm, Error, GridSpec, Parameterisation, Point, Prediction, Process, Recipe,
    Sampler, Schedule, Start, Variance,
};
use serde::{Deserialize, Deserializer};

/// Everything in the file.
#[derive(Debug, Deserialize)]
pub(crate) struct Reference {
    pub(crate) network: Weights,
    pub(crate) schedules: BTreeMap<String, Betas>,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) cases: Vec<Case>,
    /// Of samplers that this crate does not have.
    pub(crate) beyond: Vec<Case>,
    pub(crate) grids: Vec<GridCase>,
}

pub(crate) static REFERENCE: LazyLock<Reference> = LazyLock::new(|| {
    serde_json::from_str(include_str!("cases.json")).expect("cases.json is what reference.py wrote")
});

/// The small nonlinear network that every sampler runs on.
#[derive(Debug, Deserialize)]
pub(crate) struct Weights {
    pub(crate) dim: usize,
    w1: Vec<Vec<f64>>,
    b1: Vec<f64>,
    wt: Vec<f64>,
    w2: Vec<Vec<f64>>,
    w3: Vec<Vec<f64>>,
}

impl Weights {
    /// Its outputs, `[2 dim]`, for the input x, `[dim]`, and the number g that it makes of a
    /// timestep.
    pub(crate) fn outputs(&self, x: &[f64], g: f64) -> Vec<f64> {
        let dot = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        let inner = self.w1.iter().zip(&self.b1).zip(&self.wt);
        let hidden: Vec<f64> =
            inner.map(|((row, b), wt)| (dot(row, x) + b + wt * g).tanh()).collect();
        self.w2.iter().zip(&self.w3).map(|(w2, w3)| dot(w2, &hidden) + dot(w3, x)).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Betas {
    kind: String,
    timesteps: usize,
    #[serde(default)]
    beta_start: f64,
    #[serde(default)]
    beta_end: f64,
}

impl Betas {
    fn schedule(&self) -> Schedule {
        let (_, kind) = *BetaSchedule::NAMES.iter().find(|(name, _)| *name == self.kind).unwrap();
        Schedule::new(kind, self.timesteps, self.beta_start, self.beta_end).unwrap()
    }
}

/// A process, of a case or of a grid.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum ProcessOf {
    Schedule(String),
    Named(Named),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Named {
    Discrete { schedule: String },
    Edm { sigma_min: f64, sigma_max: f64, sigma_data: f64 },
    Flow,
}

impl ProcessOf {
    pub(crate) fn process(&self) -> Process {
        match self {
            Self::Schedule(name) | Self::Named(Named::Discrete { schedule: name }) => {
                Process::Discrete(REFERENCE.schedules[name].schedule())
            }
            Self::Named(Named::Edm { sigma_min, sigma_max, sigma_data }) => Process::Edm(Edm {
                sigma_min: *sigma_min,
                sigma_max: *sigma_max,
                sigma_data: *sigma_data,
            }),
            Self::Named(Named::Flow) => Process::Flow,
        }
    }

    /// As the table shows it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Schedule(name) | Self::Named(Named::Discrete { schedule: name }) => name,
            Self::Named(Named::Edm { .. }) => "edm",
            Self::Named(Named::Flow) => "flow",
        }
    }
}

/// One run of a sampler.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) sampler: String,
    pub(crate) process: ProcessOf,
    pub(crate) prediction: String,
    pub(crate) variance: String,
    pub(crate) clip: String,
    pub(crate) grid: Points,
    end: serde_json::Value,
    pub(crate) grid_name: String,
    pub(crate) evaluations: u64,
    pub(crate) initial: Vec<f64>,
    pub(crate) noise: Vec<Vec<f64>>,
    pub(crate) formula: Vec<f64>,
    pub(crate) packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Points {
    Timesteps(Vec<f64>),
    Sigmas(Vec<f64>),
}

/// What a package returned.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) options: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "with_nan")]
    pub(crate) output: Vec<f64>,
    pub(crate) agrees: bool,
    pub(crate) remark: String,
}

/// A number that does not exist is null.
fn with_nan<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f64>, D::Error> {
    let numbers = Vec::<Option<f64>>::deserialize(from)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f64::NAN)).collect())
}

impl Case {
    pub(crate) fn named(name: &str) -> &'static Self {
        let case = REFERENCE.cases.iter().find(|case| case.name == name);
        case.unwrap_or_else(|| panic!("there is no case {name}"))
    }

    /// The sampler's name without options.
    pub(crate) fn family(&self) -> &str {
        self.sampler.split(':').next().unwrap_or_default()
    }

    pub(crate) fn network(&self) -> Parameterisation {
        Parameterisation {
            process: self.process.process(),
            prediction: self.prediction.parse::<Prediction>().unwrap(),
            variance: self.variance.parse::<Variance>().unwrap(),
        }
    }

    pub(crate) fn recipe(&self, network: &Parameterisation) -> Recipe {
        let sampler: Sampler = self.sampler.parse().unwrap();
        let grid = self.grid(&network.process);
        let num_steps = grid.fixed_steps().unwrap();
        let recipe = Recipe::new(sampler, network);
        Recipe { grid, num_steps, clip: self.clip(), start: Start::State, ..recipe }
    }

    fn clip(&self) -> Clip {
        match self.clip.split(':').collect::<Vec<_>>()[..] {
            ["dynamic", quantile, max] => {
                Clip::Dynamic { quantile: quantile.parse().unwrap(), max: max.parse().unwrap() }
            }
            _ => self.clip.parse().unwrap(),
        }
    }

    fn grid(&self, process: &Process) -> GridSpec {
        // A sigma; the data has none.
        match (&self.grid, self.end["sigma"].as_f64()) {
            (Points::Timesteps(list), None) => GridSpec::Timesteps(list.clone()),
            (Points::Timesteps(list), Some(end)) => {
                let at = |t: &f64| process.at_timestep(*t).unwrap().rho();
                GridSpec::Sigmas(list.iter().map(at).chain([end]).collect())
            }
            (Points::Sigmas(list), end) => {
                let end = end.unwrap_or(0.0);
                GridSpec::Sigmas(list.iter().copied().chain([end]).collect())
            }
        }
    }
}

/// What a grid text gives.
#[derive(Debug, Deserialize)]
pub(crate) struct GridCase {
    pub(crate) grid: String,
    pub(crate) schedule: ProcessOf,
    pub(crate) num_steps: usize,
    pub(crate) expect: Points,
    pub(crate) source: String,
    pub(crate) tolerance: f64,
    pub(crate) remark: String,
}

impl GridCase {
    /// The largest difference of the crate's grid, relative to what it must be.
    pub(crate) fn difference(&self) -> Result<f64, Error> {
        let spec: GridSpec = self.grid.parse()?;
        let grid = spec.grid(&self.schedule.process(), self.num_steps)?;
        let points = grid.points().iter();
        let (want, got): (_, Vec<f64>) = match &self.expect {
            Points::Timesteps(list) => (list, points.map(|point| point.t).collect()),
            Points::Sigmas(list) => (list, points.map(Point::rho).collect()),
        };
        assert_eq!(got.len(), want.len(), "{}", self.grid);
        // Timestep 0 is exact.
        let relative = got.iter().zip(want).map(|(got, want)| match got == want {
            true => 0.0,
            false => (got - want).abs() / want.abs(),
        });
        Ok(relative.fold(0.0, f64::max))
    }
}

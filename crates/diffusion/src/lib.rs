//! The mathematics of `ddpm`: schedules, sampler programs, the row kernel, noise.
//!
//! A sampler is data. Every sampler, on any time grid, for any parameterisation,
//! compiles to a [`Program`]: a list of [`Row`]s, each one application of one
//! linear [`kernel`] to one sample, with 0, 1 or 2 network evaluations before it.
//! Whatever runs a program needs to know no sampler, so rows of different samplers
//! can share one call of the network.
//!
//! Nothing here does I/O, reads a clock or waits.
//!
//! | code | papers | meaning |
//! |---|---|---|
//! | `timesteps`, `t` | T, t | t counts from 0 to T−1; papers count from 1 |
//! | `betas[t]`, `alphas_cumprod[t]` | β_t, ᾱ_t | `[T]`, f64 |
//! | `posterior_variance` | β̃_t | variance of q(x_{t−1} given x_t, x_0) |
//! | `x_0`, `x_t` | x_0, x_t | data and its noisy version |
//! | `eps` | ε | noise; `v` is √ᾱ ε − √(1−ᾱ) x_0 |
//! | `eta` | η | 0: deterministic DDIM, 1: DDPM's noise |
//!
//! Sampling a point from a network that knows that all data is at 0.5:
//!
//! ```
//! use ddpm_diffusion::{Kernel, Noise, Parameterisation, Prediction, Recipe, Sampler, Schedule};
//! use ddpm_diffusion::{State, Variance};
//!
//! let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
//! let network = Parameterisation::discrete(schedule, Prediction::X0, Variance::FixedSmall);
//! let sampler: Sampler = "dpm++:order=3".parse()?;
//! let program = Recipe { num_steps: 10, ..Recipe::new(sampler, &network) }.compile(&network)?;
//!
//! let noise = Noise::new(7);
//! let mut state = State::<f64>::start(&program, &noise, 0, 1);
//! let mut kernel = Kernel::new(1);
//! for (position, row) in program.rows().iter().enumerate() {
//!     let predicted = [0.5];
//!     kernel.advance(row, position, &mut state, &[&predicted], &noise, 0, None);
//! }
//! assert!((state.u()[0] - 0.5).abs() < 1e-12);
//! # Ok::<(), ddpm_diffusion::Error>(())
//! ```

mod error;
pub use error::{Error, GridField, MixField, OptionField, RowField};

mod real;
pub use real::Real;

mod spec;

mod schedule;
pub use schedule::{BetaSchedule, Schedule};

mod process;
pub use process::{Edm, Point, Process};

mod prediction;
pub use prediction::{Prediction, Variance};

mod parameterisation;
pub use parameterisation::{Evaluation, Parameterisation};

mod bound;
pub use bound::BoundTerm;

mod forward;
pub use forward::{q_sample, target};

mod grid;
pub use grid::{Grid, GridSpec};

pub mod row;
pub use row::{Clip, Evals, Label, Mask, Mix, NoiseAddress, Push, RawVariance, Row, X0Rule};

mod program;
pub use program::Program;

mod guidance;
pub use guidance::Guidance;

pub mod samplers;
pub use samplers::{ClippedEps, Form, Precondition, Sampler, UniPcVariant};

mod inpaint;
pub use inpaint::Inpaint;

mod recipe;
pub use recipe::{Recipe, SharedNoise, Start};

pub mod auto;

mod interpolate;
pub use interpolate::slerp;

pub mod noise;
pub use noise::{Noise, NoiseSource};

mod normal;

pub mod kernel;
pub use kernel::{Kernel, Known, State};

pub mod pixels;

//! Samplers: each compiles a network's points to steps, and a [`Recipe`] makes a
//! program of them.
//!
//! Everything is written in α and σ of the points, so a sampler works on every
//! process. In these terms the noise estimate is ε̂ = (u − α x_0)/σ, with x_0
//! after the clip, and ρ = σ/α is the sigma of the VE literature.
//!
//! [`Recipe`]: crate::Recipe

mod denoiser;
pub(crate) use denoiser::Denoiser;

mod step;
pub(crate) use step::{Step, Transition, X_0};

mod sampler;
pub use sampler::Sampler;

mod options;
pub use options::{ClippedEps, Form, UniPcVariant};

mod text;

mod compile;

mod ancestral;
mod consistency;
mod ddim;
mod dpm_solver;
mod euler;
mod heun;
pub(crate) use heun::add_noise;

mod multistep;
mod restart;
mod unipc;

//! Samplers: each compiles a network's points to steps, and a [`Recipe`] makes a
//! program of them.
//!
//! A sampler is a struct of its options that implements `Method`, and one line in
//! the table of [`Sampler`].
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

mod options;
pub(crate) use options::SamplerOption;
pub use options::{Allowed, ClippedEps, Form, Precondition, UniPcVariant, Value};

mod method;
pub(crate) use method::{DefaultSteps, Facts, Method};

mod sampler;
pub use sampler::{OptionInfo, Sampler};

mod text;

mod ancestral;
pub use ancestral::Ddpm;

mod ddim;
pub use ddim::{Ddim, DdimInverse};

mod euler;
pub use euler::{Euler, EulerAncestral, FlowEuler};

mod heun;
pub(crate) use heun::add_noise;
pub use heun::{EdmHeun, Heun};

mod midpoint;
pub use midpoint::{Dpm2, Dpm2Ancestral, DpmSolverPp2sAncestral};

mod dpm_solver;
pub use dpm_solver::{DpmSolverPp, DpmSolverPp3Corrected, SdeDpmSolverPp};

mod unipc;
pub use unipc::UniPc;

mod sa_solver;
pub use sa_solver::SaSolver;

mod multistep;
pub use multistep::{Deis, Ipndm, Lms, Pndm};

mod restart;
pub use restart::Restart;

mod consistency;
pub use consistency::{Consistency, Lcm};

#[cfg(test)]
mod tests;

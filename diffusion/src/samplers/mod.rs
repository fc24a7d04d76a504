//! Samplers: each compiles a schedule and a grid to a [`Program`](crate::Program).

mod ddim;
pub use ddim::{ClippedEps, Ddim, ddim};

mod ddpm;
pub use ddpm::ddpm;

mod interval;

//! Converts samplers, grids and rows between the contract and [`ddpm_diffusion`],
//! for both ends of the wire.
//!
//! Reading reports every [`Fault`] with its field, relative to the message being
//! read. An absent number gets its documented default; a number that the chosen
//! kind does not use is a fault, not ignored.

mod sampler;
pub use sampler::{SamplerChoice, sampler_from_proto, sampler_info, sampler_to_proto};

mod grid;
pub use grid::{grid_from_proto, grid_to_proto};

mod clip;
pub use clip::{clip_from_proto, clip_to_proto};

mod guidance;
pub use guidance::{
    guidance_from_proto, guidance_to_proto, shared_noise_from_proto, shared_noise_to_proto,
};

mod program;
pub use program::{rows_from_proto, rows_to_proto};

/// A field that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its path, with dots.
    pub field: String,
    /// What it must be, and what it is.
    pub description: String,
}

impl Fault {
    fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// Reads a value of an enum, or returns a fault.
fn code<E: TryFrom<i32>>(field: &str, code: i32) -> Result<E, Fault> {
    let unknown = |_| Fault::new(field, format!("{code} is no value that is known here"));
    E::try_from(code).map_err(unknown)
}

#[cfg(test)]
mod tests;

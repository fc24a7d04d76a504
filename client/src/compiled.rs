//! Compiled requests.

use ddpm_proto::v1;

use crate::error::Error;
use crate::program::Program;
use crate::settings::{Clip, Grid, SamplerChoice, clip_from_wire, grid_from_wire};

/// A request as the server would run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// The rows. Sent back as [`SamplerChoice::Program`], they produce the same
    /// samples, bit for bit.
    pub program: Program,
    /// As in [`Receipt::program_digest`](crate::Receipt::program_digest).
    pub program_digest: String,
    /// Network evaluations per sample.
    pub evals_per_sample: u64,
    /// As requested, or the default; what `auto` chose.
    pub sampler: SamplerChoice,
    /// As requested, or the default.
    pub num_steps: u32,
    /// As requested, or the default; `None` for custom rows.
    pub grid: Option<Grid>,
    /// As requested, or the default; `None` for custom rows.
    pub clip: Option<Clip>,
}

impl Compiled {
    pub(crate) fn from_proto(answer: v1::CompileResponse) -> Result<Self, Error> {
        let missing = || Error::Protocol("the compiled program is missing".to_owned());
        let program = answer.program.ok_or_else(missing)?;
        Ok(Self {
            program: Program::from_proto(program).map_err(Error::Protocol)?,
            program_digest: answer.program_digest,
            evals_per_sample: answer.evals_per_sample,
            sampler: SamplerChoice::from_proto(answer.sampler)?,
            num_steps: answer.num_steps,
            grid: grid_from_wire(answer.grid, answer.grid_options, answer.num_steps)?,
            clip: clip_from_wire(answer.clip, answer.dynamic_threshold)?,
        })
    }
}

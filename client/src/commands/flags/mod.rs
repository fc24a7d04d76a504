//! Flags that several commands share: which samples, how to sample them, and what they start
//! from, and how the server treats them.

mod editing;
mod optional;
mod sampling;
mod selection;
mod serving;

pub(crate) use self::editing::{EditingFlags, Inputs};
pub(crate) use self::optional::apply;
pub(crate) use self::sampling::SamplingFlags;
pub(crate) use self::selection::SelectionFlags;
pub(crate) use self::serving::{ServingFlags, seconds};

//! Flags that several commands share: which samples, how to sample them, and what they start
//! from.

mod editing;
mod optional;
mod sampling;
mod selection;

pub(crate) use self::editing::{EditingFlags, Inputs};
pub(crate) use self::optional::apply;
pub(crate) use self::sampling::SamplingFlags;
pub(crate) use self::selection::SelectionFlags;

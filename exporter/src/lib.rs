//! Command line over the libraries that train, convert and evaluate models.
//!
//! * [`package`]: turns a training run into a model package;
//! * [`judge`]: implements training's judge of samples with the measures of evaluation;
//! * [`cli`]: the commands and their flags.

pub mod package;

pub mod judge;

pub mod cli;

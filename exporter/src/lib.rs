//! Command line over the libraries that train, convert and evaluate models.
//!
//! * [`package`]: turns a training run into a model package;
//! * [`int8`]: makes the int8 graph of a package, and judges it by its samples;
//! * [`judge`]: implements training's judge of samples with the measures of evaluation;
//! * [`cli`]: the commands and their flags.

pub mod package;

pub mod int8;

pub mod judge;

pub mod cli;

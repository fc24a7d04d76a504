//! End to end with the exporter, which needs libtorch:
//! `cargo test -p ddpm-tests --features exporter`.
//!
//! * `parity`: trainer and server give the same pictures;
//! * `journey`: real digits, from files on disk to a GIF over gRPC;
//! * `defaults`: trainer and server fill in the same defaults;
//! * `private_training`: the exporter reports to nobody;
//! * `imports`: models of other programs can be served;
//! * `graphs`: one network in several graphs, served side by side.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

// The other end-to-end tests use the rest of it.
#[allow(dead_code)]
mod harness;

#[allow(dead_code)]
mod watched;

mod parity;

mod journey;

mod defaults;

mod private_training;

mod imports;

mod graphs;

//! End to end with the exporter, which needs libtorch: `cargo test -p ddpm-tests
//! --features exporter`.
//!
//! * `parity`: trainer and server give the same pictures;
//! * `journey`: real digits, from files on disk to a GIF over gRPC;
//! * `imports`: models of other programs, served.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

// The server's own tests use the rest of it.
#[allow(dead_code)]
mod harness;

mod parity;

mod journey;

mod imports;

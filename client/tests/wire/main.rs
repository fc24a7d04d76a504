//! The client over a real socket, against a server scripted by each test.

#![allow(clippy::unwrap_used, reason = "clippy.toml covers test functions, not their helpers")]

/// The command: files, exit codes, stdout and stderr.
mod command;
/// The library: streams, their order, and what happens when they break.
mod generation;
/// The scripted server.
mod mock;

//! The client over a real socket, against a server scripted by each test.

#![allow(clippy::unwrap_used, reason = "clippy.toml covers test functions, not their helpers")]

/// A server that breaks on the level of HTTP/2.
mod breaking;
/// The command: files, exit codes, stdout and stderr.
mod command;
/// The library: streams and their order.
mod generation;
/// The scripted server.
mod mock;
/// The library: what happens when streams break, servers go away, and time is over.
mod outliving;

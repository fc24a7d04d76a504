//! The graph of a network computes what the network does.

#[path = "../../../network/tests/network/support.rs"]
mod support;

mod runs;

mod graph;

mod cuda;

mod int8;

mod ranges;

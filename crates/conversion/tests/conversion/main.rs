//! The graph of a network computes what the network does.

#[path = "../../../network/tests/network/support.rs"]
mod support;

mod graph;

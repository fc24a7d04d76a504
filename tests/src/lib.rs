//! An empty library: the end-to-end tests start at `main.rs`.

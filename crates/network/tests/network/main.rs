//! The networks against the reference's vectors, and whole chains of samples drawn with them.

mod support;

mod outputs;

mod sampling;

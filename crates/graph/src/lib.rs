//! ONNX files, and the graphs that a device runs beside the network: what samples are between two
//! calls of the network stays where the network runs.
//!
//! * [`format`](mod@format): the messages of the file format;
//! * [`attributes`]: attributes of an operation;
//! * [`model`]: a graph becomes a file;
//! * [`builder`]: a graph, one operation after another;
//! * [`rows`]: the row kernel as a graph, and the table of numbers that it reads.

pub mod attributes;

pub mod builder;

pub mod format;

pub mod model;

pub mod rows;

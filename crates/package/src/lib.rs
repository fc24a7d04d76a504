//! The model package: what the exporter writes and the server reads.
//!
//! A package is one folder. `ddpm.json`, its manifest, is the only file that a server must parse.
//! The manifest's SHA-256 identifies the model, because the manifest holds the size and SHA-256 of
//! every other file.
//!
//! ```text
//! glyphs/
//!   ddpm.json                    the manifest
//!   unet/model.onnx              the portable graph
//!   testdata/golden.safetensors  inputs and outputs, recomputed at every load
//!   training.json, README.md, …  provenance: whatever else the exporter adds
//! ```
//!
//! * [`Manifest`]: describes the content of a package, checked.
//! * [`Package`]: a package on disk or in the binary, every byte verified.
//! * [`PackageWriter`]: writes a package whole or not at all.
//! * [`Defaults`]: fills in what a request leaves unset.
//! * [`Golden`]: outputs that every run of the graph must reproduce.

mod digest;
pub use digest::Sha256Hex;

mod error;
pub use error::{Error, PathFault};

mod graphs;
pub use graphs::{GraphName, Quality, Variant};

mod manifest;
pub use manifest::{
    DefaultSampler, FileEntry, Graphs, Kind, MANIFEST_FILE, Manifest, ScheduleSpec,
};

mod defaults;
pub use defaults::{Defaults, RequestedSampler, SamplingRequest};

mod golden;
pub use golden::{Comparison, GOLDEN_RMS_MIN, Golden, portable_tolerance};

mod read;
pub use read::Package;

mod write;
pub use write::PackageWriter;

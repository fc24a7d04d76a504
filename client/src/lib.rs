//! A typed client of `ddpm-server`.
//!
//! A [`Request`] goes in, a [`Generation`] comes out: a stream of [`Event`]s
//! that ends with [`Event::Completed`]. The client checks the order of events,
//! the digest of every sample, and that each requested index arrives once.
//!
//! ```no_run
//! use ddpm_client::{Client, Indices, Options, Request, Sampler};
//!
//! # async fn example() -> Result<(), ddpm_client::Error> {
//! let client = Client::connect("http://127.0.0.1:50051", Options::default()).await?;
//! let request = Request::new("glyphs", Indices::first(16)).seed(7).num_steps(50);
//! let collected = client.generate_resumable(request).collect().await?;
//! println!("{} samples with seed {}", collected.samples.len(), collected.receipt.seed);
//! # Ok(())
//! # }
//! ```
//!
//! A sample is a pure function of its receipt and its index, so a broken stream
//! costs only time: [`Client::generate_resumable`] requests the missing indices
//! again and rejects an answer that does not match the first part. A run of more
//! samples than one request may have is split into several.

// The wire.
mod connection;
mod error;

pub use connection::{Client, Options};
pub use error::{Code, Error, FieldViolation, Refusal};

// Requests.
mod indices;
mod initial;
mod program;
mod request;
mod settings;

pub use ddpm_diffusion::samplers;
pub use indices::{Indices, ParseIndicesError};
pub use initial::{Initial, Known};
pub use program::Program;
pub use request::{Expect, Request, Watch};
pub use settings::{
    Clip, ClippedEps, Delivery, Determinism, Form, Format, Frames, Grid, Guidance, Inpaint,
    OnDeadline, PreviewKind, Priority, Sampler, SamplerChoice, SharedNoise, UniPcVariant, Variance,
};

// Responses.
mod compiled;
mod estimate;
mod events;
mod models;
mod receipt;
mod server_info;

pub use compiled::Compiled;
pub use estimate::Estimate;
pub use events::{
    Accepted, Completed, Data, Event, Interruption, Preview, Previews, Progress, Sample,
    SampleError,
};
pub use models::{CallCost, GraphInfo, GraphQuality, Model, ModelKind};
pub use receipt::Receipt;
pub use server_info::{Device, Limits, Load, ServerInfo};

// From a request to its responses.
mod assembly;
mod attempt;
mod generation;
mod parts;
mod protocol;
mod retry;

pub use generation::{Collected, Generation};
pub use retry::Retry;

// From samples to files and pictures.
pub mod files;
pub mod pictures;

#[cfg(test)]
mod testing;

// So that `testing` can name the crate as the command does.
#[cfg(test)]
extern crate self as ddpm_client;

/// The generated messages of the contract, for anything this crate does not wrap.
pub use ddpm_proto::v1 as proto;

//! A typed client of `ddpm-server`.
//!
//! A [`Request`] goes in, a [`Generation`] comes out: a stream of [`Event`]s
//! that ends with [`Event::Completed`]. What arrives was checked: the order of
//! events, the digest of every sample, and that each index asked for came once.
//!
//! ```no_run
//! use ddpm_client::{Client, Indices, Options, Request, Sampler};
//!
//! # async fn example() -> Result<(), ddpm_client::Error> {
//! let client = Client::connect("http://127.0.0.1:50051", Options::default()).await?;
//! let request = Request::new("glyphs", Indices::first(16)).seed(7).num_steps(50);
//! let collected = client.generate_resumable(request).collect().await?;
//! println!("{} samples of seed {}", collected.samples.len(), collected.receipt.seed);
//! # Ok(())
//! # }
//! ```
//!
//! A sample is a pure function of its receipt and its index, so a broken stream
//! costs nothing but time: [`Client::generate_resumable`] asks again for the
//! missing indices and refuses an answer that would not fit to the first part. A
//! run of more samples than the server takes at once goes as several requests.

// The wire.
mod connection;
mod error;

pub use connection::{Client, Options};
pub use error::{Code, Error, FieldViolation, Refusal};

// What can be asked.
mod indices;
mod initial;
mod program;
mod request;
mod settings;

pub use indices::{Indices, ParseIndicesError};
pub use initial::{Initial, Known};
pub use program::Program;
pub use request::{Expect, Request, Watch};
pub use settings::{
    Clip, ClippedEps, Delivery, Form, Format, Frames, Grid, Guidance, Inpaint, PreviewKind,
    Sampler, SamplerChoice, SharedNoise, UniPcVariant, Variance,
};

// What is answered.
mod compiled;
mod events;
mod models;
mod receipt;
mod server_info;

pub use compiled::Compiled;
pub use events::{
    Accepted, Completed, Data, Event, Interruption, Preview, Previews, Progress, Sample,
    SampleError,
};
pub use models::{Model, ModelKind};
pub use receipt::Receipt;
pub use server_info::{Device, Limits, Load, ServerInfo};

// From one to the other.
mod assembly;
mod generation;
mod parts;
mod protocol;
mod resume;

pub use generation::{Collected, Generation};
pub use resume::Retry;

// What to make of samples.
pub mod files;
pub mod pictures;

/// The generated messages of the contract, for what this crate does not wrap.
pub use ddpm_proto::v1 as proto;

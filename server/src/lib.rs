//! Serves reverse diffusion over gRPC, batching single denoising steps across
//! requests.
//!
//! The modules follow the path of a request:
//!
//! * [`config`]: turns the command line and the environment into settings;
//! * [`serve`](mod@serve): starts everything, drains it, and stops it in order;
//! * `transport`: connections and calls, within bounds;
//! * `principal`: whom work is accounted to;
//! * `deadline`: the time that a client allows;
//! * `api`: checks requests and streams events; the only place that knows protobuf;
//! * `request`: a checked request in our own types;
//! * `admission`: decides whether there is room for a request;
//! * `scheduler`: chooses the samples of the next call of the network; pure;
//! * `engine`: the tick; one thread per device;
//! * `runtime`: the device, which owns the state of samples;
//! * `outbox`: the bounded buffer between the engine and one stream;
//! * `frames`: encodes samples and previews;
//! * `registry`: packages become models, checked and measured;
//! * `cost`: what a call of a network takes, measured and corrected while serving;
//! * `determinism`: checks that a row's bits do not depend on its batch;
//! * `embedded`: the two models in the binary;
//! * `graphs`: which graphs of each package are served;
//! * `fingerprint`: what determines the bits of a sample besides model and request;
//! * `error`: why a request fails, and its status.

pub mod config;

pub mod serve;
pub use serve::serve;

mod transport;

mod web;

mod principal;

mod deadline;

mod api;

mod request;

mod admission;

mod scheduler;

mod engine;

mod runtime;

mod outbox;

mod frames;

mod registry;

mod cost;

mod determinism;

mod embedded;

mod fingerprint;

mod graphs;

mod error;

#[cfg(test)]
mod fuzz;

#[cfg(test)]
mod simulation;

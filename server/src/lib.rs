//! Serves reverse diffusion over gRPC, batching single denoising steps across
//! requests.
//!
//! The modules stand in the order of a request's path:
//!
//! * [`config`]: command line and environment become settings;
//! * [`serve`](mod@serve): starts everything, drains it, stops it in order;
//! * `api`: checks requests, streams events; the only place that knows protobuf;
//! * `request`: a checked request, in our own types;
//! * `admission`: is there room, and when will it be done;
//! * `scheduler`: which samples share the next call of the network; pure;
//! * `engine`: the tick; one thread a device;
//! * `runtime`: the device, which owns the samples' state;
//! * `outbox`: what the engine hands to a stream, bounded;
//! * `frames`: samples and previews become bytes;
//! * `registry`: packages become models, golden-checked and warmed;
//! * `embedded`: the two models in the binary;
//! * `fingerprint`: what decides the bits of a sample besides model and request;
//! * `error`: why a request failed, and its status.

pub mod config;

pub mod serve;
pub use serve::serve;

mod api;

mod request;

mod admission;

mod scheduler;

mod engine;

mod runtime;

mod outbox;

mod frames;

mod registry;

mod embedded;

mod fingerprint;

mod error;

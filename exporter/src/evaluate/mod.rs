//! How good a model is: samples against data, and data under the model.
//!
//! What is compared is a side: rows of features, or only their mean and covariance.
//!
//! ```text
//! folder, data, samples → pictures → extractor → ┐
//! .npy, .npz, .safetensors ─────────────────────→ side ┐
//! the same for the reference (cached) ──────────→ side ┴→ measures → report
//! points of the plane ──────────────────────────→ rows ─→ points   ↗
//! ```
//!
//! * [`pictures`]: pictures of one shape as pixels, wherever they come from;
//! * [`arrays`]: features, pictures and statistics that others computed;
//! * [`preprocessing`]: what an extractor is fed, and the JSON that says so;
//! * [`extractor`]: from pictures to features, in ONNX Runtime or libtorch; `small` is the one we ship;
//! * [`side`], [`cache`]: what is known of one set; references are remembered;
//! * [`measures`], [`points`]: the distances, each with its reason where there is none;
//! * [`judge`]: the same while a model trains, by its own data;
//! * [`bound`]: bits per dimension of data under the model, and what they buy: rate and distortion;
//! * [`report`]: all of it for people and for machines.

mod error;
pub use error::EvaluateError;

pub mod pictures;

pub mod arrays;

pub mod preprocessing;

pub mod extractor;

pub mod small;

pub mod side;

pub mod cache;

pub mod measures;

pub mod points;

pub mod judge;

pub mod bound;

pub mod report;

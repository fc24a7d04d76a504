//! How good a model is: samples compared with data, and the bits of data under the model.
//!
//! ```text
//! folder, data, samples → pictures → extractor ─→ ┐
//! .npy, .npz, .safetensors → arrays ─────────────→ feature set ┐
//! the same for the reference (cached) ───────────→ feature set ┴→ measures → report
//! points of the plane ───────────────────────────→ feature set ──→ points ↗
//! data, evaluations of the network → bound
//! ```
//!
//! * [`pictures`]: pictures of one shape as pixels, from any source;
//! * [`preprocessing`]: the input of an extractor, and the JSON that describes it;
//! * [`small`]: the extractor that we ship;
//! * [`extractor`]: from pictures to features, in ONNX Runtime or libtorch;
//! * [`arrays`]: features, pictures and statistics that other programs computed;
//! * [`feature_set`]: one of the two sets compared: its features, or only mean and covariance;
//! * [`cache`]: features of references, kept on disk;
//! * [`points`], [`measures`]: the distances, or the reasons why there are none;
//! * [`bound`]: bits per dimension of data under the model, and the curve of rate and distortion;
//! * [`report`]: the results for people and for machines.

mod error;
pub use error::EvaluateError;

pub mod pictures;

pub mod preprocessing;

pub mod small;

pub mod extractor;

pub mod arrays;

pub mod feature_set;

pub mod cache;

pub mod points;

pub mod measures;

pub mod bound;

pub mod report;

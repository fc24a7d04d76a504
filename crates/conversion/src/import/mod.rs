//! From models of other programs to packages.
//!
//! A file of weights is half a model: the schedule of the noise, the prediction and the structure
//! of the network must come from somewhere. The user's options override the settings in the
//! source; a default that fills a gap is listed as an assumption. Unknown keys are refused by name,
//! because a network with one wrong setting still draws pictures.
//!
//! * [`ImportOptions`]: settings from the user;
//! * `json`: JSON as Python writes it; `foreign`: files that cannot be imported, and what they are;
//! * `weights`: files of named tensors; nothing in them is executed;
//! * [`Imported`]: a model of another program, and its package;
//! * [`ddpm_torch`]: imports checkpoints of ddpm-torch, `.pt`;
//! * [`diffusers`]: imports folders of `UNet2DModel`;
//! * [`ReferenceOutputs`]: outputs of the original program, to compare with.

mod error;
pub use error::ImportError;

mod options;
pub use options::{ImportOptions, WeightsChoice};

mod json;

mod foreign;

mod weights;

mod imported;
pub use imported::{Imported, Packaging, SamplingSpec};

pub mod ddpm_torch;

pub mod diffusers;

mod reference;
pub use reference::{Difference, ReferenceOutputs};

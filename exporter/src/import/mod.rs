//! Models of other programs become packages.
//!
//! A file of weights is half a model: how noise was added, what the network predicts and how it is
//! built inside must come from somewhere. Each importer takes what its source says, then what the user
//! says, and lists as an assumption whatever neither does. Keys that it does not know are refused by
//! name, because a network with one setting wrong still draws pictures.
//!
//! * [`weights`]: files of named tensors; nothing in them is executed;
//! * [`Known`]: what the user says beside the source;
//! * [`ddpm_torch`]: checkpoints of ddpm-torch, `.pt`;
//! * [`diffusers`]: folders of `UNet2DModel`;
//! * [`Imported`]: what every importer finds, and the package of it;
//! * [`Expected`]: outputs of the original program, to be compared with.

mod error;
pub use error::ImportError;

pub mod weights;

mod known;
pub use known::Known;

pub mod ddpm_torch;

pub mod diffusers;

mod expected;
pub use expected::Expected;

mod imported;
pub use imported::{Imported, Meaning, Packaging};

//! Files on disk, or a procedure, become x_0: pictures or points at the scale the network sees.
//!
//! A user names a [`Source`] (`mnist:DIR`, `glyphs`, …), [`load()`] turns it into a [`Dataset`] in memory, and
//! [`Dataset::x_0`] writes one item into a batch. What stays true:
//!
//! * pictures are stored as u8 in CHW order and leave as f32 in [-1, 1]; points are already at unit scale;
//! * the order of the items does not depend on the machine, so (seed, index) always means the same item;
//! * procedural items are a pure function of (seed, split, index);
//! * all pictures are decoded, on all cores, before the first is used: nothing that is broken shows up in epoch 3;
//! * nothing is downloaded, and a file that cannot be used is an error or is listed, never silently left out.

mod celeba;
mod celebahq;
mod cifar10;
mod dataset;
mod draws;
mod error;
mod folder;
mod gather;
mod gzip;
mod idx;
mod jpeg;
mod labels;
mod load;
mod lsun;
mod parallel;
mod parquet;
mod picture;
mod picture_files;
mod pictures;
mod positioned;
mod report;
mod resize;
mod source;

pub mod glyphs;

pub mod toy;

pub use dataset::{Dataset, Kind, model_scale};

pub use error::DataError;

pub use load::{FolderLabels, LoadOptions, OnBroken, Split, load};

pub use picture::Form;

pub use report::Report;

pub use source::Source;

pub use toy::ToyKind;

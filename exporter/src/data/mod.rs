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
//!
//! The modules stand in the order of the flow:
//!
//! * `source`: what a user names; `load`: checks what fits together, then asks the format;
//! * by a procedure: [`toy`] points and [`glyphs`], from the addressed `draws`;
//! * from files: `idx` (MNIST), `cifar10`, and of pictures `folder`, `celeba`, `celebahq`, `lsun` and `parquet`;
//! * where pictures lie: `picture_files`, and `gzip` and `positioned`, which files are read through;
//! * one picture: `picture` decodes it, `jpeg` says what decoders do not tell, `resize` fits it;
//! * all of them: `gather` joins them to `pictures` in memory, with `labels`;
//! * `dataset`: what training draws from; `report`: what its owner looks at before; `error`: why there is none.

mod source;
pub use source::Source;

mod load;
pub use load::{FolderLabels, LoadOptions, OnBroken, Split, load};

mod draws;

pub mod toy;
pub use toy::ToyKind;

pub mod glyphs;

mod idx;

mod cifar10;

mod folder;

mod celeba;

mod celebahq;

mod lsun;

mod parquet;

mod picture_files;

mod gzip;

mod positioned;

mod picture;
pub use picture::Form;

mod jpeg;

mod resize;

mod gather;

mod pictures;

mod labels;

mod dataset;
pub use dataset::{Dataset, Kind, model_scale};

mod report;
pub use report::Report;

mod error;
pub use error::DataError;

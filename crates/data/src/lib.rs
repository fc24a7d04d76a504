//! Training data: files on disk, or a procedure, become x_0 at the scale the network sees.
//!
//! A [`Source`] names a data set (`mnist:DIR`, `glyphs`, …), [`load()`] reads it into a [`Dataset`]
//! in memory, and [`Dataset::x_0`] writes one item into a batch. What always holds:
//!
//! * pictures are stored as u8 in CHW order and leave as f32 in [-1, 1]; points are already at unit
//!   scale;
//! * the order of the items does not depend on the machine: (seed, index) always means the same
//!   item;
//! * procedural items are a pure function of (seed, split, index);
//! * all pictures are decoded, on all cores, before the first is used, so a broken one shows up at
//!   the start and not in epoch 3;
//! * nothing is downloaded, and an unusable file is an error or is listed, never silently left out.
//!
//! The modules follow the flow of the data:
//!
//! * `source`: the name of a data set; `options`: how to load it, with `label_source`; `load`:
//!   checks that the two fit, then calls the loader of the format;
//! * procedural sets: [`toy`] points and [`glyphs`], both from the addressed `draws`;
//! * formats on disk: `idx` (MNIST), `cifar10`, and sets of encoded pictures: `folder`, `celeba`,
//!   `celebahq`, `lsun` and `parquet`;
//! * file access: `picture_files` reads the pictures of a folder, which `tree` lists, or of an
//!   `archive`, through `positioned`; `content` tells pictures from other files by their first
//!   bytes, `names` shows and sorts out names, `places` says what lies there instead of the data;
//!   `regular`, `gzip` and `bounded` read single files;
//! * `labelling` finds the split and the labels of listed pictures, `split_names` the splits that
//!   names tell;
//! * one picture: `picture` decodes it over a `background`, `jpeg` and `frames` tell
//!   what decoders do not report, `resize` scales it;
//! * all pictures: `gather` joins them into one block of `pictures`, with `labels` and `remarks`;
//! * `dataset`, with `dataset_labels`: what training draws from; `digest`: which data set it is;
//!   `report`: what a data set contains, and its `page`; `error`: why loading failed.

mod source;
pub use source::Source;

mod label_source;
pub use label_source::LabelSource;

mod options;
pub use options::{LoadOptions, OnBroken, Split};

mod load;
pub use load::load;

pub mod splitmix;

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

mod names;

mod regular;

mod tree;

mod places;

mod archive;

mod content;

mod picture_files;

mod split_names;

mod labelling;
pub use labelling::LabelOrigin;

mod gzip;

mod bounded;

mod positioned;

mod background;
pub use background::Background;

mod picture;
pub use picture::Form;

mod jpeg;

mod frames;

mod resize;

mod remarks;

mod gather;

mod pictures;

mod labels;

mod dataset;
pub use dataset::{Dataset, ItemShape, model_scale};

mod dataset_labels;

mod digest;

mod report;
pub use report::Report;

mod page;

mod error;
pub use error::DataError;

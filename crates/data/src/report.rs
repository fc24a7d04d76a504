//! A report of what a data set contains, to check before a long training.

use std::collections::{BTreeMap, HashMap};

use ddpm_package::Sha256Hex;
use rayon::prelude::*;
use serde::Serialize;

use crate::labelling::LabelOrigin;
use crate::names::shown;
use crate::{Background, Dataset, ItemShape};

/// Machine-readable description of a loaded data set.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The data set as the user named it.
    pub source: String,
    /// `pictures` or `points`.
    pub kind: &'static str,
    /// SHA-256 of everything that training sees, as [`Dataset::digest`] computes it.
    pub digest: String,
    /// Number of items that training would see.
    pub count: usize,
    /// `[channels, height, width]`, or `[2]`.
    pub shape: Vec<usize>,
    /// Memory of the items in bytes.
    pub memory_bytes: usize,
    /// Whether pictures would be mirrored at random.
    pub flips: bool,
    /// Pictures that the background shows through.
    pub transparent: Transparent,
    /// Pictures that are the first of several frames or pages; the others are not used.
    pub first_frames: usize,
    /// Sizes and colours of the pictures before cropping and resizing.
    pub found: Vec<Found>,
    /// Where the labels come from, or why there are none.
    pub labels: Labels,
    /// The classes in the order of their labels; absent without labels.
    pub classes: Option<Vec<Class>>,
    /// Pictures equal to an earlier one.
    pub duplicates: Vec<Duplicate>,
    /// Pictures that cannot be used.
    pub left_out: Vec<LeftOut>,
    /// Sentences about splits and labels that a user should read.
    pub notes: Vec<String>,
    /// Files beside the pictures that are none and do not claim to be, counted by kind.
    pub ignored: BTreeMap<String, usize>,
}

/// Where the labels come from, or why there are none.
#[derive(Debug, Serialize)]
pub struct Labels {
    /// The description in one line that people read.
    pub summary: String,
    /// What they come from; absent without labels.
    pub from: Option<String>,
    /// Why there are none, and which flag decides; absent with labels.
    pub why_none: Option<String>,
    /// Number of items that have no label, counting those left out for it.
    pub without_label: usize,
    /// Pictures left out because they have no label, while others have one.
    pub left_out: Vec<String>,
}

/// Transparent pictures, which networks see over a background.
#[derive(Debug, Serialize)]
pub struct Transparent {
    /// Number of pictures.
    pub count: usize,
    /// What lies behind them.
    pub background: Background,
}

/// Pictures of one form.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Description of the channels.
    pub colour: &'static str,
    /// Number of pictures.
    pub count: usize,
}

/// One class.
#[derive(Debug, Serialize)]
pub struct Class {
    /// Name of the class.
    pub name: String,
    /// Number of items in it.
    pub count: usize,
}

/// A picture with the same pixels, as training would see them, as an earlier one.
#[derive(Debug, Serialize)]
pub struct Duplicate {
    /// Name of the picture.
    pub item: String,
    /// Name of the first picture with these pixels.
    pub equals: String,
}

/// A picture that cannot be used.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// Path of the picture.
    pub path: String,
    /// Why it cannot be used.
    pub reason: String,
}

impl Report {
    /// Describes a data set, looking at every item.
    #[must_use]
    pub fn of(set: &Dataset) -> Self {
        let (kind, shape, item_bytes) = match set.kind() {
            ItemShape::Images { channels, height, width } => {
                ("pictures", vec![channels, height, width], channels * height * width)
            }
            ItemShape::Points2d => ("points", vec![2], size_of::<[f32; 2]>()),
        };
        let found = set.forms().iter().map(|(form, &count)| Found {
            width: form.width,
            height: form.height,
            colour: form.colour,
            count,
        });
        let left_out = set
            .skipped()
            .iter()
            .map(|(path, reason)| LeftOut { path: shown(path), reason: reason.clone() });
        let (transparent, background) = set.transparent();
        Self {
            source: set.name().to_owned(),
            kind,
            digest: set.digest(),
            count: set.len(),
            shape,
            memory_bytes: set.len() * item_bytes,
            flips: set.flips(),
            transparent: Transparent { count: transparent, background },
            first_frames: set.first_frames(),
            found: found.collect(),
            labels: labels(set),
            classes: classes(set),
            duplicates: duplicates(set),
            left_out: left_out.collect(),
            notes: set.notes().to_vec(),
            ignored: set.ignored().clone(),
        }
    }
}

fn labels(set: &Dataset) -> Labels {
    let left_out: Vec<String> =
        set.unlabelled().iter().map(|path| path.display().to_string()).collect();
    let (from, why_none, without_label) = match set.label_origin() {
        LabelOrigin::From(place) => (Some(place.clone()), None, left_out.len()),
        LabelOrigin::None(why) => (None, Some(why.clone()), set.len()),
    };
    Labels { summary: set.label_summary(), from, why_none, without_label, left_out }
}

fn classes(set: &Dataset) -> Option<Vec<Class>> {
    let names = set.class_names()?;
    let mut classes: Vec<Class> =
        names.iter().map(|name| Class { name: name.clone(), count: 0 }).collect();
    for class in (0..set.len()).filter_map(|i| set.label(i)) {
        classes[class].count += 1;
    }
    Some(classes)
}

/// Finds pictures equal by SHA-256; points are not compared.
fn duplicates(set: &Dataset) -> Vec<Duplicate> {
    let mut first_with = HashMap::new();
    let mut duplicates = Vec::new();
    let digests = (0..set.len()).into_par_iter().map(|i| set.pixels(i).map(Sha256Hex::of));
    for (i, digest) in digests.collect::<Vec<_>>().into_iter().enumerate() {
        let first = digest.map(|digest| *first_with.entry(digest).or_insert(i));
        if let Some(first) = first.filter(|first| *first != i) {
            duplicates.push(Duplicate { item: set.item_name(i), equals: set.item_name(first) });
        }
    }
    duplicates
}

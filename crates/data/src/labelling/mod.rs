//! The split and the labels of the pictures of a folder or an archive.
//!
//! Decided from names and from small files beside the pictures, before any picture is decoded:
//! `splits` finds the pictures of the requested split; then `dataset_json`, `metadata`, `folders`
//! with `shards`, or `file_names` say what is in them. What could be meant in two ways is an error
//! that names the flag that decides; labels are never dropped without a word.

mod dataset_json;

mod file_names;

mod folders;

pub(crate) mod label_columns;

mod label_table;
pub(crate) use label_table::MAX_CLASSES;

mod labelled;
pub use labelled::LabelOrigin;
pub(crate) use labelled::Labelled;

mod metadata;

mod order;
pub(crate) use order::sort;

mod scheme;

mod shards;

mod sidecars;

mod splits;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use rayon::prelude::*;

use crate::labels::Labels;
use crate::picture_files::PictureFiles;
use crate::{DataError, LoadOptions};
use label_table::Label;
use scheme::{Decision, Listing, Scheme};

/// What was decided about the files that remain in a list.
#[derive(Debug)]
pub(crate) struct Assignment {
    /// The labels, if there are any.
    given: Option<Given>,
    unlabelled: Vec<PathBuf>,
    notes: Vec<String>,
    /// Why there are no labels, if there are none.
    none: Labelled,
}

/// The label of each remaining file; those that are no pictures have none.
#[derive(Debug)]
struct Given {
    from: String,
    labels: Vec<Option<Label>>,
    /// The number of classes, if labels are their numbers.
    count: Option<usize>,
}

/// Decides about split and labels, and takes the pictures of other splits, and those that are left
/// out for lack of a label, from `files`.
///
/// # Errors
///
/// [`DataError::Unclear`] if there is no such split, some pictures have no label, or labels can be
/// meant in two ways; [`DataError::Format`] or [`DataError::Read`] if a file with labels is
/// damaged or cannot be read.
pub(crate) fn assign(
    files: &mut PictureFiles,
    options: &LoadOptions,
) -> Result<Assignment, DataError> {
    let is_picture: Vec<bool> =
        (0..files.len()).into_par_iter().map(|i| files.is_picture(i)).collect();
    let at: Vec<usize> = (0..files.len()).filter(|&i| is_picture[i]).collect();
    let all: Vec<PathBuf> = at.iter().map(|&i| files.name(i).to_path_buf()).collect();
    let mut metadata = Vec::new();
    for name in metadata::NAMES {
        metadata.extend(sidecars::find(files, &all, name));
    }
    let metadata::Splits { told, others, unused } = metadata::splits(&metadata, &all);
    let part = splits::choose(&all, &told, options.split)
        .map_err(|problem| DataError::unclear(files.root(), problem))?;
    let names: Vec<PathBuf> = part.pictures.iter().map(|&i| all[i].clone()).collect();
    let mut notes = part.notes.clone();
    notes.extend(unused);
    if others {
        let words = "the column split beside the pictures has words other than train, valid and \
                     test, which are taken for train";
        notes.push(words.to_owned());
    }
    let listing = Listing { files, names: &names, part: &part, metadata: &metadata };
    let decision = scheme::decide(&listing, &options.labels, &mut notes)?;
    let mut assignment =
        Assignment { given: None, unlabelled: Vec::new(), notes, none: Labelled::unwanted() };
    // What is no picture stays, to be counted where files are read.
    let mut stays: Vec<bool> = is_picture.iter().map(|is_picture| !is_picture).collect();
    part.pictures.iter().for_each(|&i| stays[at[i]] = true);
    match decision {
        Decision::Unwanted => {}
        Decision::None(why) => assignment.none = Labelled::none(why),
        Decision::Labels(Scheme { labels, from, count, .. }) => {
            let lacking = names.iter().zip(&labels).filter(|(_, label)| label.is_none());
            assignment.unlabelled = lacking.map(|(name, _)| files.root().join(name)).collect();
            let mut of_file = vec![None; files.len()];
            for (&i, label) in part.pictures.iter().zip(labels) {
                stays[at[i]] = label.is_some();
                of_file[at[i]] = label;
            }
            let labels = of_file.into_iter().zip(&stays).filter(|(_, stays)| **stays);
            let labels = labels.map(|(label, _)| label).collect();
            assignment.given = Some(Given { from, labels, count });
        }
    }
    let mut stays = stays.into_iter();
    files.retain(|_| stays.next().unwrap_or(false));
    Ok(assignment)
}

impl Assignment {
    /// Returns the labels of the pictures that could be used.
    ///
    /// * `kept`: their numbers in the list of files. All are pictures: decoding judges files as
    ///   [`PictureFiles::is_picture`] does.
    pub(crate) fn finish(self, kept: &[usize]) -> Labelled {
        let Self { given, unlabelled, mut notes, none } = self;
        let labelled = match given {
            None => none,
            Some(Given { from, labels, count: Some(count) }) => {
                let number = |&i: &usize| match &labels[i] {
                    Some(Label::Number(number)) => usize::try_from(*number).ok(),
                    Some(Label::Name(_)) | None => None,
                };
                let per_item = kept.iter().filter_map(number).collect();
                Labelled::from(from, Labels::numbered_to(count, per_item))
            }
            Some(Given { from, labels, count: None }) => {
                let listed: Vec<Option<String>> =
                    labels.into_iter().map(|label| label.map(Label::into_name)).collect();
                notes.extend(lost(&listed, kept));
                let per_item: Vec<String> =
                    kept.iter().filter_map(|&i| listed[i].clone()).collect();
                Labelled::from(from, Labels::named(&per_item))
            }
        };
        let labelled = labelled.with_empty_classes();
        notes.extend(labelled.notes);
        Labelled { unlabelled, notes, ..labelled }
    }
}

/// Says which classes have no usable picture, and are therefore none.
fn lost(listed: &[Option<String>], kept: &[usize]) -> Vec<String> {
    let kept: HashSet<&str> = kept.iter().filter_map(|&i| listed[i].as_deref()).collect();
    let mut lost: HashMap<&str, usize> = HashMap::new();
    for name in listed.iter().flatten().map(String::as_str).filter(|name| !kept.contains(name)) {
        *lost.entry(name).or_default() += 1;
    }
    let mut lost: Vec<_> = lost.into_iter().collect();
    lost.sort_unstable();
    let sentence =
        |(name, count)| format!("`{name}` is no class: none of its {count} pictures can be used");
    lost.into_iter().map(sentence).collect()
}

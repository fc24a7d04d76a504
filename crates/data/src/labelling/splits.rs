//! Which pictures are of the requested split, going by the names of folders.
//!
//! Many data sets have their splits as folders: `train/cat`, `test/cat`, or `cat/train`,
//! `cat/test`. Pictures of one split must never slip into another, so folders that may be splits or
//! classes are refused until the user says what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::{Split, split_names};

/// The pictures of one split.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    /// Numbers of the pictures, increasing.
    pub(super) pictures: Vec<usize>,
    /// For each of them its folder, below the folders that hold everything and without the one of
    /// its split.
    pub(super) folders: Vec<PathBuf>,
    /// The folder that holds everything; empty if there is none.
    pub(super) below: PathBuf,
    /// The split folder of each picture, if splits are folders.
    pub(super) split_folders: Option<Vec<PathBuf>>,
    /// What is left out.
    pub(super) notes: Vec<String>,
}

/// Where in a path below the common folder the split is named.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Level {
    Nowhere,
    First,
    Second,
}

/// Finds the pictures of a split.
///
/// * `names`: paths of all pictures.
/// * `told`: the split of each picture, where a file beside them tells; used if folders do not.
///
/// # Errors
///
/// Says which splits there are, or which folder may or may not be one, as text that follows the
/// name of the data.
pub(super) fn choose(
    names: &[PathBuf],
    told: &[Option<Split>],
    wanted: Split,
) -> Result<Part, String> {
    let folders: Vec<&Path> =
        names.iter().map(|name| name.parent().unwrap_or(Path::new(""))).collect();
    let below = common_folder(&folders);
    let inside: Vec<&Path> =
        folders.iter().map(|folder| folder.strip_prefix(&below).unwrap_or(folder)).collect();
    let level = level(&inside, wanted)?;
    let is_told = told.iter().flatten().any(|split| *split != Split::Train);
    if level == Level::Nowhere && !is_told {
        // The folder that holds everything may be a split itself.
        let own = below.iter().find_map(split_names::exact);
        return match own.unwrap_or(Split::Train) {
            only if wanted == Split::All || wanted == only => Ok(Part {
                pictures: (0..names.len()).collect(),
                folders: inside.into_iter().map(Path::to_path_buf).collect(),
                below,
                split_folders: None,
                notes: Vec::new(),
            }),
            only => Err(absent(wanted, &[only])),
        };
    }
    let splits: Vec<Split> = match level {
        Level::Nowhere => told.iter().map(|split| split.unwrap_or(Split::Train)).collect(),
        _ => inside.iter().map(|folder| split_of(folder, level)).collect(),
    };
    let pictures: Vec<usize> =
        (0..names.len()).filter(|&i| wanted == Split::All || splits[i] == wanted).collect();
    let mut counts = BTreeMap::new();
    splits.iter().for_each(|split| *counts.entry(split.name()).or_insert(0) += 1);
    if pictures.is_empty() {
        let mut found = vec![Split::Train, Split::Valid, Split::Test];
        found.retain(|split| counts.contains_key(split.name()));
        return Err(absent(wanted, &found));
    }
    let left_out = counts.iter().filter(|(name, _)| ![**name, "all"].contains(&wanted.name()));
    let notes = left_out
        .map(|(name, count)| format!("left out: {count} of the split {name}; `--split` chooses"));
    let notes = notes.collect();
    if level == Level::Nowhere {
        let folders = pictures.iter().map(|&i| inside[i].to_path_buf()).collect();
        return Ok(Part { pictures, folders, below, split_folders: None, notes });
    }
    let (split_folders, folders) = without_splits(&pictures, &inside, level);
    Ok(Part { pictures, folders, below, split_folders: Some(split_folders), notes })
}

/// Returns the deepest folder that contains all of them.
fn common_folder(folders: &[&Path]) -> PathBuf {
    let Some((first, rest)) = folders.split_first() else { return PathBuf::new() };
    let holds_all = |folder: &&Path| rest.iter().all(|other| other.starts_with(folder));
    first.ancestors().find(holds_all).unwrap_or(Path::new("")).to_path_buf()
}

/// Finds out where splits are named.
fn level(folders: &[&Path], wanted: Split) -> Result<Level, String> {
    if folders.is_empty() {
        return Ok(Level::Nowhere);
    }
    let first = |folder: &&Path| folder.iter().next().map(OsStr::to_os_string);
    let heads: BTreeSet<_> = folders.iter().filter_map(first).collect();
    let (named, others): (Vec<_>, Vec<_>) =
        heads.iter().partition(|head| split_names::exact(head).is_some());
    if named.is_empty() {
        let words: Vec<_> = heads.iter().filter_map(|head| split_names::within(head)).collect();
        let several = words.iter().any(|word| *word != words[0]);
        let everywhere = words.len() == heads.len() && folders.iter().all(|f| !is_empty(f));
        return if several && everywhere { Ok(Level::First) } else { second(folders, wanted) };
    }
    if others.is_empty() {
        return Ok(Level::First);
    }
    // A class may be called `train`: CIFAR-100 has one.
    let is_class = |head: &&&std::ffi::OsString| {
        split_names::exact(head) == Some(Split::Train)
            && folders.iter().all(|folder| !folder.starts_with(head) || folder.iter().count() == 1)
    };
    let suspect = named.iter().find(|head| !is_class(head));
    match suspect {
        Some(head) if wanted != Split::All => {
            let others: Vec<_> = others.iter().map(|other| other.to_string_lossy()).collect();
            Err(mixed(Path::new(head), &some(&others)))
        }
        _ => Ok(Level::Nowhere),
    }
}

/// Looks for splits inside the folders of classes: `cat/train`, `cat/test`.
fn second(folders: &[&Path], wanted: Split) -> Result<Level, String> {
    let split = |folder: &&Path| folder.iter().nth(1).and_then(split_names::exact);
    if folders.iter().all(|folder| split(folder).is_some()) {
        return Ok(Level::Second);
    }
    let held_out = folders.iter().find(|folder| split(folder).is_some_and(|s| s != Split::Train));
    let trains = folders.iter().any(|folder| split(folder) == Some(Split::Train));
    match held_out {
        Some(folder) if trains && wanted != Split::All => {
            let two: PathBuf = folder.iter().take(2).collect();
            Err(mixed(&two, "folders that are of no split"))
        }
        _ => Ok(Level::Nowhere),
    }
}

fn mixed(folder: &Path, others: &str) -> String {
    format!(
        "the folder `{}` is named like a split, and lies beside {others}: name the folder to use \
         alone, or take all pictures with `--split all`, where each folder is a class",
        folder.display()
    )
}

fn absent(wanted: Split, found: &[Split]) -> String {
    let found: Vec<&str> = found.iter().map(|split| split.name()).collect();
    let (wanted, found) = (wanted.name(), found.join(", "));
    format!("it has no split {wanted}, only {found} and all; choose one with `--split`")
}

/// Returns the split of a folder; pictures beside the split folders are of the train split.
fn split_of(folder: &Path, level: Level) -> Split {
    let at = if level == Level::Second { 1 } else { 0 };
    folder.iter().nth(at).and_then(split_names::within).unwrap_or(Split::Train)
}

/// Divides the folders of the pictures into the folder of the split and the rest.
fn without_splits(
    pictures: &[usize],
    inside: &[&Path],
    level: Level,
) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let divide = |folder: &Path| -> (PathBuf, PathBuf) {
        let parts: Vec<&OsStr> = folder.iter().collect();
        match (level, &parts[..]) {
            (Level::Second, [class, split, rest @ ..]) => {
                (split.into(), [&[*class], rest].concat().iter().collect())
            }
            // Kaggle's archives repeat the name: `seg_test/seg_test/sea`.
            (_, [split, again, rest @ ..]) if split == again => {
                (split.into(), rest.iter().collect())
            }
            (_, [split, rest @ ..]) => (split.into(), rest.iter().collect()),
            (_, []) => (PathBuf::new(), PathBuf::new()),
        }
    };
    pictures.iter().map(|&i| divide(inside[i])).unzip()
}

fn is_empty(folder: &Path) -> bool {
    folder.as_os_str().is_empty()
}

/// Joins the first few names.
pub(super) fn some<T: AsRef<str>>(names: &[T]) -> String {
    let few: Vec<&str> = names.iter().take(3).map(AsRef::as_ref).collect();
    few.join(", ") + if names.len() > 3 { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(names: &[&str], wanted: Split) -> Result<(Vec<usize>, Vec<String>), String> {
        let names: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let part = choose(&names, &[], wanted)?;
        let folders = part.folders.iter().map(|folder| folder.display().to_string());
        Ok((part.pictures, folders.collect()))
    }

    const TRAIN_AND_TEST: [&str; 4] =
        ["all/test/cat/1.png", "all/train/cat/1.png", "all/train/dog/2.png", "all/val/dog/3.png"];

    #[test]
    fn each_split_has_its_own_pictures_and_classes_are_the_folders_below() {
        let of = |wanted| part(&TRAIN_AND_TEST, wanted).unwrap();
        assert_eq!(of(Split::Train), (vec![1, 2], vec!["cat".into(), "dog".into()]));
        assert_eq!(of(Split::Test).0, [0]);
        assert_eq!(of(Split::Valid).0, [3]);
        assert_eq!(of(Split::All).0, [0, 1, 2, 3]);
        let names: Vec<PathBuf> = TRAIN_AND_TEST.iter().map(PathBuf::from).collect();
        let part = choose(&names, &[], Split::Train).unwrap();
        assert_eq!(part.notes.len(), 2, "{:?}", part.notes);
        assert!(part.notes[0].contains("left out: 1 of the split test"));
    }

    #[test]
    fn splits_are_found_inside_classes_and_in_words_of_names() {
        let inside =
            ["bottle/test/broken/1.png", "bottle/train/good/1.png", "nut/train/good/1.png"];
        let expected = vec!["bottle/good".to_owned(), "nut/good".to_owned()];
        assert_eq!(part(&inside, Split::Train).unwrap(), (vec![1, 2], expected));
        let words = [
            "seg_test/seg_test/sea/1.png",
            "seg_train/seg_train/ice/1.png",
            "seg_train/seg_train/sea/2.png",
        ];
        let expected = vec!["ice".to_owned(), "sea".to_owned()];
        assert_eq!(part(&words, Split::Train).unwrap(), (vec![1, 2], expected));
    }

    #[test]
    fn no_pictures_are_no_fault_of_their_split() {
        assert_eq!(part(&[], Split::Train), Ok((Vec::new(), Vec::new())));
    }

    #[test]
    fn a_file_beside_the_pictures_can_tell_their_splits() {
        let names = ["cat/1.png", "cat/2.png", "dog/1.png"].map(PathBuf::from);
        let told = [None, Some(Split::Test), Some(Split::Train)];
        let pictures = |wanted| choose(&names, &told, wanted).map(|part| part.pictures);
        assert_eq!(pictures(Split::Train), Ok(vec![0, 2]));
        assert_eq!(pictures(Split::Test), Ok(vec![1]));
        assert_eq!(pictures(Split::All), Ok(vec![0, 1, 2]));
        assert!(pictures(Split::Valid).unwrap_err().contains("only train, test and all"));
    }

    #[test]
    fn a_split_that_is_not_there_is_refused_with_a_list() {
        for (names, wanted, list) in [
            (&TRAIN_AND_TEST[..3], Split::Valid, "no split valid, only train, test and all"),
            (&["a/1.png", "b/1.png"][..], Split::Test, "no split test, only train and all"),
            (&["test/a/1.png", "test/b/1.png"][..], Split::Train, "no split train, only test"),
        ] {
            let message = part(names, wanted).unwrap_err();
            assert!(message.contains(list), "{message}");
        }
    }

    #[test]
    fn a_class_may_be_called_train_but_a_folder_that_may_be_held_out_is_refused() {
        let vehicles = ["bus/1.png", "car/1.png", "train/1.png"];
        assert_eq!(part(&vehicles, Split::Train).unwrap().0, [0, 1, 2]);
        for names in [
            &["cat/1.png", "dog/1.png", "test/1.png"][..],
            &["extra/1.png", "train/cat/1.png", "train/dog/1.png"][..],
            &["bottle/mask/1.png", "bottle/test/1.png", "bottle/train/1.png", "nut/1.png"][..],
        ] {
            let message = part(names, Split::Train).unwrap_err();
            assert!(message.contains("named like a split"), "{message}");
            assert!(message.contains("--split all"), "{message}");
            assert_eq!(part(names, Split::All).unwrap().0.len(), names.len());
        }
    }
}

//! The official partition: a line for each picture, its name and 0 (train), 1 (validation) or 2 (test).
//!
//! Kaggle's copy is a table with a line of headings, and has the pictures one folder deeper.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::data::picture_files::PictureFiles;
use crate::data::{DataError, Split};

const FILE: &str = "list_eval_partition.txt";
const TABLE: &str = "list_eval_partition.csv";
const HEADINGS: &str = "image_id,partition";

/// Which picture belongs to which split.
#[derive(Debug)]
pub(super) struct Partition {
    split_of: HashMap<String, Split>,
}

/// Why a split cannot be told from the others.
///
/// # Errors
///
/// [`DataError::Missing`] if `split` is a part of the data.
pub(super) fn refuse_split_without_it(pictures: &Path, split: Split) -> Result<(), DataError> {
    match split {
        Split::All => Ok(()),
        _ => Err(DataError::missing(
            pictures,
            format!(
                "there is no {FILE} or .csv beside it, which says what belongs to the split; fetch it, or use all"
            ),
        )),
    }
}

impl Partition {
    /// Reads the partition that lies beside the folder or archive of the pictures, or beside the folder that it is
    /// in and that is called as it is, if there is one.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] with the line that is none, [`DataError::Read`] if the system refuses.
    pub(super) fn beside(pictures: &Path) -> Result<Option<Self>, DataError> {
        let Some(path) = place(pictures) else { return Ok(None) };
        let text = fs::read_to_string(&path).map_err(DataError::read(&path))?;
        let says_something = |line: &str| !line.trim().is_empty() && line.trim() != HEADINGS;
        let lines = text.lines().enumerate().filter(|(_, line)| says_something(line));
        let split_of = lines
            .map(|(number, line)| {
                entry(line).ok_or_else(|| {
                    let problem = format!(
                        "line {} is `{line}`, and should be a name and 0, 1 or 2; fetch it again",
                        number + 1
                    );
                    DataError::format(&path, problem)
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Some(Self { split_of }))
    }

    /// Whether a picture belongs to a split; where it lies does not matter, only what it is called.
    pub(super) fn has(&self, picture: &Path, split: Split) -> bool {
        let found = name_of(picture).and_then(|name| self.split_of.get(name));
        found.is_some_and(|found| belongs(*found, split))
    }

    /// Pictures without a line, and lines of `split` without a picture.
    pub(super) fn disagreements(
        &self,
        files: &PictureFiles,
        split: Split,
    ) -> Vec<(PathBuf, &'static str)> {
        let names: HashSet<&str> =
            (0..files.len()).filter_map(|i| name_of(files.name(i))).collect();
        let unnamed = (0..files.len())
            .filter(|&i| {
                name_of(files.name(i)).is_none_or(|name| !self.split_of.contains_key(name))
            })
            .map(|i| (files.path(i), "the partition does not name it"));
        let lost = self
            .split_of
            .iter()
            .filter(|(name, found)| belongs(**found, split) && !names.contains(name.as_str()))
            .map(|(name, _)| {
                (files.root().join(name), "the partition names it, and it is not there")
            });
        unnamed.chain(lost).collect()
    }
}

fn place(pictures: &Path) -> Option<PathBuf> {
    let beside = pictures.parent()?;
    let same_name = beside.file_name() == pictures.file_name();
    let folders = [Some(beside), beside.parent().filter(|_| same_name)];
    let places = folders
        .into_iter()
        .flatten()
        .flat_map(|folder| [FILE, TABLE].map(|name| folder.join(name)));
    places.into_iter().find(|place| place.exists())
}

fn belongs(found: Split, split: Split) -> bool {
    split == Split::All || found == split
}

fn name_of(picture: &Path) -> Option<&str> {
    picture.file_name().and_then(OsStr::to_str)
}

fn entry(line: &str) -> Option<(String, Split)> {
    let separates = |c: char| c.is_whitespace() || c == ',';
    let mut words = line.split(separates).filter(|word| !word.is_empty());
    let name = words.next()?.to_owned();
    let split = match words.next()? {
        "0" => Split::Train,
        "1" => Split::Valid,
        "2" => Split::Test,
        _ => return None,
    };
    words.next().is_none().then_some((name, split))
}

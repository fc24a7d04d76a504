//! The official partition: one line per picture, its name and 0 (train), 1 (validation) or 2
//! (test).
//!
//! Kaggle's copy is a table with a heading line, and has the pictures one folder deeper.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::picture_files::PictureFiles;
use crate::{DataError, Split, regular};

const FILE: &str = "list_eval_partition.txt";
const TABLE: &str = "list_eval_partition.csv";
const HEADINGS: &str = "image_id,partition";
/// The official file has 3 MB.
const MAX_BYTES: u64 = 64 << 20;

/// Maps pictures to splits.
#[derive(Debug)]
pub(super) struct Partition {
    split_of: HashMap<String, Split>,
}

/// Refuses any split but the whole set, as there is no partition.
///
/// # Errors
///
/// [`DataError::Missing`] if `split` is not [`Split::All`].
pub(super) fn require_whole(pictures: &Path, split: Split) -> Result<(), DataError> {
    match split {
        Split::All => Ok(()),
        _ => Err(DataError::missing(
            pictures,
            format!("a split needs {FILE} or .csv beside the pictures; fetch it, or use all"),
        )),
    }
}

impl Partition {
    /// Reads the partition beside the folder or archive of pictures, or in the archive, if it
    /// exists. Where a folder lies in one of the same name, as Kaggle's does, looks beside the
    /// outer one too.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] with the invalid line, [`DataError::Read`] if the system fails to
    /// read.
    pub(super) fn find(pictures: &PictureFiles) -> Result<Option<Self>, DataError> {
        let (path, text) = match file_beside(pictures.root()) {
            Some(path) => {
                let text = regular::read_text(&path, MAX_BYTES).map_err(DataError::read(&path))?;
                (path, text)
            }
            None => match pictures.text_in_archive(&[FILE, TABLE], MAX_BYTES)? {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        Self::parse(&path, &text).map(Some)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, DataError> {
        let is_entry = |line: &str| !line.trim().is_empty() && line.trim() != HEADINGS;
        let lines = text.lines().enumerate().filter(|(_, line)| is_entry(line));
        let split_of = lines
            .map(|(number, line)| {
                parse_line(line).ok_or_else(|| {
                    let problem = format!(
                        "line {} is `{line}`, not a name and 0, 1 or 2; fetch it again",
                        number + 1
                    );
                    DataError::format(path, problem)
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { split_of })
    }

    /// Returns whether a picture belongs to a split, by its file name alone.
    pub(super) fn contains(&self, picture: &Path, split: Split) -> bool {
        let found = name_of(picture).and_then(|name| self.split_of.get(name));
        found.is_some_and(|found| belongs(*found, split))
    }

    /// Lists pictures without a line, and lines of `split` without a picture.
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

fn file_beside(pictures: &Path) -> Option<PathBuf> {
    let parent = pictures.parent()?;
    let same_name = parent.file_name() == pictures.file_name();
    // The authors' download has the folders `Img` and `Eval`.
    let eval = parent.parent().map(|grandparent| grandparent.join("Eval"));
    let outer = parent.parent().filter(|_| same_name).map(Path::to_path_buf);
    let folders = [Some(parent.to_path_buf()), outer, eval];
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

fn parse_line(line: &str) -> Option<(String, Split)> {
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

//! Labels by path, as a file beside the pictures lists them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Component, Path, PathBuf};

use unicode_normalization::UnicodeNormalization;

/// Largest number that stands for a class.
pub(crate) const MAX_CLASSES: u64 = 1 << 16;

/// A label as a file writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Label {
    /// The number of a class, below [`MAX_CLASSES`].
    Number(u64),
    /// The name of a class.
    Name(String),
}

impl Label {
    /// Returns the name of the class; that of a number is the number itself.
    pub(super) fn into_name(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Name(name) => name,
        }
    }
}

/// Labels by path below the root of the data.
#[derive(Debug, Default)]
pub(super) struct LabelTable {
    by_path: HashMap<String, Label>,
    /// The first path of each file, for messages.
    first: Option<String>,
}

impl LabelTable {
    /// Adds the label of a picture.
    ///
    /// * `folder`: the folder of the file that lists it.
    /// * `path`: its path as listed, with slashes or backslashes.
    ///
    /// # Errors
    ///
    /// Reports a path that is listed with another label already.
    pub(super) fn add(&mut self, folder: &Path, path: &str, label: Label) -> Result<(), String> {
        let key = key(&folder.join(path.replace('\\', "/")));
        self.first.get_or_insert_with(|| path.to_owned());
        match self.by_path.entry(key) {
            Entry::Occupied(other) if *other.get() != label => {
                Err(format!("it lists `{path}` with two labels; keep one of them"))
            }
            entry => {
                entry.or_insert(label);
                Ok(())
            }
        }
    }

    /// Adds the entries of another table, which win.
    pub(super) fn merge(&mut self, other: Self) {
        self.by_path.extend(other.by_path);
    }

    /// Looks up the labels of pictures.
    pub(super) fn labels(&self, pictures: &[PathBuf]) -> Vec<Option<Label>> {
        let exact: Vec<Option<&Label>> =
            pictures.iter().map(|picture| self.by_path.get(&key(picture))).collect();
        if self.by_path.is_empty() || exact.iter().all(Option::is_some) {
            return exact.into_iter().map(Option::<&Label>::cloned).collect();
        }
        // macOS stores accents apart from their letters; lists are written elsewhere.
        let composed: HashMap<String, &Label> =
            self.by_path.iter().map(|(path, label)| (path.nfc().collect(), label)).collect();
        let label = |(picture, exact): (&PathBuf, Option<&Label>)| {
            let again = || composed.get(&key(picture).nfc().collect::<String>()).copied();
            exact.or_else(again).cloned()
        };
        pictures.iter().zip(exact).map(label).collect()
    }

    /// Returns one more than the largest number; `None` if labels are names.
    pub(super) fn count(&self) -> Option<usize> {
        let number = |label: &Label| match label {
            Label::Number(number) => usize::try_from(*number).ok(),
            Label::Name(_) => None,
        };
        let numbers: Option<Vec<usize>> = self.by_path.values().map(number).collect();
        Some(numbers?.into_iter().max()? + 1)
    }

    /// Returns the first path that was listed.
    pub(super) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }
}

/// Writes a path with slashes, without `.`.
fn key(path: &Path) -> String {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    let parts: Vec<_> = parts.map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Label {
        Label::Name(text.to_owned())
    }

    #[test]
    fn pictures_are_found_however_their_paths_are_written() {
        let mut table = LabelTable::default();
        let folder = Path::new("all");
        table.add(folder, r"a\1.png", name("x")).unwrap();
        table.add(folder, "./b/2.png", name("y")).unwrap();
        table.add(folder, "caf\u{e9}.png", name("z")).unwrap();
        let pictures = ["all/a/1.png", "all/b/2.png", "all/cafe\u{301}.png", "all/none.png"];
        let labels = table.labels(&pictures.map(PathBuf::from));
        assert_eq!(labels, [Some(name("x")), Some(name("y")), Some(name("z")), None]);
    }

    #[test]
    fn a_picture_with_two_labels_is_refused() {
        let mut table = LabelTable::default();
        table.add(Path::new(""), "a.png", Label::Number(3)).unwrap();
        table.add(Path::new(""), "a.png", Label::Number(3)).unwrap();
        assert_eq!(table.count(), Some(4));
        assert!(table.add(Path::new(""), "a.png", Label::Number(4)).is_err());
    }
}

//! What loading noticed about the files of a data set, besides the pictures themselves.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Background;
use crate::names::extension;

/// Longest extension that is counted by itself; longer ones are no type of file.
const MAX_EXTENSION: usize = 8;
/// Kinds of files that a summary names.
const NAMED_KINDS: usize = 4;

/// What is worth knowing before training.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remarks {
    /// Number of pictures that the background shows through.
    pub(crate) transparent: usize,
    /// What lies behind them.
    pub(crate) background: Background,
    /// Number of pictures that are the first of several frames or pages, which are not used.
    pub(crate) first_frames: usize,
    /// Files that are no pictures, and do not claim to be, counted by kind.
    pub(crate) ignored: Ignored,
}

/// Files that are no pictures: how many of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ignored(BTreeMap<String, usize>);

impl Ignored {
    /// Takes counts by kind.
    pub(crate) fn from(kinds: &BTreeMap<String, usize>) -> Self {
        Self(kinds.clone())
    }

    /// Counts a file by its extension.
    pub(crate) fn add(&mut self, name: &Path) {
        let kind = match extension(name) {
            Some(extension) if extension.len() <= MAX_EXTENSION => format!(".{extension}"),
            _ => "without a known extension".to_owned(),
        };
        self.add_kind(&kind, 1);
    }

    /// Counts hidden files and folders.
    pub(crate) fn add_hidden(&mut self, count: usize) {
        if count > 0 {
            self.add_kind("hidden", count);
        }
    }

    /// Adds the counts of others.
    pub(crate) fn join(&mut self, others: &Self) {
        others.0.iter().for_each(|(kind, count)| self.add_kind(kind, *count));
    }

    fn add_kind(&mut self, kind: &str, count: usize) {
        *self.0.entry(kind.to_owned()).or_default() += count;
    }

    /// Returns the kinds with their counts, in the order of their names.
    pub(crate) fn kinds(&self) -> &BTreeMap<String, usize> {
        &self.0
    }

    /// Returns the number of files.
    pub(crate) fn count(&self) -> usize {
        self.0.values().sum()
    }

    /// Describes them in a few words, the most frequent first; `None` if there are none.
    pub(crate) fn summary(&self) -> Option<String> {
        let count = self.count();
        let mut kinds: Vec<_> = self.0.iter().collect();
        kinds.sort_by_key(|&(_, &count)| std::cmp::Reverse(count));
        let mut named: Vec<String> =
            kinds.iter().take(NAMED_KINDS).map(|(kind, count)| format!("{count} {kind}")).collect();
        if kinds.len() > NAMED_KINDS {
            named.push("…".to_owned());
        }
        let files = if count == 1 { "file" } else { "files" };
        (count > 0).then(|| format!("{count} other {files} ignored ({})", named.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_files_are_counted_by_kind_in_one_line() {
        let mut ignored = Ignored::default();
        assert_eq!(ignored.summary(), None);
        for name in ["a.txt", "b.TXT", "c.json", "README", "x.verylongextension"] {
            ignored.add(Path::new(name));
        }
        ignored.add_hidden(3);
        let expected = "8 other files ignored (3 hidden, 2 .txt, 2 without a known extension, \
                        1 .json)";
        assert_eq!(ignored.summary().unwrap(), expected);
    }
}

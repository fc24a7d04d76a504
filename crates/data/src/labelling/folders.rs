//! Classes from folders: the class of a picture is its top folder, however deep it lies.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The classes of the pictures in class folders.
#[derive(Debug, PartialEq)]
pub(super) struct ClassFolders {
    /// The folder that holds the class folders; empty if they lie at the top.
    pub(super) below: PathBuf,
    /// The class of each picture; `None` for pictures beside the class folders.
    pub(super) classes: Vec<Option<String>>,
}

/// Finds the class folders: the first level with more than one folder. `None` if there is no such
/// level, and therefore no two classes.
///
/// * `folders`: the folder of each picture.
pub(super) fn find(folders: &[PathBuf]) -> Option<ClassFolders> {
    let mut below = PathBuf::new();
    loop {
        let heads: BTreeSet<&OsStr> =
            folders.iter().filter_map(|folder| head(folder, &below)).collect();
        let mut heads = heads.into_iter();
        match (heads.next(), heads.next()) {
            (Some(only), None) => below.push(only),
            (Some(_), Some(_)) => break,
            (None, _) => return None,
        }
    }
    let class = |folder: &PathBuf| head(folder, &below).map(text);
    let classes = folders.iter().map(class).collect();
    Some(ClassFolders { below, classes })
}

/// Returns the top folder of a folder below another.
fn head<'f>(folder: &'f Path, below: &Path) -> Option<&'f OsStr> {
    folder.strip_prefix(below).ok()?.iter().next()
}

/// Returns a name as text; bytes that are not UTF-8 are escaped, so that names stay distinct.
pub(super) fn text(name: &OsStr) -> String {
    name.to_str().map_or_else(|| name.as_encoded_bytes().escape_ascii().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    fn classes(folders: &[&str]) -> Option<Vec<Option<String>>> {
        let folders: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
        find(&folders).map(|found| found.classes)
    }

    #[test]
    fn a_picture_that_lies_deeper_is_of_its_top_folder() {
        let [cat, dog] = ["cat", "dog"].map(|name| Some(name.to_owned()));
        assert_eq!(
            classes(&["cat", "cat/kittens", "dog/a/b"]),
            Some(vec![cat.clone(), cat.clone(), dog.clone()])
        );
        assert_eq!(classes(&["all/cat", "all/dog", ""]), Some(vec![cat, dog, None]));
    }

    #[test]
    fn one_folder_is_no_class() {
        assert_eq!(classes(&["", ""]), None);
        assert_eq!(classes(&["a", "a/b", "a/b/c"]), None);
    }

    #[test]
    fn names_that_are_not_utf_8_stay_distinct() {
        let names = [&b"caf\xe9"[..], &b"caf\xe8"[..]].map(|name| text(OsStr::from_bytes(name)));
        assert_eq!(names, [r"caf\xe9", r"caf\xe8"]);
    }
}

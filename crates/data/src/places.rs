//! Says what a folder holds instead of the data that was looked for.

use std::fs;
use std::path::Path;

use crate::content::is_named_picture;
use crate::names::{extension, is_hidden, shown};

/// Names that a message lists.
const LISTED: usize = 8;
/// Names that are read for it.
const READ: usize = 10_000;

/// Describes what lies at `path`, as text that follows a semicolon: its first names in their order,
/// and the format that they look like.
pub(crate) fn found_in(path: &Path) -> String {
    let Ok(entries) = fs::read_dir(path) else { return "it cannot be listed".to_owned() };
    let visible = |entry: &fs::DirEntry| !is_hidden(entry.file_name().as_ref());
    let entries = entries.take(READ).filter_map(Result::ok).filter(visible);
    let mut names: Vec<(String, bool)> =
        entries.map(|entry| (shown(entry.file_name().as_ref()), entry.path().is_dir())).collect();
    names.sort();
    if names.is_empty() {
        return "it is empty".to_owned();
    }
    let slash = |is_dir: bool| if is_dir { "/" } else { "" };
    let mut listed: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|(name, is_dir)| format!("{name}{}", slash(*is_dir)))
        .collect();
    if names.len() > LISTED {
        listed.push(format!("and {} more", names.len() - LISTED));
    }
    format!("it holds {}{}", listed.join(", "), advice(&names))
}

fn advice(names: &[(String, bool)]) -> &'static str {
    let files = || names.iter().filter(|(_, is_dir)| !is_dir).map(|(name, _)| Path::new(name));
    let ends_with = |wanted: &str| files().any(|name| extension(name).as_deref() == Some(wanted));
    match () {
        () if ends_with("parquet") => "; for Parquet files, use parquet:PATH",
        () if ends_with("mdb") => "; for LMDB, use lsun:PATH",
        () if files().any(is_named_picture) => "; for plain pictures, use folder:PATH",
        () if ends_with("zip") => "; unpack archives first",
        () => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_are_listed_with_the_format_they_look_like() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(found_in(dir.path()), "it is empty");
        fs::create_dir(dir.path().join("b")).unwrap();
        fs::write(dir.path().join("a.parquet"), "").unwrap();
        let expected = "it holds a.parquet, b/; for Parquet files, use parquet:PATH";
        assert_eq!(found_in(dir.path()), expected);
        for i in 0..10 {
            fs::write(dir.path().join(format!("{i}.txt")), "").unwrap();
        }
        assert!(found_in(dir.path()).contains("7.txt, and 4 more"), "{}", found_in(dir.path()));
    }
}

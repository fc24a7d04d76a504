//! Says what a folder holds instead of the data that was looked for.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::content::is_named_picture;
use crate::names::{extension, is_hidden, shown};
use crate::{DataError, regular};

/// Names that a message lists.
const LISTED: usize = 8;
/// Names that are read for it.
const READ: usize = 10_000;

/// Says why `path` is not the `wanted` folder or file: it is not there, may not be seen, or is
/// something else.
pub(crate) fn absent(path: &Path, wanted: &str) -> DataError {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            // The parent of a plain name is the current folder, which has no name.
            let parents = path.ancestors().skip(1);
            let mut parents = parents.map(|parent| match parent.as_os_str().is_empty() {
                true => Path::new("."),
                false => parent,
            });
            let parent = parents.find(|parent| parent.is_dir());
            let beside = parent.map(|parent| format!("; {} {}", shown(parent), held_by(parent)));
            let problem = format!("there is no such {wanted}{}", beside.unwrap_or_default());
            return DataError::missing(path, problem);
        }
        Err(cause) => return DataError::read(path)(cause),
    };
    let kind = regular::kind(metadata.file_type()).unwrap_or("a file");
    let advice = if metadata.is_file() { "; unpack it, if it is an archive" } else { "" };
    DataError::missing(path, format!("it is {kind}, not a {wanted}{advice}"))
}

/// Describes what lies at `path`, as text that follows a semicolon: its first names in their order,
/// and the format that they look like.
pub(crate) fn found_in(path: &Path) -> String {
    format!("it {}", held_by(path))
}

fn held_by(path: &Path) -> String {
    let Ok(entries) = fs::read_dir(path) else { return "cannot be listed".to_owned() };
    let visible = |entry: &fs::DirEntry| !is_hidden(entry.file_name().as_ref());
    let entries = entries.take(READ).filter_map(Result::ok).filter(visible);
    let mut names: Vec<(String, bool)> =
        entries.map(|entry| (shown(entry.file_name().as_ref()), entry.path().is_dir())).collect();
    names.sort();
    if names.is_empty() {
        return "is empty".to_owned();
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
    format!("holds {}{}", listed.join(", "), advice(&names))
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

    #[test]
    fn a_wrong_path_is_told_with_what_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("pictures"), "").unwrap();
        let message = |name: &str| absent(&dir.path().join(name), "folder").to_string();
        assert!(message("picture/a").contains("holds pictures"), "{}", message("picture/a"));
        let file = message("pictures");
        assert!(file.contains("it is a file, not a folder; unpack it"), "{file}");
        let device = absent(Path::new("/dev/null"), "folder or zip archive").to_string();
        assert!(device.contains("it is a device, not a folder or zip archive"), "{device}");
    }
}

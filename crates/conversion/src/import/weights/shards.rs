//! Weights in several files, listed by an index: `{"weight_map": {TENSOR: FILE, …}}`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde::Deserialize;

use crate::import::{ImportError, json};

#[derive(Debug, Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Where each tensor of an index lies.
#[derive(Debug)]
pub(super) struct Shards(BTreeMap<String, String>);

impl Shards {
    /// Reads an index, and checks that every file it names lies beside it.
    ///
    /// # Errors
    ///
    /// [`ImportError::Format`] for a path that leaves the folder, and for a file that is missing.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        let Index { weight_map } = json::read(path)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let shards = Self(weight_map);
        for file in shards.files() {
            let parts: Vec<_> = Path::new(file).components().collect();
            if !matches!(parts[..], [Component::Normal(_)]) {
                let problem = format!("it names {file:?}, which is no file beside it");
                return Err(ImportError::format(path, &problem));
            }
            if !folder.join(file).is_file() {
                let problem = format!("it names {file}, which is not there: copy that file too");
                return Err(ImportError::format(path, &problem));
            }
        }
        if shards.0.is_empty() {
            return Err(ImportError::format(path, &"it names no tensors"));
        }
        Ok(shards)
    }

    /// Returns the names of the files, each once.
    pub(super) fn files(&self) -> BTreeSet<&str> {
        self.0.values().map(String::as_str).collect()
    }

    /// Checks that a file holds exactly the tensors that the index says.
    ///
    /// # Errors
    ///
    /// Names a tensor that is missing or not in the index.
    pub(super) fn check(&self, file: &str, found: &BTreeSet<&str>) -> Result<(), String> {
        let listed = self.0.iter().filter(|(_, place)| *place == file);
        let listed: BTreeSet<&str> = listed.map(|(name, _)| name.as_str()).collect();
        let copy = "the files are of different models: copy them again";
        if let Some(missing) = listed.difference(found).next() {
            return Err(format!("{missing} is not in {file}, where the index has it; {copy}"));
        }
        match found.difference(&listed).next() {
            Some(extra) => Err(format!("{file} has {extra}, which the index has not; {copy}")),
            None => Ok(()),
        }
    }
}

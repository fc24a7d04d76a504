//! A JSON object of settings, taken key by key, so that none is overlooked.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::import::{ImportError, json};

/// The keys left to take, and the defaults used so far.
#[derive(Debug)]
pub(super) struct Keys {
    path: PathBuf,
    map: Map<String, Value>,
    defaults: Vec<String>,
}

impl Keys {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ImportError::Read`], or [`ImportError::Format`] if it is not a JSON object.
    pub(super) fn open(path: &Path) -> Result<Self, ImportError> {
        Ok(Self { path: path.into(), map: json::read(path)?, defaults: Vec::new() })
    }

    /// Stands for a missing file: every key has its default.
    pub(super) fn absent(path: &Path) -> Self {
        Self { path: path.into(), map: Map::new(), defaults: Vec::new() }
    }

    /// Takes the value of a key, or its default, which is noted.
    ///
    /// # Errors
    ///
    /// [`ImportError::Setting`] if its value is of another type.
    pub(super) fn take<T: DeserializeOwned + Serialize>(
        &mut self,
        key: &str,
        default: T,
    ) -> Result<T, ImportError> {
        let Some(value) = self.map.remove(key) else {
            self.defaults.push(format!("{key} = {}", serde_json::json!(default)));
            return Ok(default);
        };
        serde_json::from_value(value.clone()).map_err(|error| self.refuse(key, &value, &error))
    }

    /// Takes a key, and checks that its value is supported.
    ///
    /// # Errors
    ///
    /// [`ImportError::Setting`] unless its value is one of `supported`, the first of which is the
    /// default.
    pub(super) fn expect(&mut self, key: &str, supported: &[Value]) -> Result<(), ImportError> {
        let value = self.take(key, supported[0].clone())?;
        if supported.contains(&value) {
            return Ok(());
        }
        let list: Vec<_> = supported.iter().map(Value::to_string).collect();
        Err(self.refuse(key, &value, &format!("supported are {}", list.join(" and "))))
    }

    /// Renames a key of old files to its current name.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        if let Some(value) = self.map.remove(old) {
            self.map.entry(new).or_insert(value);
        }
    }

    /// Drops a key that changes nothing, and returns whether it was there.
    pub(super) fn ignore(&mut self, key: &str) -> bool {
        self.map.remove(key).is_some()
    }

    /// Returns whether a key is left.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    /// Takes a key that the source need not have.
    pub(super) fn take_value(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key)
    }

    /// Returns the error of a value that is not supported.
    pub(super) fn refuse(&self, key: &str, value: &Value, problem: &impl Display) -> ImportError {
        ImportError::Setting {
            path: self.path.clone(),
            key: key.to_owned(),
            value: value.to_string(),
            problem: problem.to_string(),
        }
    }

    /// Checks that no key is left, and returns the defaults used. Keys that begin with `_` are
    /// notes of the library.
    ///
    /// # Errors
    ///
    /// [`ImportError::Setting`] for a key that was not taken.
    pub(super) fn finish(self, problem: &str) -> Result<Vec<String>, ImportError> {
        self.check(problem)?;
        Ok(self.defaults)
    }

    /// Checks that no key is left.
    ///
    /// # Errors
    ///
    /// As [`Keys::finish`].
    pub(super) fn check(&self, problem: &str) -> Result<(), ImportError> {
        match self.map.iter().find(|(key, _)| !key.starts_with('_')) {
            Some((key, value)) => Err(self.refuse(key, value, &problem)),
            None => Ok(()),
        }
    }
}

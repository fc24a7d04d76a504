//! Keeps what was measured from one start of the server to the next.
//!
//! One JSON file per graph, package, fingerprint and largest batch: what a call costs and whether
//! bits depend on the batch are functions of these. A file that cannot be read, is damaged or of
//! another version is as good as none, and one that cannot be written is no error: the server
//! measures again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ddpm_package::Sha256Hex;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

use crate::determinism::Determinism;

/// Version of the format and of the measurement: older files are measured anew.
const VERSION: u32 = 1;

/// Largest file that is read, in bytes.
const MOST_BYTES: u64 = 64 << 10;
/// Most points of a curve.
const MOST_POINTS: usize = 64;
/// Longest call that is believed, in seconds.
const LONGEST: f64 = 3600.0;

/// What a measurement is valid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    /// Build, ONNX Runtime, device, processor and threads.
    pub(crate) fingerprint: String,
    /// SHA-256 of the package's manifest.
    pub(crate) package: String,
    /// Name of the graph in the package.
    pub(crate) graph: String,
    /// Largest size that may be used, in evals, if the operator named one.
    pub(crate) max_batch: Option<u32>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Sizes in evals, ascending from 1, and seconds.
    pub(crate) points: Vec<(u32, f64)>,
    pub(crate) determinism: Determinism,
}

/// The content of a file.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    version: u32,
    key: Key,
    measured: Measured,
}

/// The place of one measurement in the cache.
#[derive(Debug, Clone)]
pub(crate) struct CacheEntry {
    path: PathBuf,
    key: Key,
}

impl CacheEntry {
    /// Names the file of a measurement in the cache's folder.
    pub(crate) fn new(folder: &Path, key: Key) -> Self {
        let Key { fingerprint, package, graph, max_batch } = &key;
        let text = format!("{fingerprint}\n{package}\n{graph}\n{max_batch:?}");
        let path = folder.join(format!("{}.json", Sha256Hex::of(text.as_bytes())));
        Self { path, key }
    }

    /// Reads the measurement, if there is a good one.
    pub(crate) fn load(&self) -> Option<Measured> {
        let found = read(&self.path).and_then(|bytes| self.parse(&bytes));
        if let Err(reason) = &found {
            debug!(path = %self.path.display(), %reason, "nothing cached");
        }
        found.ok()
    }

    fn parse(&self, bytes: &[u8]) -> io::Result<Measured> {
        let Content { version, key, measured } = serde_json::from_slice(bytes)?;
        let fault = |reason: &str| Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        if version != VERSION {
            return fault("another version wrote it");
        }
        if key != self.key {
            return fault("it belongs to another model or machine");
        }
        let largest = measured.determinism.largest.min(key.max_batch.unwrap_or(u32::MAX));
        let points = &measured.points;
        let good = |(size, seconds): &(u32, f64)| {
            *size <= largest && *seconds > 0.0 && *seconds <= LONGEST
        };
        let ascending = points.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let begins = points.first().is_some_and(|(size, _)| *size == 1);
        if !(begins && ascending && points.len() <= MOST_POINTS && points.iter().all(good)) {
            return fault("its points are not those of a curve");
        }
        Ok(measured)
    }

    /// Writes the measurement, whole or not at all; waits for the disk.
    pub(crate) fn store(&self, measured: &Measured) {
        if let Err(error) = self.write(measured) {
            warn!(
                path = %self.path.display(),
                %error,
                "what was measured is not kept: name a folder that can be written by --cache-dir"
            );
        }
    }

    fn write(&self, measured: &Measured) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        if fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(io::Error::other("it is no file"));
        }
        let (key, measured) = (self.key.clone(), measured.clone());
        let text = serde_json::to_vec_pretty(&Content { version: VERSION, key, measured })?;
        ddpm_files::write_whole(&self.path, |out| out.write_all(&text))
    }
}

/// Reads a regular file of bounded size: nothing that waits for a writer or never ends.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 <= MOST_BYTES {
        true => Ok(bytes),
        false => Err(io::Error::other("it is too large")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            fingerprint: "a build on a machine".into(),
            package: "0123".into(),
            graph: "portable".into(),
            max_batch: Some(8),
        }
    }

    fn measured() -> Measured {
        // Numbers that decimal digits do not hold exactly.
        let points = vec![(1, 0.1 / 3.0), (2, 0.2 / 3.0), (8, 0.7)];
        let determinism = Determinism { strict: true, why: "all equal".into(), largest: 8 };
        Measured { points, determinism }
    }

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn what_was_stored_is_loaded_exactly_and_the_folders_are_made() {
        let folder = folder();
        let entry = CacheEntry::new(&folder.path().join("a/b"), key());
        assert_eq!(entry.load(), None);
        entry.store(&measured());
        assert_eq!(entry.load(), Some(measured()));
        let names: Vec<_> = fs::read_dir(folder.path().join("a/b")).unwrap().collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn every_part_of_the_key_tells_measurements_apart() {
        let folder = folder();
        CacheEntry::new(folder.path(), key()).store(&measured());
        let others = [
            Key { fingerprint: "another build".into(), ..key() },
            Key { package: "4567".into(), ..key() },
            Key { graph: "fused".into(), ..key() },
            Key { max_batch: None, ..key() },
        ];
        for other in others {
            let entry = CacheEntry::new(folder.path(), other);
            assert_eq!(entry.load(), None);
            // Even under its name.
            let stored = CacheEntry::new(folder.path(), key()).path;
            fs::copy(stored, &entry.path).unwrap();
            assert_eq!(entry.load(), None);
        }
    }

    #[test]
    fn a_damaged_file_or_one_of_another_version_is_as_good_as_none() {
        let folder = folder();
        let entry = CacheEntry::new(folder.path(), key());
        entry.store(&measured());
        let text = fs::read_to_string(&entry.path).unwrap();
        let version = text.replacen("\"version\": 1", "\"version\": 2", 1);
        assert_ne!(version, text);
        let damaged = [version, text[..text.len() / 2].to_owned(), "[]".into(), String::new()];
        for damaged in damaged {
            fs::write(&entry.path, damaged).unwrap();
            assert_eq!(entry.load(), None);
        }
        fs::write(&entry.path, &text).unwrap();
        assert!(entry.load().is_some());
    }

    #[test]
    fn points_that_are_no_curve_are_as_good_as_none() {
        let folder = folder();
        let entry = CacheEntry::new(folder.path(), key());
        let many = |count: u32| (1..=count).map(|size| (size, 0.1)).collect::<Vec<_>>();
        let loaded = |points: Vec<(u32, f64)>, entry: &CacheEntry| {
            let determinism = Determinism { largest: 100, ..measured().determinism };
            entry.store(&Measured { points, determinism });
            entry.load().is_some()
        };
        assert!(!loaded(vec![], &entry));
        assert!(!loaded(vec![(2, 0.1)], &entry));
        assert!(!loaded(vec![(1, 0.1), (1, 0.2)], &entry));
        assert!(!loaded(vec![(1, 0.0)], &entry));
        assert!(!loaded(vec![(1, -0.1)], &entry));
        assert!(!loaded(vec![(1, LONGEST + 1.0)], &entry));
        assert!(loaded(vec![(1, LONGEST)], &entry));
        assert!(!loaded(vec![(1, 0.1), (9, 0.2)], &entry), "above --max-batch");
        assert!(loaded(vec![(1, 0.1), (8, 0.2)], &entry));
        let unlimited = CacheEntry::new(folder.path(), Key { max_batch: None, ..key() });
        assert!(loaded(many(64), &unlimited));
        assert!(!loaded(many(65), &unlimited));
        assert!(loaded(vec![(1, 0.1), (100, 0.2)], &unlimited));
        assert!(!loaded(vec![(1, 0.1), (101, 0.2)], &unlimited), "above what was swept");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = folder();
        let entry = CacheEntry::new(folder.path(), key());
        entry.store(&measured());
        let mut text = fs::read(&entry.path).unwrap();
        text.resize(MOST_BYTES as usize, b' ');
        fs::write(&entry.path, &text).unwrap();
        assert!(entry.load().is_some());
        text.push(b' ');
        fs::write(&entry.path, &text).unwrap();
        assert_eq!(entry.load(), None);
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let folder = folder();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let below_a_file = CacheEntry::new(&file, key());
        below_a_file.store(&measured());
        assert_eq!(below_a_file.load(), None);
        let entry = CacheEntry::new(folder.path(), key());
        fs::create_dir(&entry.path).unwrap();
        entry.store(&measured());
        assert_eq!(entry.load(), None);
        assert!(entry.path.is_dir());
    }
}

//! Caches the features of references: they cost the most and change the least.
//!
//! An entry has two files: the rows (`.npy`), and mean and covariance as the `.npz` that other
//! programs read. Its name is a digest of the pictures, the extractor and its preprocessing, so no
//! entry is ever stale. A damaged file causes a warning and is written again.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_console::note;
use ddpm_files::npy::{self, Elements};
use ddpm_files::write_whole;
use ddpm_measures::{Features, Statistics, StatisticsFile, read_array};
use ddpm_package::Sha256Hex;

use super::EvaluateError;
use super::extractor::Extractor;
use super::feature_set::FeatureSet;
use super::pictures::PictureSet;

/// The origin of features: an entry of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    pictures: Sha256Hex,
    extractor: Sha256Hex,
    preprocessing: Sha256Hex,
}

impl Key {
    /// Returns the key of the features of `pictures`.
    fn new(pictures: &PictureSet, extractor: &Extractor) -> Self {
        Self {
            pictures: pictures.digest(),
            extractor: extractor.sha256().clone(),
            preprocessing: extractor.preprocessing().digest(),
        }
    }

    /// Returns the text by which statistics files name their origin.
    fn text(&self) -> String {
        format!(
            "pictures {}; {}",
            self.pictures,
            extractor_text(&self.extractor, &self.preprocessing)
        )
    }

    fn file(&self, folder: &Path, extension: &str) -> PathBuf {
        let name = Sha256Hex::of(self.text().as_bytes());
        folder.join(format!("{}.{extension}", &name.as_str()[..32]))
    }
}

/// Returns the part of [`Key::text`] about the extractor.
fn extractor_text(extractor: &Sha256Hex, preprocessing: &Sha256Hex) -> String {
    format!("extractor {extractor}; preprocessing {preprocessing}")
}

/// Returns whether a statistics file names another extractor, or another preprocessing, as its
/// origin. Files of other programs name none.
#[must_use]
pub fn is_from_another_extractor(file: &StatisticsFile, extractor: &Extractor) -> bool {
    let ours = extractor_text(extractor.sha256(), &extractor.preprocessing().digest());
    let digest = file.digest.as_deref().unwrap_or_default();
    digest.starts_with("pictures ") && !digest.ends_with(&ours)
}

/// Returns whether a statistics file names this extractor, with this preprocessing, as its origin.
#[must_use]
pub fn is_from_extractor(file: &StatisticsFile, extractor: &Extractor) -> bool {
    let ours = extractor_text(extractor.sha256(), &extractor.preprocessing().digest());
    file.digest.as_deref().is_some_and(|digest| digest.ends_with(&ours))
}

/// Returns the features of `pictures`, and whether they came from the cache.
///
/// * `folder`: the folder of the cache; absent: nothing is cached.
/// * `progress`: called with the number of pictures done.
///
/// # Errors
///
/// As [`Extractor::features`]. If the folder cannot be written, it warns, and caches nothing.
pub fn features(
    folder: Option<&Path>,
    pictures: &PictureSet,
    extractor: &mut Extractor,
    progress: impl FnMut(usize),
) -> Result<(FeatureSet, bool), EvaluateError> {
    let Some(folder) = folder else {
        return Ok((FeatureSet::from_rows(extractor.features(pictures, progress)?), false));
    };
    let key = Key::new(pictures, extractor);
    if let Some(set) = look_up(folder, &key, pictures.len(), extractor) {
        return Ok((set, true));
    }
    let rows = extractor.features(pictures, progress)?;
    if rows.len() < 2 {
        return Ok((FeatureSet::from_rows(rows), false));
    }
    let gaussian = Statistics::of(&rows)?.gaussian()?;
    let (count, digest) = (Some(rows.len() as u64), Some(key.text()));
    let file = StatisticsFile { gaussian, count, digest };
    if let Err(fault) = store(folder, &key, &rows, &file) {
        note!(
            "warning: these features are not cached: {fault}; name another folder with --cache, or \
             use --no-cache"
        );
    }
    Ok((FeatureSet::from_rows(rows).with_gaussian(file.gaussian), false))
}

/// Adds the entry of `key`.
fn store(
    folder: &Path,
    key: &Key,
    rows: &Features,
    file: &StatisticsFile,
) -> Result<(), EvaluateError> {
    fs::create_dir_all(folder).map_err(EvaluateError::write(folder))?;
    write_rows(&key.file(folder, "npy"), rows)?;
    // The statistics come last: where they exist, so do the rows.
    Ok(file.write(&key.file(folder, "npz"))?)
}

/// Returns the entry of `key`, if there is an undamaged one.
fn look_up(folder: &Path, key: &Key, count: usize, extractor: &Extractor) -> Option<FeatureSet> {
    let path = key.file(folder, "npz");
    if !path.exists() {
        return None;
    }
    match read(folder, key, count, extractor.preprocessing().dimension) {
        Ok(set) => Some(set),
        Err(fault) => {
            note!("warning: {fault}; computing its features again");
            None
        }
    }
}

fn read(folder: &Path, key: &Key, count: usize, dim: usize) -> Result<FeatureSet, EvaluateError> {
    let (rows_path, path) = (key.file(folder, "npy"), key.file(folder, "npz"));
    let file = StatisticsFile::read(&path)?;
    let array = read_array(&rows_path, &[])?;
    let Elements::Floats(values) = array.elements else {
        return Err(EvaluateError::file(&rows_path, "does not hold features"));
    };
    if array.shape != [count, dim] || file.gaussian.dim() != dim || file.digest != Some(key.text())
    {
        return Err(EvaluateError::file(&path, "is not of these pictures and this extractor"));
    }
    Ok(FeatureSet::from_rows(Features::from_rows(dim, values)?).with_gaussian(file.gaussian))
}

/// Writes features as a `.npy` file, `[N, D]` f32, whole or not at all.
///
/// # Errors
///
/// [`EvaluateError::Write`].
pub fn write_rows(path: &Path, rows: &Features) -> Result<(), EvaluateError> {
    let all: Vec<&[f32]> = rows.rows().collect();
    let shape = [rows.dim() as u32];
    write_whole(path, |out| npy::write_rows(out, &shape, &all)).map_err(EvaluateError::write(path))
}

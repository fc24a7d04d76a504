//! Features of references are remembered: they cost the most and change the least.
//!
//! Two files each: the rows (`.npy`), and mean and covariance as the `.npz` that other programs read.
//! Their name is a digest of the pictures, the extractor and its preprocessing, so nothing in the folder
//! is ever stale. A file that is damaged is told and made again.

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_evaluation::{Features, Statistics, StatisticsFile, read_array};
use ddpm_files::npy::{self, Elements};
use ddpm_files::write_whole;
use ddpm_package::Sha256Hex;

use super::EvaluateError;
use super::extractor::Extractor;
use super::pictures::PictureSet;
use super::side::Side;

/// What features were made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pictures: Sha256Hex,
    extractor: Sha256Hex,
    preprocessing: Sha256Hex,
}

impl Key {
    /// The key of the features of `pictures`.
    #[must_use]
    pub fn new(pictures: &PictureSet, extractor: &Extractor) -> Self {
        Self {
            pictures: pictures.digest(),
            extractor: extractor.sha256().clone(),
            preprocessing: extractor.preprocessing().digest(),
        }
    }

    /// The text under which statistics files name what they are of.
    #[must_use]
    pub fn text(&self) -> String {
        format!("pictures {}; {}", self.pictures, made_by(&self.extractor, &self.preprocessing))
    }

    fn file(&self, folder: &Path, extension: &str) -> PathBuf {
        let name = Sha256Hex::of(self.text().as_bytes());
        folder.join(format!("{}.{extension}", &name.as_str()[..32]))
    }
}

fn made_by(extractor: &Sha256Hex, preprocessing: &Sha256Hex) -> String {
    format!("extractor {extractor}; preprocessing {preprocessing}")
}

/// Whether a statistics file says that another extractor, or another preprocessing, made it. Files of
/// other programs do not say.
#[must_use]
pub fn is_of_another(file: &StatisticsFile, extractor: &Extractor) -> bool {
    let ours = made_by(extractor.sha256(), &extractor.preprocessing().digest());
    let digest = file.digest.as_deref().unwrap_or_default();
    digest.starts_with("pictures ") && !digest.ends_with(&ours)
}

/// Whether a statistics file says that this extractor, with this preprocessing, made it.
#[must_use]
pub fn is_of(file: &StatisticsFile, extractor: &Extractor) -> bool {
    let ours = made_by(extractor.sha256(), &extractor.preprocessing().digest());
    file.digest.as_deref().is_some_and(|digest| digest.ends_with(&ours))
}

/// The features of `pictures`, and whether they were remembered.
///
/// * `folder`: where they are remembered; absent: nowhere.
/// * `progress`: is called with the number of pictures done.
///
/// # Errors
///
/// As [`Extractor::features`]; [`EvaluateError::Write`] if the folder cannot be written.
pub fn features(
    folder: Option<&Path>,
    pictures: &PictureSet,
    extractor: &mut Extractor,
    progress: impl FnMut(usize),
) -> Result<(Side, bool), EvaluateError> {
    let Some(folder) = folder else {
        return Ok((Side::of_rows(extractor.features(pictures, progress)?), false));
    };
    let key = Key::new(pictures, extractor);
    if let Some(side) = remembered(folder, &key, pictures.len(), extractor) {
        return Ok((side, true));
    }
    let rows = extractor.features(pictures, progress)?;
    if rows.len() < 2 {
        return Ok((Side::of_rows(rows), false));
    }
    let gaussian = Statistics::of(&rows)?.gaussian()?;
    fs::create_dir_all(folder).map_err(EvaluateError::write(folder))?;
    write_rows(&key.file(folder, "npy"), &rows)?;
    let (count, digest) = (Some(rows.len() as u64), Some(key.text()));
    let file = StatisticsFile { gaussian, count, digest };
    // The statistics come last: where they are, the rows are too.
    file.write(&key.file(folder, "npz"))?;
    Ok((Side::of_rows(rows).with_gaussian(file.gaussian), false))
}

fn remembered(folder: &Path, key: &Key, count: usize, extractor: &Extractor) -> Option<Side> {
    let path = key.file(folder, "npz");
    if !path.exists() {
        return None;
    }
    match read(folder, key, count, extractor.preprocessing().dimension) {
        Ok(side) => Some(side),
        Err(fault) => {
            eprintln!("warning: {fault}; its features are computed again");
            None
        }
    }
}

fn read(folder: &Path, key: &Key, count: usize, dim: usize) -> Result<Side, EvaluateError> {
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
    Ok(Side::of_rows(Features::from_rows(dim, values)?).with_gaussian(file.gaussian))
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

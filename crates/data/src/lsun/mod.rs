//! LSUN: LMDB folders whose values are encoded pictures. Other data sets in this layout work too.
//!
//! Each category has its own folders, `bedroom_train_lmdb` and `bedroom_val_lmdb` or just `cat`,
//! each with a `data.mdb`, <https://www.yf.io/p/lsun>. Nothing is written to them, not even LMDB's
//! lock. Pictures are read a few at a time, ordered by folder name and key, and decoded on all
//! cores.

mod environment;
mod folders;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::gather::{Gather, Gathered, Preparation};
use crate::labels::Labels;
use crate::{DataError, FolderLabels, LoadOptions, picture};
use environment::Environment;
use folders::Folder;

/// Loads one split. Several categories become the classes.
///
/// * `path`: a folder with a `data.mdb`, or the parent of such folders.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no LMDB or none of this split, [`DataError::Format`] if one
/// is damaged, [`DataError::Broken`] if a value is not a picture and `on_broken` is
/// [`Refuse`](crate::OnBroken::Refuse), [`DataError::Read`] if the system fails to read.
pub(crate) fn load(
    path: &Path,
    options: &LoadOptions,
) -> Result<(Gathered, Option<Labels>), DataError> {
    let folders = folders::find(path, options.split)?;
    // A process may open an environment only once: another load waits until this one is done.
    static ENVIRONMENTS: Mutex<()> = Mutex::new(());
    let _open = ENVIRONMENTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut environments = Vec::new();
    for folder in &folders {
        environments.push(Environment::open(&folder.path)?);
    }
    let preparation = Preparation::from_options(options);
    let expected = environments.iter().map(Environment::len).sum();
    let mut gather = Gather::new(path, expected, options.on_broken);
    for environment in &environments {
        environment.for_each_chunk(|values| {
            let decoded = |i: usize| {
                Ok(picture::decode(values[i].1)?.map(|picture| preparation.apply(picture)))
            };
            gather.add(values.len(), |i| environment.value_path(values[i].0), decoded)
        })?;
    }
    let gathered = gather.finish()?;
    let counts: Vec<usize> = environments.iter().map(Environment::len).collect();
    let labels = match options.folder_labels {
        FolderLabels::Auto => labels(&folders, &counts, &gathered.kept),
        FolderLabels::None => None,
    };
    Ok((gathered, labels))
}

/// Makes the categories the classes, in the order of their names, if there are two or more.
///
/// * `counts`: number of values per folder.
/// * `kept`: numbers of the usable pictures, counted over all folders.
fn labels(folders: &[Folder], counts: &[usize], kept: &[usize]) -> Option<Labels> {
    let mut names: Vec<&str> = folders.iter().map(|folder| folder.category.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return None;
    }
    let class = |folder: &Folder| names.binary_search(&folder.category.as_str()).ok();
    let all_classes: Vec<usize> = folders
        .iter()
        .zip(counts)
        .map(|(folder, &count)| Some(std::iter::repeat_n(class(folder)?, count)))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let per_item = kept.iter().map(|&i| all_classes.get(i).copied()).collect::<Option<_>>()?;
    Some(Labels { names: names.into_iter().map(str::to_owned).collect(), per_item })
}

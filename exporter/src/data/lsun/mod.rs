//! LSUN: LMDB folders whose values are encoded pictures, by key. Others that lay pictures out so are read too.
//!
//! Each category comes in folders of its own, `bedroom_train_lmdb` and `bedroom_val_lmdb` or just `cat`, with a
//! `data.mdb` in them, <https://www.yf.io/p/lsun>. Nothing is written to them, not even LMDB's lock. Pictures are
//! read a few at a time, in the order of the folders' names and of the keys, and decoded on all cores.

mod environment;
mod folders;

use std::path::Path;

use super::gather::{Gather, Gathered, Preparation};
use super::labels::Labels;
use super::{DataError, FolderLabels, LoadOptions, picture};
use environment::Environment;
use folders::Folder;

/// Loads one split. If there are several categories, they are the classes.
///
/// * `path`: a folder with a `data.mdb`, or one with such folders in it.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no LMDB or none of this split, [`DataError::Format`] if one is damaged,
/// [`DataError::Broken`] if a value is no picture and `on_broken` is to refuse, [`DataError::Read`] if the system
/// refuses.
pub(super) fn load(
    path: &Path,
    options: &LoadOptions,
) -> Result<(Gathered, Option<Labels>), DataError> {
    let folders = folders::find(path, options.split)?;
    let mut environments = Vec::new();
    for folder in &folders {
        environments.push(Environment::open(&folder.path)?);
    }
    let preparation = Preparation::asked(options);
    let expected = environments.iter().map(Environment::len).sum();
    let mut gather = Gather::new(path, expected, options.on_broken);
    for environment in &environments {
        environment.for_values(|values| {
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

/// Classes are the categories in the order of their names, if there are two or more.
///
/// * `counts`: how many values each folder has.
/// * `kept`: the numbers of the pictures that can be used, over all folders.
fn labels(folders: &[Folder], counts: &[usize], kept: &[usize]) -> Option<Labels> {
    let mut names: Vec<&str> = folders.iter().map(|folder| folder.category.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if names.len() < 2 {
        return None;
    }
    let class = |folder: &Folder| names.binary_search(&folder.category.as_str()).ok();
    let of_all: Vec<usize> = folders
        .iter()
        .zip(counts)
        .map(|(folder, &count)| Some(std::iter::repeat_n(class(folder)?, count)))
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .flatten()
        .collect();
    let of = kept.iter().map(|&i| of_all.get(i).copied()).collect::<Option<_>>()?;
    Some(Labels { names: names.into_iter().map(str::to_owned).collect(), of })
}

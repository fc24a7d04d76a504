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
use crate::{DataError, FolderLabels, LoadOptions, OnBroken};
use environment::Environment;
use folders::{Folder, Folders};

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
    let Folders { found, broken } = folders;
    let (mut folders, mut environments) = (Vec::new(), Vec::new());
    let mut gather = Gather::new(path, 0, options.on_broken);
    for (path, reason) in broken {
        gather.skip(path, &reason);
    }
    for folder in found {
        match Environment::open(&folder.path) {
            Ok(environment) => {
                environments.push(environment);
                folders.push(folder);
            }
            Err(cause) if options.on_broken == OnBroken::Skip => {
                gather.skip(folder.path, &cause.into_reason());
            }
            Err(cause) => return Err(cause),
        }
    }
    gather_all(&environments, &mut gather, options)?;
    let gathered = gather.finish()?;
    let counts: Vec<usize> = environments.iter().map(Environment::len).collect();
    let labels = match options.folder_labels {
        FolderLabels::Auto => labels(&folders, &counts, &gathered.kept),
        FolderLabels::None => None,
    };
    Ok((gathered, labels))
}

fn gather_all(
    environments: &[Environment],
    gather: &mut Gather,
    options: &LoadOptions,
) -> Result<(), DataError> {
    let preparation = Preparation::from_options(options);
    gather.expect(environments.iter().map(Environment::len).sum());
    let mut next = 0;
    for environment in environments {
        let read = environment.for_each_chunk(|values| {
            let decoded = |i: usize| Ok(preparation.decode(values[i].1)?);
            gather.add(values.len(), |i| environment.value_path(values[i].0), decoded)
        });
        next += environment.len();
        match read {
            Ok(()) => {}
            Err(cause)
                if options.on_broken == OnBroken::Skip && environment.is_cause_of(&cause) =>
            {
                gather.skip(environment.file(), &cause.into_reason());
                gather.go_on_at(next);
            }
            Err(cause) => return Err(cause),
        }
    }
    Ok(())
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

//! LSUN: LMDB folders whose values are encoded pictures. Other data sets in this layout work too.
//!
//! Each category has its own folders, `bedroom_train_lmdb` and `bedroom_val_lmdb` or just `cat`,
//! each with a `data.mdb`, <https://www.yf.io/p/lsun>. Nothing is written to them, not even LMDB's
//! lock. Pictures are read a few at a time, ordered by folder name and key, and decoded on all
//! cores.

mod environment;
mod folders;

use std::iter;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::gather::{Gather, Gathered, Preparation};
use crate::labelling::Labelled;
use crate::labels::Labels;
use crate::{DataError, LabelSource, LoadOptions, picture};
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
/// [`Refuse`](crate::OnBroken::Refuse), [`DataError::Read`] if the system fails to read,
/// [`DataError::Unclear`] if a folder beside those of categories has no category in its name.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<(Gathered, Labelled), DataError> {
    let folders = folders::find(path, options.split)?;
    check_categories(path, &folders, &options.labels)?;
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
    let categories = environments
        .iter()
        .zip(&folders)
        .flat_map(|(environment, folder)| iter::repeat_n(&folder.category, environment.len()));
    let categories: Vec<&String> = categories.collect();
    let labelled = labels(&folders, &categories, &gathered.kept);
    Ok((gathered, labelled))
}

/// Makes the categories the classes if there are two or more.
///
/// * `categories`: the category of each value, over all folders.
/// * `kept`: numbers of the usable pictures, counted over all folders.
fn labels(folders: &[Folder], categories: &[&String], kept: &[usize]) -> Labelled {
    match folders {
        [first, rest @ ..] if rest.iter().any(|other| other.category != first.category) => {
            let items: Vec<String> = kept.iter().map(|&i| categories[i].clone()).collect();
            Labelled::from("folders", Labels::named(&items))
        }
        [first, ..] => Labelled::none(format!(
            "`{}` is the only category; name a folder that holds several",
            first.category
        )),
        [] => Labelled::none("there are no folders"),
    }
}

/// Refuses a folder without a category, such as `train_lmdb`, beside others: it is no class.
fn check_categories(
    path: &Path,
    folders: &[Folder],
    source: &LabelSource,
) -> Result<(), DataError> {
    let nameless = folders.iter().find(|folder| folder.category.is_empty());
    match nameless {
        Some(nameless) if folders.len() > 1 && *source != LabelSource::None => {
            let name = nameless.path.file_name().unwrap_or_default().to_string_lossy();
            let problem = format!(
                "the name of its folder {name} has no category, and those of others have; rename \
                 it, such as to cat_{name}, or use `--no-labels`"
            );
            Err(DataError::unclear(path, problem))
        }
        _ => Ok(()),
    }
}

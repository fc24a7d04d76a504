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
use crate::{DataError, LabelSource, LoadOptions, OnBroken};
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
/// [`Refuse`](crate::OnBroken::Refuse), [`DataError::Read`] if the system fails to read,
/// [`DataError::Unclear`] if a folder beside those of categories has no category in its name.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<(Gathered, Labelled), DataError> {
    let folders = folders::find(path, options.split)?;
    check_categories(path, &folders.found, &options.labels)?;
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
    let categories = environments
        .iter()
        .zip(&folders)
        .flat_map(|(environment, folder)| iter::repeat_n(&folder.category, environment.len()));
    let categories: Vec<&String> = categories.collect();
    let labelled = labels(&folders, &categories, &gathered.kept);
    Ok((gathered, labelled))
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

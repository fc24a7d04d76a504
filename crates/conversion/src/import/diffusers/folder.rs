//! Where the parts of a folder lie: a pipeline, a checkpoint of a training, or a network alone.
//!
//! ```text
//! PIPELINE/unet/ scheduler/ model_index.json    as DDPMPipeline.save_pretrained writes it
//! PIPELINE/checkpoint-500/unet/ unet_ema/       as accelerate saves a training, beside it
//! NETWORK/config.json                           unet/ or unet_ema/ themselves, and flat folders
//! ```

use std::path::{Path, PathBuf};

use super::{CONFIG, SCHEDULER};
use crate::import::{ImportError, ImportOptions, WeightsChoice};

const RAW: &str = "unet";
const EMA: &str = "unet_ema";
/// Beginning of the names of a training's checkpoints.
const CHECKPOINT: &str = "checkpoint-";

/// The parts of a folder.
#[derive(Debug)]
pub(super) struct Parts {
    /// The folder of the network's settings and weights.
    pub(super) network: PathBuf,
    /// Which weights these are, if the names of the folders say so.
    pub(super) stated: Option<WeightsChoice>,
    /// The scheduler's settings, if there are any.
    pub(super) scheduler: Option<PathBuf>,
    /// A sentence for each choice.
    pub(super) notes: Vec<String>,
}

/// Returns whether a path looks like a folder of diffusers, or like a training that holds some.
#[must_use]
pub fn is_folder(path: &Path) -> bool {
    let has = |part: &&str| path.join(part).exists();
    ["model_index.json", CONFIG, RAW, EMA].iter().any(has) || !checkpoints(path).is_empty()
}

/// Finds the parts of a folder.
///
/// # Errors
///
/// [`ImportError::Format`] if it has no network, or not the weights that the user wants.
pub(super) fn find(path: &Path, options: &ImportOptions) -> Result<Parts, ImportError> {
    let fault = |problem: String| Err(ImportError::format(path, &problem));
    let average = Some(path.join(EMA)).filter(|folder| folder.join(CONFIG).is_file());
    let raw = [path.join(RAW), path.to_owned()].into_iter();
    let raw = raw.into_iter().find(|folder| folder.join(CONFIG).is_file());
    let mut notes = Vec::new();
    let (network, stated) = match (options.weights, average, raw) {
        (Some(WeightsChoice::Raw), Some(_), None) => {
            return fault(format!("it has only {EMA}/: leave out --weights raw"));
        }
        (Some(WeightsChoice::Raw), Some(_), Some(raw)) => {
            notes.push(format!("the weights of the last step are taken, not those of {EMA}/"));
            (raw, Some(WeightsChoice::Raw))
        }
        (_, Some(average), raw) => {
            if raw.is_some() {
                notes.push(format!(
                    "the moving average of the weights, {EMA}/, is taken; --weights raw takes \
                     those of the last step"
                ));
            }
            (average, Some(WeightsChoice::Ema))
        }
        (_, None, Some(raw)) => {
            let is_average = raw.file_name().is_some_and(|name| name == EMA);
            (raw, is_average.then_some(WeightsChoice::Ema))
        }
        (_, None, None) => return fault(no_network(path)),
    };
    let (scheduler, elsewhere) = scheduler(path);
    if let (Some(file), true) = (&scheduler, elsewhere) {
        notes.push(format!("the scheduler is that of {}", file.display()));
    }
    Ok(Parts { network, stated, scheduler, notes })
}

fn no_network(path: &Path) -> String {
    match checkpoints(path).last() {
        Some(newest) => format!(
            "it has neither {RAW}/{CONFIG} nor {CONFIG}, but checkpoints of a training: name one \
             of them, such as {}",
            path.join(newest).display()
        ),
        None => format!("it has neither {RAW}/{CONFIG} nor {CONFIG}"),
    }
}

/// Returns the names of a training's checkpoints, by number.
fn checkpoints(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut found: Vec<(u64, String)> = entries
        .filter(|entry| [RAW, EMA].iter().any(|part| entry.path().join(part).is_dir()))
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_prefix(CHECKPOINT)?.parse().ok()?, name))
        })
        .collect();
    found.sort();
    found.into_iter().map(|(_, name)| name).collect()
}

/// Returns the scheduler's settings, and whether they lie outside of the folder: checkpoints of a
/// training and folders of a network have none of their own.
fn scheduler(path: &Path) -> (Option<PathBuf>, bool) {
    let inside = [path.join("scheduler").join(SCHEDULER), path.join(SCHEDULER)];
    if let Some(found) = inside.into_iter().find(|file| file.is_file()) {
        return (Some(found), false);
    }
    let mut folder = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let is_part = |folder: &Path| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        [RAW, EMA].contains(&name.as_str()) || name.starts_with(CHECKPOINT)
    };
    while is_part(&folder) && folder.pop() {
        let file = folder.join("scheduler").join(SCHEDULER);
        if file.is_file() {
            return (Some(file), true);
        }
    }
    (None, false)
}

//! Tables of pictures as Hugging Face stores them: Parquet files with a column of struct{bytes,
//! path} and usually a label column, whose class names are in the metadata.
//!
//! A data set may consist of many files, called shards. Pictures are read a few at a time, ordered
//! by shard path and row, and decoded on all cores. Layout:
//! <https://huggingface.co/docs/datasets/image_dataset>.

mod columns;
mod labels;
mod shard;
mod shards;

use std::path::{Path, PathBuf};

use crate::gather::{Gather, Gathered, Preparation};
use crate::labelling::Labelled;
use crate::{DataError, LabelSource, LoadOptions, OnBroken};
use labels::RowLabels;
use shard::Shard;
use shards::Shards;

/// Loads one split, with labels if it has any.
///
/// The picture column is `image`, or else the only one of struct{bytes, path}. The label column is
/// the only one that the metadata describe as a class label, or else the only one that is named
/// like labels, such as `label` or `fine_label`. A row without a picture, or without a label where
/// others have one, counts as broken.
///
/// * `path`: one `.parquet` file, or a folder with some at any depth.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no file or none of this split, [`DataError::Format`] if one
/// is damaged or has no picture column, [`DataError::Unclear`] if it has several columns of labels,
/// or not the one that is asked for, [`DataError::Broken`] if a picture cannot be used and
/// `on_broken` is [`Refuse`](crate::OnBroken::Refuse), [`DataError::Read`] if the system fails to
/// read.
pub(crate) fn load(path: &Path, options: &LoadOptions) -> Result<(Gathered, Labelled), DataError> {
    let Shards { files, mut broken } = shards::find(path, options.split)?;
    let mut shards = Vec::new();
    for file in files {
        match Shard::open(&file, &options.labels) {
            Ok(shard) => shards.push(shard),
            // What is unclear is no damage: a flag decides.
            Err(cause @ DataError::Unclear { .. }) => return Err(cause),
            Err(cause) if options.on_broken == OnBroken::Skip => {
                broken.push((file, cause.into_reason()));
            }
            Err(cause) => return Err(cause),
        }
    }
    let labels = match options.labels {
        LabelSource::None => RowLabels::Unwanted,
        _ => RowLabels::read(&shards)?,
    };
    let gathered = gather(path, &shards, broken, &labels, options)?;
    let labelled = labels.into_labelled(&gathered.kept);
    Ok((gathered, labelled))
}

fn gather(
    path: &Path,
    shards: &[Shard],
    broken: Vec<(PathBuf, String)>,
    labels: &RowLabels,
    options: &LoadOptions,
) -> Result<Gathered, DataError> {
    let preparation = Preparation::from_options(options);
    let expected = shards.iter().map(Shard::num_rows).sum();
    let mut gather = Gather::new(path, expected, options.on_broken);
    for (path, reason) in broken {
        gather.skip(path, &reason);
    }
    let mut first = 0;
    for shard in shards {
        let mut in_shard = 0;
        let read = shard.for_each_chunk(|rows| {
            let row = |i: usize| {
                labels.check(first + in_shard + i)?;
                let bytes = rows[i].as_ref().ok_or("it has no picture")?;
                Ok(preparation.decode(bytes.data())?)
            };
            gather.add(rows.len(), |i| shard.row_path(in_shard + i), row)?;
            in_shard += rows.len();
            Ok(())
        });
        first += shard.num_rows();
        match read {
            Ok(()) => {}
            Err(cause) if options.on_broken == OnBroken::Skip && shard.is_cause_of(&cause) => {
                let reason = format!("from row {in_shard} on, {}", cause.into_reason());
                gather.skip(shard.path().to_path_buf(), &reason);
                gather.go_on_at(first);
            }
            Err(cause) => return Err(cause),
        }
    }
    gather.finish()
}

//! The labels of all rows of a table, read before its pictures.

use super::shard::Shard;
use crate::DataError;
use crate::labelling::{Labelled, MAX_CLASSES};
use crate::labels::Labels;

/// The label of each row of one or all shards; `None` where a row has none.
#[derive(Debug)]
pub(super) enum Rows {
    /// Numbers of classes.
    Numbers(Vec<Option<i64>>),
    /// Names of classes.
    Names(Vec<Option<String>>),
}

/// One label per row, over all shards.
#[derive(Debug)]
pub(super) enum RowLabels {
    /// The user wants none.
    Unwanted,
    /// The table has none, for a reason that names the flag that decides.
    None(String),
    Some {
        rows: Rows,
        class_names: Option<Vec<String>>,
        column: String,
    },
}

impl Rows {
    /// Adds the rows of the next shard. Returns whether both are numbers, or both are names.
    fn extend(&mut self, more: Self) -> bool {
        match (self, more) {
            (Self::Numbers(rows), Self::Numbers(more)) => rows.extend(more),
            (Self::Names(rows), Self::Names(more)) => rows.extend(more),
            _ => return false,
        }
        true
    }

    fn all_missing(&self) -> bool {
        match self {
            Self::Numbers(rows) => rows.iter().all(Option::is_none),
            Self::Names(rows) => rows.iter().all(Option::is_none),
        }
    }
}

impl RowLabels {
    /// Reads the labels of all shards. A table whose labels are all missing, or all -1 as in test
    /// sets with secret labels, has none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if a shard is damaged, has labels that are neither integers nor text,
    /// or lacks the label column that others have.
    pub(super) fn read(shards: &[Shard]) -> Result<Self, DataError> {
        let Some(first) = shards.iter().find_map(Shard::label_column) else {
            let columns = shards.first().map(Shard::column_names).unwrap_or_default();
            return Ok(Self::None(match columns.as_str() {
                "" => "the table has no column but that of pictures".to_owned(),
                _ => format!(
                    "no column is named like labels, only {columns}; `--labels column:NAME` takes \
                     one of them"
                ),
            }));
        };
        let mut rows: Option<Rows> = None;
        for shard in shards {
            let differs = |problem: &str| {
                Err(DataError::format(shard.path(), format!("{problem}; use `--no-labels`")))
            };
            let Some(column) = shard.label_column() else {
                return differs("it has no label column, unlike other files");
            };
            if column.name != first.name {
                return differs("its label column has another name than that of other files");
            }
            if column.class_names != first.class_names {
                return differs("its class names differ from those of other files");
            }
            let more = shard.labels(column)?;
            let same_type = match &mut rows {
                Some(rows) => rows.extend(more),
                None => {
                    rows = Some(more);
                    true
                }
            };
            if !same_type {
                return differs("its labels are of another type than in other files");
            }
        }
        let column = first.name.clone();
        Ok(match rows {
            Some(rows) if !rows.all_missing() => {
                Self::Some { rows, class_names: first.class_names.clone(), column }
            }
            _ => Self::None(format!(
                "all labels in column {column} are missing or -1; `--labels column:NAME` takes \
                 another"
            )),
        })
    }

    /// Checks the label of one row.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, as text that follows the row's name.
    pub(super) fn check(&self, row: usize) -> Result<(), String> {
        let missing = "it has no label, and other rows have; `--no-labels` uses none";
        let Self::Some { rows, class_names, .. } = self else { return Ok(()) };
        let classes = class_names.as_ref().map_or(MAX_CLASSES as i64, |names| names.len() as i64);
        match rows {
            Rows::Numbers(rows) => match rows.get(row).copied().flatten() {
                Some(label) if (0..classes).contains(&label) => Ok(()),
                Some(label) => Err(format!("its label is {label}, and labels are in 0..{classes}")),
                None => Err(missing.to_owned()),
            },
            Rows::Names(rows) => {
                rows.get(row).and_then(Option::as_ref).map(|_| ()).ok_or(missing.to_owned())
            }
        }
    }

    /// Returns the labels of rows that passed [`check`](Self::check).
    pub(super) fn into_labelled(self, kept: &[usize]) -> Labelled {
        let (rows, class_names, column) = match self {
            Self::Unwanted => return Labelled::unwanted(),
            Self::None(why) => return Labelled::none(why),
            Self::Some { rows, class_names, column } => (rows, class_names, column),
        };
        let labels = match (rows, class_names) {
            (Rows::Numbers(rows), class_names) => {
                let number = |&row: &usize| usize::try_from(rows[row]?).ok();
                let per_item = kept.iter().filter_map(number).collect();
                match class_names {
                    Some(names) => Labels { names, per_item },
                    None => Labels::numbered(per_item),
                }
            }
            (Rows::Names(rows), _) => {
                let names: Vec<String> = kept.iter().filter_map(|&row| rows[row].clone()).collect();
                Labels::named(&names)
            }
        };
        Labelled::from(format!("column `{column}`"), labels).with_empty_classes()
    }
}

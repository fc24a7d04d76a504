//! The labels of all rows of a table, read before its pictures.

use super::shard::Shard;
use crate::DataError;
use crate::labels::Labels;

/// Largest number of classes in a table that does not name them; larger values are not labels.
const MAX_CLASSES: i64 = 1 << 16;

/// One label per row, over all shards.
#[derive(Debug, Default)]
pub(super) struct RowLabels {
    /// `None` if the table has no labels.
    rows: Option<Vec<Option<i64>>>,
    class_names: Option<Vec<String>>,
}

impl RowLabels {
    /// Ignores any labels in the table.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Reads the labels of all shards. A table whose labels are all missing, or all -1 as in test
    /// sets with secret labels, has none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if a shard is damaged, has labels that are not integers, or lacks the
    /// label column that others have.
    pub(super) fn read(shards: &[Shard]) -> Result<Self, DataError> {
        let Some(first) = shards.iter().find_map(Shard::label_column) else {
            return Ok(Self::none());
        };
        let mut rows = Vec::new();
        for shard in shards {
            let Some(column) = shard.label_column() else {
                let problem = "it has no label column, unlike other files; use `--no-labels`";
                return Err(DataError::format(shard.path(), problem));
            };
            if column.class_names != first.class_names {
                let problem = "its class names differ from those of other files; use `--no-labels`";
                return Err(DataError::format(shard.path(), problem));
            }
            let known = |label: Option<i64>| label.filter(|label| *label != -1);
            rows.extend(shard.labels(column)?.into_iter().map(known));
        }
        let rows = rows.iter().any(Option::is_some).then_some(rows);
        Ok(Self { rows, class_names: first.class_names.clone() })
    }

    /// Checks the label of one row.
    ///
    /// # Errors
    ///
    /// Why it cannot be used, as text that follows the row's name.
    pub(super) fn check(&self, row: usize) -> Result<(), String> {
        let Some(rows) = &self.rows else { return Ok(()) };
        let classes = self.class_names.as_ref().map_or(MAX_CLASSES, |names| names.len() as i64);
        match rows.get(row).copied().flatten() {
            Some(label) if (0..classes).contains(&label) => Ok(()),
            Some(label) => Err(format!("its label is {label}, and labels are in 0..{classes}")),
            None => Err("it has no label, and other rows have; `--no-labels` uses none".to_owned()),
        }
    }

    /// Returns the labels of rows that passed [`check`](Self::check).
    pub(super) fn into_labels(self, kept: &[usize]) -> Option<Labels> {
        let rows = self.rows?;
        let per_item = kept.iter().filter_map(|&row| usize::try_from(rows[row]?).ok()).collect();
        Some(match self.class_names {
            Some(names) => Labels { names, per_item },
            None => Labels::numbered(per_item),
        })
    }
}

//! One Parquet file: where its pictures and labels are, and how they are read.

use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::basic::Type;
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::columns::{self, LabelColumn};
use crate::data::DataError;

/// Rows read before they are decoded: so many compressed pictures are in memory at once.
const ROWS_AT_ONCE: usize = 256;

/// One file, opened.
pub(super) struct Shard {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// The column of the pictures' bytes.
    pictures: usize,
    labels: Option<LabelColumn>,
}

impl Shard {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if it is damaged or has no column of pictures, [`DataError::Read`] if the system
    /// refuses.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let file = File::open(path).map_err(DataError::read(path))?;
        let reader = SerializedFileReader::new(file).map_err(damaged(path))?;
        let metadata = reader.metadata().file_metadata();
        let pictures = columns::pictures(metadata).ok_or_else(|| {
            let columns = metadata.schema_descr().columns().iter();
            let columns: Vec<String> = columns.map(|column| column.path().string()).collect();
            let problem = format!(
                "it has no column `image` of pictures, and not one of struct{{bytes, path}} besides; its columns \
                 are {}",
                columns.join(", ")
            );
            DataError::format(path, problem)
        })?;
        let labels = columns::labels(metadata);
        Ok(Self { path: path.to_path_buf(), reader, pictures, labels })
    }

    pub(super) fn num_rows(&self) -> usize {
        // A damaged count is no number of rows; reading will tell.
        usize::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What a message calls a row, counted from 0.
    pub(super) fn row_path(&self, row: usize) -> PathBuf {
        self.path.join(format!("row {row}"))
    }

    pub(super) fn label_column(&self) -> Option<&LabelColumn> {
        self.labels.as_ref()
    }

    /// Hands over the pictures of all rows, still encoded, some rows at a time; `None` where a row has none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if the file is damaged; else what `take` says.
    pub(super) fn for_pictures(
        &self,
        take: impl FnMut(&[Option<ByteArray>]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.for_values::<ByteArrayType>(self.pictures, take)
    }

    /// Reads the labels of all rows; `None` where a row has none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if they are no integers, or the file is damaged.
    pub(super) fn labels(&self, of: &LabelColumn) -> Result<Vec<Option<i64>>, DataError> {
        let mut labels = Vec::with_capacity(self.num_rows());
        let schema = self.reader.metadata().file_metadata().schema_descr();
        match schema.column(of.at).physical_type() {
            Type::INT64 => self.for_values::<Int64Type>(of.at, |rows| {
                labels.extend_from_slice(rows);
                Ok(())
            })?,
            Type::INT32 => self.for_values::<Int32Type>(of.at, |rows| {
                labels.extend(rows.iter().map(|label| label.map(i64::from)));
                Ok(())
            })?,
            other => {
                let problem = format!(
                    "its column `{}` has {other} for labels, and they must be integers; use `--no-labels`",
                    of.name
                );
                return Err(DataError::format(&self.path, problem));
            }
        }
        Ok(labels)
    }

    fn for_values<T: DataType>(
        &self,
        column: usize,
        mut take: impl FnMut(&[Option<T::T>]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let is_there = schema.column(column).max_def_level();
        for group in 0..self.reader.num_row_groups() {
            let reader = self
                .reader
                .get_row_group(group)
                .and_then(|group| group.get_column_reader(column))
                .map_err(damaged(&self.path))?;
            let mut reader = get_typed_column_reader::<T>(reader);
            loop {
                let (mut levels, mut values) = (Vec::new(), Vec::new());
                let (rows, ..) = reader
                    .read_records(ROWS_AT_ONCE, Some(&mut levels), None, &mut values)
                    .map_err(damaged(&self.path))?;
                if rows == 0 {
                    break;
                }
                take(&with_gaps(rows, &levels, is_there, values))?;
            }
        }
        Ok(())
    }
}

/// Puts `None` where a row has no value: its definition level is below that of a value. Columns in which every row
/// has one store no levels.
fn with_gaps<V>(rows: usize, levels: &[i16], is_there: i16, values: Vec<V>) -> Vec<Option<V>> {
    let mut values = values.into_iter();
    if is_there == 0 {
        return (0..rows).map(|_| values.next()).collect();
    }
    levels.iter().map(|&level| if level == is_there { values.next() } else { None }).collect()
}

fn damaged(path: &Path) -> impl FnOnce(ParquetError) -> DataError {
    move |cause| {
        DataError::format(path, format!("it cannot be read as Parquet: {cause}; fetch it again"))
    }
}

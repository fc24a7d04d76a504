//! One Parquet file: finds and reads its pictures and labels.

use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};

use parquet::basic::{Compression, Type};
use parquet::column::reader::get_typed_column_reader;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::columns::{self, LabelColumn};
use super::labels::Rows;
use crate::{DataError, LabelSource, regular};

/// Rows read at once: the largest number of encoded pictures in memory.
const CHUNK_ROWS: usize = 256;

/// An open file.
pub(super) struct Shard {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// Index of the column of encoded pictures.
    pictures: usize,
    labels: Option<LabelColumn>,
}

impl Shard {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if it is damaged or has no column of pictures, [`DataError::Unclear`]
    /// if it has several columns of labels or not the one that is asked for, [`DataError::Read`] if
    /// the system fails to read.
    pub(super) fn open(path: &Path, source: &LabelSource) -> Result<Self, DataError> {
        let (file, _) = regular::open(path).map_err(DataError::read(path))?;
        let reader = guarded(path, || SerializedFileReader::new(file))?;
        let metadata = reader.metadata().file_metadata();
        let pictures = columns::pictures(metadata).ok_or_else(|| {
            let columns = metadata.schema_descr().columns().iter();
            let columns: Vec<String> = columns.map(|column| column.path().string()).collect();
            let problem = format!(
                "it has neither a picture column `image` nor exactly one of struct{{bytes, path}}; \
                 its columns are {}",
                columns.join(", ")
            );
            DataError::format(path, problem)
        })?;
        let labels = columns::labels(metadata, pictures, source)
            .map_err(|problem| DataError::unclear(path, problem))?;
        Ok(Self { path: path.to_path_buf(), reader, pictures, labels })
    }

    pub(super) fn num_rows(&self) -> usize {
        // If the count is damaged, reading the rows reports it.
        usize::try_from(self.reader.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether an error is about this file, and not about one picture in it.
    pub(super) fn is_cause_of(&self, error: &DataError) -> bool {
        matches!(error, DataError::Format { path, .. } if *path == self.path)
    }

    /// Returns the name of a row in messages, counted from 0.
    pub(super) fn row_path(&self, row: usize) -> PathBuf {
        self.path.join(format!("row {row}"))
    }

    pub(super) fn label_column(&self) -> Option<&LabelColumn> {
        self.labels.as_ref()
    }

    /// Names the columns other than that of pictures, for messages.
    pub(super) fn column_names(&self) -> String {
        columns::column_names(self.reader.metadata().file_metadata(), self.pictures)
    }

    /// Passes the encoded pictures of all rows to `visit`, some rows at a time; `None` where a row
    /// has none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if the file is damaged; else the error of `visit`.
    pub(super) fn for_each_chunk(
        &self,
        visit: impl FnMut(&[Option<ByteArray>]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        self.for_each_value_chunk::<ByteArrayType>(self.pictures, visit)
    }

    /// Reads the labels of all rows; -1 and empty names are none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if they are neither integers nor text, or the file is damaged.
    pub(super) fn labels(&self, label: &LabelColumn) -> Result<Rows, DataError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let known = |label: i64| (label != -1).then_some(label);
        let text = |bytes: ByteArray| String::from_utf8_lossy(bytes.data()).into_owned();
        Ok(match schema.column(label.at).physical_type() {
            Type::INT64 => Rows::Numbers(self.values::<Int64Type, _>(label.at, known)?),
            Type::INT32 => {
                Rows::Numbers(self.values::<Int32Type, _>(label.at, |label| known(label.into()))?)
            }
            Type::BYTE_ARRAY => {
                let name = |bytes| Some(text(bytes)).filter(|name| !name.is_empty());
                Rows::Names(self.values::<ByteArrayType, _>(label.at, name)?)
            }
            Type::BOOLEAN => {
                Rows::Names(self.values::<BoolType, _>(label.at, |label| Some(label.to_string()))?)
            }
            other => {
                let problem = format!(
                    "its column `{}` has labels of type {other}, which must be integers or text; \
                     choose another with `--labels column:NAME`, or use `--no-labels`",
                    label.name
                );
                return Err(DataError::format(&self.path, problem));
            }
        })
    }

    /// Reads a whole column, and converts its values.
    fn values<T: DataType, V>(
        &self,
        column: usize,
        convert: impl Fn(T::T) -> Option<V>,
    ) -> Result<Vec<Option<V>>, DataError> {
        let mut values = Vec::with_capacity(self.num_rows());
        self.for_each_value_chunk::<T>(column, |rows| {
            values.extend(rows.iter().map(|value| value.clone().and_then(&convert)));
            Ok(())
        })?;
        Ok(values)
    }

    /// Refuses compressions that are not built in, which the reader would only call disabled.
    fn check_compression(&self, column: usize) -> Result<(), DataError> {
        let groups = self.reader.metadata().row_groups();
        let mut compressions = groups.iter().map(|group| group.column(column).compression());
        let name = |compression| match compression {
            Compression::BROTLI(_) => Some("Brotli"),
            Compression::LZ4 | Compression::LZ4_RAW => Some("LZ4"),
            Compression::LZO => Some("LZO"),
            _ => None,
        };
        let Some(name) = compressions.find_map(name) else { return Ok(()) };
        let problem = format!(
            "it is compressed with {name}, which is not built in; write it again with zstd or \
             snappy, as in `pandas.read_parquet(FILE).to_parquet(FILE, compression=\"zstd\")`"
        );
        Err(DataError::format(&self.path, problem))
    }

    fn for_each_value_chunk<T: DataType>(
        &self,
        column: usize,
        mut visit: impl FnMut(&[Option<T::T>]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let value_level = schema.column(column).max_def_level();
        self.check_compression(column)?;
        for group in 0..self.reader.num_row_groups() {
            let reader = guarded(&self.path, || {
                self.reader.get_row_group(group)?.get_column_reader(column)
            })?;
            let mut reader = get_typed_column_reader::<T>(reader);
            loop {
                let (mut levels, mut values) = (Vec::new(), Vec::new());
                let (rows, ..) = guarded(&self.path, || {
                    reader.read_records(CHUNK_ROWS, Some(&mut levels), None, &mut values)
                })?;
                if rows == 0 {
                    break;
                }
                visit(&with_gaps(rows, &levels, value_level, values))?;
            }
        }
        Ok(())
    }
}

/// Puts `None` where a row has no value: its definition level is below that of a value. Columns
/// with a value in every row store no levels.
fn with_gaps<V>(rows: usize, levels: &[i16], value_level: i16, values: Vec<V>) -> Vec<Option<V>> {
    let mut values = values.into_iter();
    if value_level == 0 {
        return (0..rows).map(|_| values.next()).collect();
    }
    levels.iter().map(|&level| if level == value_level { values.next() } else { None }).collect()
}

/// Calls the reader, which panics on some damage where it should fail.
fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, DataError> {
    // What a panic leaves behind is not used again: the error ends the reading of this file.
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    let contradicts = |_| ParquetError::General("its parts contradict each other".to_owned());
    outcome.map_err(contradicts).flatten().map_err(damaged(path))
}

fn damaged(path: &Path) -> impl FnOnce(ParquetError) -> DataError {
    move |cause| {
        DataError::format(path, format!("it cannot be read as Parquet: {cause}; fetch it again"))
    }
}

//! One LMDB environment, opened read-only.

use std::fs;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use crate::DataError;

/// The file in an environment's folder that holds everything but the lock.
pub(super) const FILE: &str = "data.mdb";
/// Values decoded in parallel.
const AT_ONCE: usize = 256;

/// A key and its value, both in the mapped file.
pub(super) type Entry<'e> = (&'e [u8], &'e [u8]);

/// An open environment with its one unnamed database.
pub(super) struct Environment {
    folder: PathBuf,
    env: Env<WithoutTls>,
    len: usize,
}

impl Environment {
    /// Opens the environment in a folder.
    ///
    /// LMDB trusts what it reads, and reading beyond the end of a mapped file kills the process, so
    /// a file shorter than it claims is refused here. Damage that leaves the length unchanged may
    /// still kill the process.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if it is not LMDB, or is truncated; [`DataError::Read`] if the system
    /// fails to read.
    pub(super) fn open(folder: &Path) -> Result<Self, DataError> {
        let file = folder.join(FILE);
        let length = fs::metadata(&file).map_err(DataError::read(&file))?.len();
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        // SAFETY: nobody writes to a data set while it is read, as memory mapping and reading
        // without a lock require.
        let env = unsafe {
            options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK);
            options.open(folder)
        };
        let env = env.map_err(damaged(&file))?;
        let (len, page) = {
            let database = unnamed(&env, &file)?;
            let transaction = env.read_txn().map_err(damaged(&file))?;
            let stat = database.stat(&transaction).map_err(damaged(&file))?;
            (stat.entries, u64::from(stat.page_size))
        };
        let whole = (env.info().last_page_number as u64 + 1).saturating_mul(page);
        if length < whole {
            let problem = format!("it is truncated: {length} of {whole} bytes; fetch it again");
            return Err(DataError::format(&file, problem));
        }
        Ok(Self { folder: folder.to_path_buf(), env, len })
    }

    /// Returns the number of values.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Returns the path of the file that holds everything.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    /// Returns whether an error is about this file, and not about one picture in it.
    pub(super) fn is_cause_of(&self, error: &DataError) -> bool {
        let (DataError::Format { path, .. } | DataError::Read { path, .. }) = error else {
            return false;
        };
        *path == self.file()
    }

    /// Returns the name of a value in messages.
    pub(super) fn value_path(&self, key: &[u8]) -> PathBuf {
        self.folder.join(String::from_utf8_lossy(key).into_owned())
    }

    /// Passes all values to `visit` in the order of their keys, some at a time.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if LMDB finds the file damaged; else the error of `visit`.
    pub(super) fn for_each_chunk(
        &self,
        mut visit: impl FnMut(&[Entry<'_>]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let file = self.file();
        let database = unnamed(&self.env, &file)?;
        let transaction = self.env.read_txn().map_err(damaged(&file))?;
        let mut remaining = database.iter(&transaction).map_err(damaged(&file))?;
        loop {
            let entries: Vec<Entry<'_>> = remaining
                .by_ref()
                .take(AT_ONCE)
                .collect::<Result<_, _>>()
                .map_err(damaged(&file))?;
            if entries.is_empty() {
                return Ok(());
            }
            visit(&entries)?;
        }
    }
}

/// Opens the unnamed database, which every environment has.
fn unnamed<'e>(
    env: &'e Env<WithoutTls>,
    file: &Path,
) -> Result<Database<'e, Bytes, Bytes>, DataError> {
    let transaction = env.read_txn().map_err(damaged(file))?;
    let opened = env.open_databases_and_commit(transaction, |opener, transaction| {
        opener.open_database(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
    });
    let database = opened.map_err(damaged(file))?.unwrap_commit();
    database.ok_or_else(|| DataError::format(file, "it has no database; fetch it again"))
}

fn damaged(file: &Path) -> impl FnOnce(heed::Error) -> DataError {
    move |cause| match cause {
        heed::Error::Io(cause) => DataError::Read { path: file.to_path_buf(), cause },
        cause => {
            DataError::format(file, format!("it cannot be read as LMDB: {cause}; fetch it again"))
        }
    }
}

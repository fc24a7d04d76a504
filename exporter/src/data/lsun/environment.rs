//! One LMDB environment, opened to be read.

use std::fs;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions, WithoutTls};

use crate::data::DataError;

/// The file in an environment's folder that holds everything but its lock.
pub(super) const FILE: &str = "data.mdb";
/// Values decoded side by side.
const AT_ONCE: usize = 256;

/// A key and its value, where the file is mapped to.
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
    /// LMDB trusts what it reads, and a process that reads beyond a mapped file's end is ended: so a file that is
    /// shorter than it says is refused here. Damage inside of it that leaves its length may still end the process.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if it is no LMDB, or is cut short; [`DataError::Read`] if the system refuses.
    pub(super) fn open(folder: &Path) -> Result<Self, DataError> {
        let file = folder.join(FILE);
        let length = fs::metadata(&file).map_err(DataError::read(&file))?.len();
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        // SAFETY: files of data sets are not written to while they are read, which is what is asked of a file
        // that is mapped, and of one that is read without a lock.
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
            let problem =
                format!("it is cut short: {length} bytes of {whole} are there; fetch it again");
            return Err(DataError::format(&file, problem));
        }
        Ok(Self { folder: folder.to_path_buf(), env, len })
    }

    /// How many values there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// What a message calls a value.
    pub(super) fn value_path(&self, key: &[u8]) -> PathBuf {
        self.folder.join(String::from_utf8_lossy(key).into_owned())
    }

    /// Hands over all values in the order of their keys, some at a time.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if LMDB finds the file damaged; else what `take` says.
    pub(super) fn for_values(
        &self,
        mut take: impl FnMut(&[Entry<'_>]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let file = self.folder.join(FILE);
        let database = unnamed(&self.env, &file)?;
        let transaction = self.env.read_txn().map_err(damaged(&file))?;
        let mut entries = database.iter(&transaction).map_err(damaged(&file))?;
        loop {
            let some: Vec<Entry<'_>> =
                entries.by_ref().take(AT_ONCE).collect::<Result<_, _>>().map_err(damaged(&file))?;
            if some.is_empty() {
                return Ok(());
            }
            take(&some)?;
        }
    }
}

/// The database that every environment has.
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

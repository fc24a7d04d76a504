//! The picture files below a folder, or in a zip archive that is read in place.
//!
//! Whether a file is a picture is decided by its content when it is read; its name counts only if
//! the content is not understood. Files come in the order of their paths, without hidden ones; in
//! folders, links are followed. What cannot be read is named, not passed over.

use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::archive::{self, Archive};
use crate::content::{self, Content, HEAD_LEN};
use crate::gather::{Gather, LeftOut};
use crate::names::is_hidden;
use crate::picture::{self, Decoded};
use crate::places::{absent, found_in};
use crate::remarks::Ignored;
use crate::tree::Listing;
use crate::{Background, DataError, OnBroken, regular};

/// The files of one folder or archive, most of them pictures.
pub(crate) struct PictureFiles {
    root: PathBuf,
    store: Store,
    files: Vec<Found>,
    /// What cannot be read, found while listing, each with the reason.
    broken: Vec<(PathBuf, String)>,
    ignored: Ignored,
}

enum Store {
    Folder,
    Zip(Archive),
}

struct Found {
    /// Path below the root.
    name: PathBuf,
    /// Index in the archive.
    at: usize,
}

/// A larger file is not a picture: a photograph of 16,384 × 16,384 pixels is well below it.
const MAX_FILE_BYTES: u64 = 512 << 20;
/// Larger files are read one at a time, so that memory does not grow with the cores.
const LARGE_FILE_BYTES: u64 = 64 << 20;
/// Bytes read before content is judged; most small pictures are then complete.
const FIRST_READ: u64 = 16 << 10;

impl PictureFiles {
    /// Finds the files below a folder or in a zip archive.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if neither exists or it holds no file, [`DataError::Format`] if the
    /// archive is damaged, [`DataError::Read`] if the system fails to read.
    pub(crate) fn find(root: &Path) -> Result<Self, DataError> {
        let mut found = if root.is_dir() {
            Self::in_folder(root)?
        } else if root.is_file() {
            Self::in_archive(root)?
        } else {
            return Err(absent(root, "folder or zip archive"));
        };
        if found.files.is_empty() && found.broken.is_empty() {
            let others = found.ignored.summary().map(|others| format!("; {others}"));
            let problem = format!("it contains no picture{}", others.unwrap_or_default());
            return Err(DataError::missing(root, problem));
        }
        found.files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn in_folder(root: &Path) -> Result<Self, DataError> {
        let listing = Listing::of(root)?;
        let files = listing.files.into_iter().map(|name| Found { name, at: 0 }).collect();
        let mut ignored = Ignored::default();
        ignored.add_hidden(listing.hidden);
        let (root, broken) = (root.to_path_buf(), listing.broken);
        Ok(Self { root, store: Store::Folder, files, broken, ignored })
    }

    fn in_archive(root: &Path) -> Result<Self, DataError> {
        let archive = Archive::open(root)?;
        let mut entries = archive.entries();
        let all = entries.files.len() + entries.broken.len();
        entries.files.retain(|(name, _)| !is_hidden(name));
        // `..` is no hidden file, however it is separated from the rest.
        let is_outside = |name: &Path| name.as_os_str().as_encoded_bytes().starts_with(b"..");
        entries.broken.retain(|(name, _)| is_outside(name) || !is_hidden(name));
        let mut ignored = Ignored::default();
        ignored.add_hidden(all - entries.files.len() - entries.broken.len());
        let files = entries.files.into_iter().map(|(name, at)| Found { name, at }).collect();
        let (root, broken) = (root.to_path_buf(), entries.broken);
        Ok(Self { root, store: Store::Zip(archive), files, broken, ignored })
    }

    /// Finds the files in the first of `names` that exists below `path`, or else in `path` itself.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find).
    pub(crate) fn find_below(path: &Path, names: &[&str]) -> Result<Self, DataError> {
        if let Some(below) = names.iter().map(|name| path.join(name)).find(|root| root.exists()) {
            return Self::find(&below);
        }
        Self::find(path).map_err(|cause| match cause {
            DataError::Missing { path, problem } if path.is_dir() => {
                let looked_for = names.join(", ");
                let problem = format!("{problem}, nor has it {looked_for}; {}", found_in(&path));
                DataError::Missing { path, problem }
            }
            cause => cause,
        })
    }

    /// Reads a text that lies among the pictures of an archive: the first file with one of the
    /// names. Returns its path for messages; `None` in a folder, where it is read by path.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if it cannot be read, is not UTF-8, or has more than `limit` bytes.
    pub(crate) fn text_in_archive(
        &self,
        names: &[&str],
        limit: u64,
    ) -> Result<Option<(PathBuf, String)>, DataError> {
        if !self.is_archive() {
            return Ok(None);
        }
        let is_wanted = |file: &Path| {
            file.file_name().is_some_and(|name| names.iter().any(|wanted| name == *wanted))
        };
        let Some(i) = (0..self.len()).find(|&i| is_wanted(self.name(i))) else { return Ok(None) };
        let path = self.path(i);
        let text = self.first_bytes(i, limit + 1).and_then(|bytes| {
            if bytes.len() as u64 > limit {
                return Err(format!("it has more than {limit} bytes"));
            }
            String::from_utf8(bytes).map_err(|cause| cause.to_string())
        });
        match text {
            Ok(text) => Ok(Some((path, regular::without_mark(text)))),
            Err(problem) => Err(DataError::format(&path, problem)),
        }
    }

    /// Returns the number of files that may be pictures.
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }

    /// Returns the folder or the archive.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the path of file `i` below the root.
    pub(crate) fn name(&self, i: usize) -> &Path {
        &self.files[i].name
    }

    /// Returns whether file `i` is a picture, usable or not: others need no label. Names decide
    /// first, so that few files are opened; what cannot be read may be one.
    pub(crate) fn is_picture(&self, i: usize) -> bool {
        if content::is_named_picture(self.name(i)) {
            return true;
        }
        match self.first_bytes(i, HEAD_LEN as u64) {
            Ok(head) => Content::of(&head) != Content::Other,
            Err(_) => true,
        }
    }

    /// Returns whether the files lie in an archive.
    pub(crate) fn is_archive(&self) -> bool {
        matches!(self.store, Store::Zip(_))
    }

    /// Reads at most the first `limit` bytes of file `i`.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, as text that follows its name.
    pub(crate) fn first_bytes(&self, i: usize, limit: u64) -> Result<Vec<u8>, String> {
        let read = |file: &mut dyn Read| {
            let mut bytes = Vec::new();
            file.take(limit).read_to_end(&mut bytes).map(|_| bytes)
        };
        let Found { name, at } = &self.files[i];
        match &self.store {
            Store::Folder => regular::open(&self.root.join(name))
                .and_then(|(mut file, _)| read(&mut file))
                .map_err(|cause| cannot_read(&cause)),
            Store::Zip(archive) => archive
                .with_entry(*at, |file, _| read(file))?
                .map_err(|cause| archive::reason(&cause)),
        }
    }

    /// Returns the name of file `i` in messages.
    pub(crate) fn path(&self, i: usize) -> PathBuf {
        self.root.join(self.name(i))
    }

    /// Sorts the files by a key; those of equal key stay in the order of their paths.
    pub(crate) fn sort_by_key<K: Ord>(&mut self, key: impl Fn(&Path) -> K) {
        self.files.sort_by_cached_key(|file| key(&file.name));
    }

    /// Keeps only files whose path below the root satisfies `wanted`.
    pub(crate) fn retain(&mut self, mut wanted: impl FnMut(&Path) -> bool) {
        self.files.retain(|file| wanted(&file.name));
    }

    /// Counts files that are named like no picture as ignored, and keeps the others.
    pub(crate) fn ignore_other_names(&mut self) {
        let (pictures, others) = std::mem::take(&mut self.files)
            .into_iter()
            .partition(|file| content::is_named_picture(&file.name));
        let others: Vec<Found> = others;
        others.iter().for_each(|file| self.ignored.add(&file.name));
        self.files = pictures;
    }

    /// Starts gathering these files, with what listing them has found.
    pub(crate) fn gather(&self, on_broken: OnBroken) -> Gather {
        let mut gather = Gather::new(&self.root, self.len(), on_broken);
        for (name, reason) in &self.broken {
            // `join` would drop the root before an absolute name.
            let mut path = self.root.clone().into_os_string();
            path.push("/");
            path.push(name);
            gather.skip(path.into(), reason);
        }
        gather.ignore(&self.ignored);
        gather
    }

    /// Reads and [decodes](picture::decode) file `i`; any number of threads may call it at once.
    ///
    /// # Errors
    ///
    /// That it is no picture, or why it cannot be used.
    pub(crate) fn decode(&self, i: usize, background: Background) -> Result<Decoded, LeftOut> {
        let Found { name, at } = &self.files[i];
        let bytes = match &self.store {
            Store::Folder => match regular::open(&self.root.join(name)) {
                Ok((file, length)) => read_picture(name, file, length, cannot_read),
                Err(cause) => Err(cannot_read(&cause).into()),
            },
            Store::Zip(archive) => archive.with_entry(*at, |file, length| {
                read_picture(name, file, length, archive::reason)
            })?,
        };
        Ok(picture::decode(&bytes?, background)?)
    }
}

/// Reads a file if it begins like a picture.
///
/// * `length`: bytes in the file, as far as is known before reading.
/// * `reason`: says why reading failed.
fn read_picture(
    name: &Path,
    mut file: impl Read,
    length: u64,
    reason: impl Fn(&io::Error) -> String,
) -> Result<Vec<u8>, LeftOut> {
    let mut bytes = Vec::with_capacity(length.min(FIRST_READ) as usize);
    file.by_ref().take(FIRST_READ).read_to_end(&mut bytes).map_err(|cause| reason(&cause))?;
    judge(name, &bytes[..bytes.len().min(HEAD_LEN)])?;
    if length > MAX_FILE_BYTES {
        return Err(too_large().into());
    }
    if (bytes.len() as u64) < FIRST_READ {
        return Ok(bytes);
    }
    // A length may be a lie, so what was read decides.
    let mut read_up_to = |bytes: &mut Vec<u8>, limit: u64| {
        let rest = limit - bytes.len() as u64;
        file.by_ref().take(rest).read_to_end(bytes).map_err(|cause| reason(&cause))
    };
    read_up_to(&mut bytes, LARGE_FILE_BYTES)?;
    if bytes.len() as u64 == LARGE_FILE_BYTES {
        static LARGE: Mutex<()> = Mutex::new(());
        let _alone = LARGE.lock().unwrap_or_else(PoisonError::into_inner);
        read_up_to(&mut bytes, MAX_FILE_BYTES + 1)?;
    }
    if bytes.len() as u64 > MAX_FILE_BYTES { Err(too_large().into()) } else { Ok(bytes) }
}

/// Decides by the first bytes whether a file is a picture that is read here.
fn judge(name: &Path, head: &[u8]) -> Result<(), LeftOut> {
    match Content::of(head) {
        Content::Picture(_) => content::raw(name).map_or(Ok(()), |reason| Err(reason.into())),
        Content::Unread(format) => Err(content::unread(format).into()),
        Content::Other if content::is_named_picture(name) => {
            Err(content::no_picture(name, head).into())
        }
        Content::Other => Err(LeftOut::Ignored),
    }
}

fn too_large() -> String {
    format!("it has more than {} MiB", MAX_FILE_BYTES >> 20)
}

fn cannot_read(cause: &io::Error) -> String {
    match cause.kind() {
        ErrorKind::NotFound => "it vanished while the folder was read".to_owned(),
        _ => format!("cannot read it: {cause}"),
    }
}

//! Lists the files below a folder. A bad entry does not end the list: it is named with the reason.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::names::{is_hidden, shown};
use crate::{DataError, regular};

/// How often a folder may be reached through links. Folders that link to each other can have
/// endlessly many paths without a loop.
const MAX_VISITS: usize = 64;

/// What lies below a folder.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Regular files: their paths below the folder, in no order.
    pub(crate) files: Vec<PathBuf>,
    /// What can be no file: unreadable folders, links to nowhere, devices, …, each with the reason.
    pub(crate) broken: Vec<(PathBuf, String)>,
    /// Number of hidden files and folders, which are not looked into.
    pub(crate) hidden: usize,
}

impl Listing {
    /// Lists everything below `root`, following links. No file is opened.
    ///
    /// # Errors
    ///
    /// [`DataError::Read`] if `root` itself cannot be read.
    pub(crate) fn of(root: &Path) -> Result<Self, DataError> {
        let mut listing = Self::default();
        let mut links = FollowedLinks::new(root);
        let mut walk = WalkDir::new(root).follow_links(true).into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(cause) if cause.depth() == 0 => return Err(DataError::walk(root)(cause)),
                Err(cause) => {
                    listing.refuse(root, &cause);
                    continue;
                }
            };
            if entry.depth() > 0 && is_hidden(entry.file_name().as_ref()) {
                listing.hidden += 1;
            } else if let Some(reason) = links.refuse(&entry) {
                listing.broken.push((below(root, entry.path()), reason));
            } else {
                listing.add(root, &entry);
                continue;
            }
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
        }
        Ok(listing)
    }

    fn add(&mut self, root: &Path, entry: &DirEntry) {
        match regular::kind(entry.file_type()) {
            None => self.files.push(below(root, entry.path())),
            Some(_) if entry.file_type().is_dir() => {}
            Some(kind) => {
                self.broken.push((below(root, entry.path()), format!("it is {kind}, not a file")));
            }
        }
    }

    fn refuse(&mut self, root: &Path, cause: &walkdir::Error) {
        let path = cause.path().unwrap_or(root);
        let name = below(root, path);
        if is_hidden(&name) {
            self.hidden += 1;
        } else {
            self.broken.push((name, reason(path, cause)));
        }
    }
}

fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}

/// The links to folders that were followed so far.
struct FollowedLinks {
    /// Where the listed folder really lies.
    root: Option<PathBuf>,
    /// How often links led to a folder, by device and inode.
    visits: HashMap<(u64, u64), usize>,
}

impl FollowedLinks {
    fn new(root: &Path) -> Self {
        Self { root: root.canonicalize().ok(), visits: HashMap::new() }
    }

    /// Says why a link to a folder is not followed, as text that follows its name; `None` for any
    /// other entry. The walk itself finds links to a folder that it is in.
    fn refuse(&mut self, entry: &DirEntry) -> Option<String> {
        if entry.depth() == 0 || !entry.path_is_symlink() || !entry.file_type().is_dir() {
            return None;
        }
        let (root, target) = (self.root.as_ref()?, entry.path().canonicalize().ok()?);
        if root.starts_with(&target) {
            return Some(format!("the link leads to {}, which holds this data", shown(&target)));
        }
        let metadata = entry.metadata().ok()?;
        let count = self.visits.entry((metadata.dev(), metadata.ino())).or_default();
        *count += 1;
        let reason = "links lead to this folder over and over; remove some of them";
        (*count > MAX_VISITS).then(|| reason.to_owned())
    }
}

/// Says why an entry cannot be used, as text that follows its name.
fn reason(path: &Path, cause: &walkdir::Error) -> String {
    if let Some(ancestor) = cause.loop_ancestor() {
        return format!("the link leads back to {}", shown(ancestor));
    }
    let kind = cause.io_error().map(std::io::Error::kind);
    let link = fs::read_link(path).ok();
    match (kind, link) {
        (Some(ErrorKind::NotFound), Some(target)) => {
            format!("the link leads to {}, which is not there", shown(&target))
        }
        (Some(ErrorKind::NotFound), None) => "it vanished while the folder was read".to_owned(),
        (_, Some(target)) => match cause.io_error() {
            Some(cause) => format!("cannot follow the link to {}: {cause}", shown(&target)),
            None => format!("cannot follow the link to {}", shown(&target)),
        },
        _ => match cause.io_error() {
            Some(cause) => format!("cannot read it: {cause}"),
            None => format!("cannot read it: {cause}"),
        },
    }
}

//! Lists the files of a zip archive, which is read in place. One bad entry does not end the list:
//! it is named with the reason.
//!
//! An archive is never unpacked to disk, so no name in it can overwrite a file; a name that points
//! outside is refused all the same.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use crate::content::{Content, HEAD_LEN};
use crate::positioned::Positioned;
use crate::{DataError, regular};

/// An open archive.
pub(crate) struct Archive {
    zip: ZipArchive<Positioned>,
}

/// What an archive holds.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    /// Regular files: path and index, in no order.
    pub(crate) files: Vec<(PathBuf, usize)>,
    /// Entries that cannot be read, each with the reason.
    pub(crate) broken: Vec<(PathBuf, String)>,
}

/// Beginnings of files that are taken for zip archives, and what they are.
const OTHERS: [(&[u8], &str); 7] = [
    (b"\x1f\x8b", "compressed with gzip, like a .tar.gz"),
    (b"\xfd7zXZ\0", "compressed with xz, like a .tar.xz"),
    (b"BZh", "compressed with bzip2, like a .tar.bz2"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd, like a .tar.zst"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"PAR1", "a Parquet file; use parquet:PATH, or"),
];

impl Archive {
    /// Opens an archive and reads its directory.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if it is no zip archive, or a damaged one, [`DataError::Read`] if the
    /// system fails to read.
    pub(crate) fn open(path: &Path) -> Result<Self, DataError> {
        let (file, length) = regular::open(path).map_err(DataError::read(path))?;
        let file = Positioned::new(file, length);
        let mut zip = ZipArchive::new(file.clone())
            .map_err(|cause| DataError::format(path, not_a_zip(file, &cause)))?;
        // Such an archive can unpack to any multiple of its size.
        if zip.has_overlapping_files().unwrap_or(false) {
            let problem = "its entries share their data, as in a zip bomb; pack it again";
            return Err(DataError::format(path, problem));
        }
        Ok(Self { zip })
    }

    /// Lists all entries that are no folders.
    pub(crate) fn entries(&self) -> Entries {
        let mut entries = Entries::default();
        for at in 0..self.zip.len() {
            match self.entry(at) {
                Ok(Some(name)) => entries.files.push((name, at)),
                Ok(None) => {}
                Err(broken) => entries.broken.push(broken),
            }
        }
        if self.zip.has_duplicate_names() {
            entries.broken.extend(self.duplicates().unwrap_or_default());
        }
        entries
    }

    /// Returns the path of an entry; `None` for a folder.
    fn entry(&self, at: usize) -> Result<Option<PathBuf>, (PathBuf, String)> {
        let number = || PathBuf::from(format!("entry {at}"));
        let entry = self.zip.by_index_data(at).map_err(|cause| (number(), cause.to_string()))?;
        let text = entry.name().map_err(|cause| (number(), cause.to_string()))?;
        let name = enclosed(&text, str::from_utf8(entry.name_raw()).is_ok())
            .map_err(|reason| (PathBuf::from(&*text), reason.to_owned()))?;
        if entry.is_dir() {
            return Ok(None);
        }
        match problem(entry.is_symlink(), entry.encrypted(), entry.compression()) {
            Some(reason) => Err((name, reason)),
            None => Ok(Some(name)),
        }
    }

    /// Finds names that more than one entry has. Only the last of them can be read, and the crate
    /// lists no other, so this reads the central directory itself.
    fn duplicates(&self) -> io::Result<Vec<(PathBuf, String)>> {
        let mut file = self.zip.clone().into_inner();
        file.seek(SeekFrom::Start(self.zip.central_directory_start()))?;
        let mut file = BufReader::new(file);
        let mut names = HashSet::new();
        let mut duplicates = Vec::new();
        while let Some(name) = next_name(&mut file)? {
            if !names.insert(name.clone()) {
                let reason = "several entries have this name, and only the last can be read; pack \
                              the archive again";
                duplicates.push((PathBuf::from(OsString::from_vec(name)), reason.to_owned()));
            }
        }
        Ok(duplicates)
    }

    /// Passes the content of an entry to `read`, with its length in bytes as the archive states it.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, as text that follows its name.
    pub(crate) fn with_entry<T>(
        &self,
        at: usize,
        read: impl FnOnce(&mut dyn Read, u64) -> T,
    ) -> Result<T, String> {
        // Clones share the archive's directory, so a clone per thread is cheap.
        let mut zip = self.zip.clone();
        let mut entry = zip.by_index(at).map_err(|cause| reason(&io::Error::from(cause)))?;
        let length = entry.size();
        Ok(read(&mut entry, length))
    }
}

/// Reads the name in the next record of a central directory; `None` after the last.
fn next_name(directory: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut signature = [0; 4];
    directory.read_exact(&mut signature)?;
    if signature != *b"PK\x01\x02" {
        return Ok(None);
    }
    let mut record = [0; 42];
    directory.read_exact(&mut record)?;
    // Of the name, the extra field, and the comment.
    let [name, extra, comment] =
        [24, 26, 28].map(|at| u16::from_le_bytes([record[at], record[at + 1]]));
    let mut name = vec![0; name.into()];
    directory.read_exact(&mut name)?;
    let rest = u64::from(extra) + u64::from(comment);
    io::copy(&mut directory.take(rest), &mut io::sink())?;
    Ok(Some(name))
}

/// Says why reading failed, as text that follows the name of an entry.
pub(crate) fn reason(cause: &io::Error) -> String {
    let text = cause.to_string();
    if text.contains("checksum") {
        return "its content does not match its checksum; pack or fetch the archive again".into();
    }
    format!("cannot read it: {text}")
}

fn not_a_zip(mut file: Positioned, cause: &ZipError) -> String {
    let mut head = [0; HEAD_LEN];
    let read = file.read(&mut head).unwrap_or(0);
    if matches!(Content::of(&head[..read]), Content::Picture(_) | Content::Unread(_)) {
        return "it is one picture; name the folder that it lies in".to_owned();
    }
    match OTHERS.iter().find(|(start, _)| head[..read].starts_with(start)) {
        Some((_, what)) => format!(
            "it is {what}; only zip archives are read in place: unpack it, and name the folder"
        ),
        None => format!("it is not a complete zip archive: {cause}; pack it again"),
    }
}

/// Turns the name of an entry into a path below the archive.
///
/// * `is_utf8`: whether the name is stored as UTF-8. Others are read as the oldest encoding, in
///   which every byte is a character, so that different names stay different.
///
/// # Errors
///
/// Why there is no such path, as text that follows the name.
fn enclosed(name: &str, is_utf8: bool) -> Result<PathBuf, &'static str> {
    // Some programs for Windows write backslashes. In other encodings that byte may be the second
    // half of a character.
    let is_separator = |symbol| symbol == '/' || symbol == '\\' && is_utf8;
    let has_drive = matches!(name.as_bytes(), [b'A'..=b'Z' | b'a'..=b'z', b':', ..]);
    if name.starts_with(is_separator) || has_drive {
        return Err("its absolute name points outside of it; pack it again");
    }
    if name.contains('\0') {
        return Err("its name holds a zero; pack it again");
    }
    let mut path = PathBuf::new();
    for part in name.split(is_separator) {
        match part {
            ".." => return Err("`..` in its name points outside of it; pack it again"),
            "" | "." => {}
            part => path.push(part),
        }
    }
    Ok(path)
}

/// Says what prevents reading an entry, as text that follows its name.
fn problem(is_link: bool, is_encrypted: bool, compression: CompressionMethod) -> Option<String> {
    let read = [CompressionMethod::STORE, CompressionMethod::DEFLATE];
    if is_link {
        return Some("it is a link, which archives do not follow; pack the file itself".to_owned());
    }
    if is_encrypted {
        let reason = "it is encrypted; unpack the archive with its password, and name the folder";
        return Some(reason.to_owned());
    }
    (!read.contains(&compression)).then(|| {
        format!(
            "it is compressed with {compression}, which is not built in; unpack the archive and \
             name the folder, or zip it with deflate"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_inside_the_archive_or_is_refused() {
        for (name, path) in
            [("a/b.png", "a/b.png"), ("./a//b", "a/b"), (r"a\b.png", "a/b.png"), ("a..b", "a..b")]
        {
            assert_eq!(enclosed(name, true).unwrap(), Path::new(path));
        }
        for name in ["/etc/a", r"\\server\a", "C:/a", "../a", "a/../b", r"a\..\b", "a\0b"] {
            assert!(enclosed(name, true).is_err(), "{name}");
        }
    }

    #[test]
    fn half_of_a_character_is_no_separator() {
        // The katakana ソ in Shift JIS, which ends in the byte of a backslash, read as CP437.
        assert_eq!(enclosed("â\\/1.png", false).unwrap().parent().unwrap(), Path::new("â\\"));
    }
}

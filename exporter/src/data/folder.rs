//! A folder or a zip archive of pictures of any common format and size.

use std::path::{Path, PathBuf};

use super::gather::{Gather, Gathered, Preparation};
use super::labels::Labels;
use super::picture_files::PictureFiles;
use super::{DataError, FolderLabels, LoadOptions};

/// Loads every picture in `root`, cropped to its centre square and resized to `image_size`, and the labels that the
/// sub-folders give.
///
/// Without `image_size` the pictures must all be squares of one size.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no folder or archive, or no usable picture in it, [`DataError::Broken`] if one
/// cannot be decoded and `on_broken` is to refuse, [`DataError::Format`] if `image_size` is needed,
/// [`DataError::Read`] if the system refuses.
pub(super) fn load(
    root: &Path,
    options: &LoadOptions,
) -> Result<(Gathered, Option<Labels>), DataError> {
    let files = PictureFiles::find(root)?;
    let gathered = gather(&files, options)?;
    let labels = match options.folder_labels {
        FolderLabels::Auto => labels_from_folders(&files, &gathered.kept),
        FolderLabels::None => None,
    };
    Ok((gathered, labels))
}

/// Loads pictures in the order that `files` has.
///
/// # Errors
///
/// As [`load`].
pub(super) fn gather(files: &PictureFiles, options: &LoadOptions) -> Result<Gathered, DataError> {
    let preparation = Preparation::asked(options);
    let mut gather = Gather::new(files.root(), files.len(), options.on_broken);
    gather.add(
        files.len(),
        |i| files.path(i),
        |i| Ok(files.decode(i)?.map(|picture| preparation.apply(picture))),
    )?;
    gather.finish()
}

/// Classes are the sub-folders in the order of their names, if every picture lies directly in one of two or more.
///
/// In an archive the folders that hold everything do not count: what was packed often lies in one.
fn labels_from_folders(files: &PictureFiles, kept: &[usize]) -> Option<Labels> {
    let folders: Vec<&Path> =
        kept.iter().map(|&i| files.name(i).parent()).collect::<Option<_>>()?;
    let root = if files.is_zip() { common_folder(&folders) } else { PathBuf::new() };
    if folders.iter().any(|folder| folder.parent() != Some(&root)) {
        return None;
    }
    let mut classes = folders.clone();
    classes.sort_unstable();
    classes.dedup();
    let name = |class: &&Path| class.file_name().map(|name| name.to_string_lossy().into_owned());
    let names: Vec<String> = classes.iter().map(name).collect::<Option<_>>()?;
    let of =
        folders.iter().map(|folder| classes.binary_search(folder).ok()).collect::<Option<_>>()?;
    (classes.len() >= 2).then_some(Labels { names, of })
}

/// The deepest folder that all of them lie in.
fn common_folder(folders: &[&Path]) -> PathBuf {
    let Some((first, rest)) = folders.split_first() else { return PathBuf::new() };
    let holds_all = |folder: &&Path| rest.iter().all(|other| other.starts_with(folder));
    first.ancestors().find(holds_all).unwrap_or(Path::new("")).to_path_buf()
}

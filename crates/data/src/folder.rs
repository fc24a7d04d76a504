//! A folder or a zip archive of pictures, in any common format and size.

use std::path::{Path, PathBuf};

use crate::gather::{Gathered, Preparation};
use crate::labels::Labels;
use crate::picture_files::PictureFiles;
use crate::{DataError, FolderLabels, LoadOptions};

/// Loads every picture in `root`, cropped to its centre square and resized to `image_size`, with
/// labels from the sub-folders.
///
/// Without `image_size` the pictures must all be squares of one size.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no folder or archive, or no usable picture in it,
/// [`DataError::Broken`] if one cannot be decoded and `on_broken` is
/// [`Refuse`](crate::OnBroken::Refuse), [`DataError::Format`] if `image_size` is needed,
/// [`DataError::Read`] if the system fails to read.
pub(crate) fn load(
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

/// Loads pictures in the order of `files`.
///
/// # Errors
///
/// As [`load`].
pub(crate) fn gather(files: &PictureFiles, options: &LoadOptions) -> Result<Gathered, DataError> {
    let preparation = Preparation::from_options(options);
    let mut gather = files.gather(options.on_broken);
    let decode = |i| files.decode(i, preparation.background);
    gather.add(
        files.len(),
        |i| files.path(i),
        |i| Ok(decode(i)?.map(|picture| preparation.apply(picture))),
    )?;
    gather.finish()
}

/// Makes the sub-folders the classes, in the order of their names, if there are two or more and
/// every picture lies directly in one.
///
/// In an archive, folders that hold everything are ignored: archives often wrap their content in
/// one.
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
    let per_item =
        folders.iter().map(|folder| classes.binary_search(folder).ok()).collect::<Option<_>>()?;
    (classes.len() >= 2).then_some(Labels { names, per_item })
}

/// Returns the deepest folder that contains all of them.
fn common_folder(folders: &[&Path]) -> PathBuf {
    let Some((first, rest)) = folders.split_first() else { return PathBuf::new() };
    let holds_all = |folder: &&Path| rest.iter().all(|other| other.starts_with(folder));
    first.ancestors().find(holds_all).unwrap_or(Path::new("")).to_path_buf()
}

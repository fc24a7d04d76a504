//! A folder of pictures of any common format and size.
//!
//! Files are found by extension in the folder and below it, in the order of their paths, without hidden ones;
//! links are followed.

use std::io;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::labels::Labels;
use super::pictures::Pictures;
use super::{DataError, FolderLabels, OnBroken, parallel, picture};

/// What the folder needs of [`LoadOptions`](super::LoadOptions).
pub(super) struct FolderOptions {
    pub(super) image_size: Option<usize>,
    pub(super) greyscale: bool,
    pub(super) on_broken: OnBroken,
    pub(super) folder_labels: FolderLabels,
}

/// What was found in a folder.
#[derive(Debug)]
pub(super) struct FolderContent {
    pub(super) pictures: Pictures,
    pub(super) labels: Option<Labels>,
    pub(super) skipped: Vec<(PathBuf, String)>,
}

/// Loads every picture below `dir`, cropped to its centre square and resized to `image_size`.
///
/// Without `image_size` the pictures must all be squares of one size.
///
/// # Errors
///
/// [`DataError::Missing`] if there is no folder or no usable picture in it, [`DataError::Broken`] if one cannot be
/// decoded and `on_broken` is to refuse, [`DataError::Format`] if `image_size` is needed, [`DataError::Read`] if
/// the system refuses.
pub(super) fn load(dir: &Path, options: &FolderOptions) -> Result<FolderContent, DataError> {
    let paths = find_pictures(dir)?;
    let read = |i: usize| picture::read(&paths[i]).map(|picture| prepare(picture, options));
    let outcomes = parallel::map(paths.len(), read);

    let (mut kept, mut skipped) = (Vec::new(), Vec::new());
    for (path, outcome) in paths.into_iter().zip(outcomes) {
        match outcome {
            Ok(picture) => kept.push((path, picture)),
            Err(reason) => skipped.push((path, reason)),
        }
    }
    refuse_broken(dir, kept.len(), &skipped, options.on_broken)?;
    let labels = match options.folder_labels {
        FolderLabels::Auto => labels_from_folders(dir, kept.iter().map(|(path, _)| path.as_path())),
        FolderLabels::None => None,
    };
    Ok(FolderContent { pictures: join(kept)?, labels, skipped })
}

fn find_pictures(dir: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !dir.is_dir() {
        return Err(DataError::missing(dir, "there is no such folder"));
    }
    let is_hidden = |entry: &DirEntry| {
        entry.depth() > 0 && entry.file_name().to_string_lossy().starts_with('.')
    };
    let mut paths = Vec::new();
    for entry in WalkDir::new(dir)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|e| !is_hidden(e))
    {
        let entry = entry.map_err(|cause| {
            let path = cause.path().unwrap_or(dir).to_path_buf();
            DataError::Read { path, cause: io::Error::from(cause) }
        })?;
        if entry.file_type().is_file() && has_picture_extension(entry.path()) {
            paths.push(entry.into_path());
        }
    }
    if paths.is_empty() {
        let problem = format!(
            "there is no picture in this folder or below it ({})",
            picture::EXTENSIONS.join(", ")
        );
        return Err(DataError::missing(dir, problem));
    }
    Ok(paths)
}

fn has_picture_extension(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| picture::EXTENSIONS.contains(&extension.as_str()))
}

fn prepare(picture: Pictures, options: &FolderOptions) -> Pictures {
    let picture = if options.greyscale { picture.into_greyscale() } else { picture };
    match options.image_size {
        Some(size) => picture.fitted(size),
        None => picture,
    }
}

fn refuse_broken(
    dir: &Path,
    kept: usize,
    broken: &[(PathBuf, String)],
    rule: OnBroken,
) -> Result<(), DataError> {
    let Some((first, reason)) = broken.first() else { return Ok(()) };
    if kept == 0 {
        let problem = format!(
            "none of its {} pictures can be used; the first is {}: {reason}",
            broken.len(),
            first.display()
        );
        return Err(DataError::missing(dir, problem));
    }
    match rule {
        OnBroken::Skip => Ok(()),
        OnBroken::Refuse => Err(DataError::Broken {
            broken: broken.len(),
            total: kept + broken.len(),
            first: first.clone(),
            reason: reason.clone(),
        }),
    }
}

/// Puts pictures one after another; they must be squares of one size, which fitting them has made sure of.
fn join(pictures: Vec<(PathBuf, Pictures)>) -> Result<Pictures, DataError> {
    let mut joined: Option<Pictures> = None;
    for (path, picture) in pictures {
        let size = joined.as_ref().map_or(picture.height, |joined| joined.height);
        if (picture.height, picture.width) != (size, size) {
            let problem = format!(
                "it is {}x{} pixels, and without `--image-size` all pictures must be squares of one size",
                picture.width, picture.height
            );
            return Err(DataError::format(&path, problem));
        }
        match &mut joined {
            Some(joined) => joined.pixels.extend(picture.pixels),
            None => joined = Some(picture),
        }
    }
    Ok(joined.expect("a folder without a usable picture was refused above"))
}

/// Classes are the sub-folders in the order of their names, if every picture lies directly in one of two or more.
fn labels_from_folders<'a>(dir: &Path, paths: impl Iterator<Item = &'a Path>) -> Option<Labels> {
    let folders: Vec<&Path> = paths.map(Path::parent).collect::<Option<_>>()?;
    if folders.iter().any(|folder| folder.parent() != Some(dir)) {
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

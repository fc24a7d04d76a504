//! Adds graphs to a package that exists.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ddpm_package::{MANIFEST_FILE, Manifest, Package, PackageWriter, Sha256Hex};

use super::ExportError;
use super::variants::Addition;

/// Writes a package with more graphs, or others of the same names, whole or not at all. Everything
/// else in it stays as it is.
///
/// * `target`: the place of the result; the package's own, to change it there.
/// * `files`: golden vectors of the added graphs, as (path, bytes).
///
/// # Errors
///
/// [`ExportError::Package`] if the package cannot be read or the result cannot be written;
/// [`ExportError::Read`] if a file beside those that the manifest lists cannot be read.
pub fn extend(
    package: &Package,
    additions: &[Addition],
    files: &[(&str, Vec<u8>)],
    target: &Path,
    overwrite: bool,
) -> Result<Sha256Hex, ExportError> {
    let mut manifest: Manifest = package.manifest().clone();
    let is_replaced = |graph: &str| additions.iter().any(|added| added.variant.graph == graph);
    let old = |variant: &ddpm_package::Variant| is_replaced(&variant.graph);
    let used = |path: &String| {
        let kept = manifest.variants.iter().filter(|variant| !old(variant));
        *path == manifest.golden || kept.into_iter().any(|variant| variant.golden == *path)
    };
    let replaced = manifest.variants.iter().filter(|variant| old(variant));
    let mut left: Vec<String> = replaced
        .flat_map(|variant| [&variant.path, &variant.golden])
        .filter(|path| !used(path))
        .cloned()
        .collect();
    left.extend(files.iter().map(|(path, _)| (*path).to_owned()));
    left.extend(additions.iter().map(|added| added.variant.path.clone()));
    manifest.variants.retain(|variant| !is_replaced(&variant.graph));

    let mut writer = PackageWriter::new(target, overwrite)?;
    for file in manifest.files.iter().filter(|file| !left.contains(&file.path)) {
        writer.add(&file.path, &package.read(&file.path)?)?;
    }
    for (path, bytes) in files {
        writer.add(path, bytes)?;
    }
    for Addition { bytes, variant } in additions {
        writer.add(&variant.path, bytes)?;
        manifest.variants.push(variant.clone());
    }
    manifest.variants.sort_by_key(|variant| variant.graph.clone());
    let listed = |path: &str| package.manifest().files.iter().any(|file| file.path == path);
    let files = files_in(package.place());
    for path in files.map_err(|(path, cause)| ExportError::Read { path, cause })? {
        let relative = path.strip_prefix(package.place()).unwrap_or(&path);
        let name =
            relative.to_str().map(ToOwned::to_owned).ok_or_else(|| unreadable(&path)(odd()))?;
        if name != MANIFEST_FILE && !listed(&name) && !left.contains(&name) {
            writer.attach(&name, &fs::read(&path).map_err(unreadable(&path))?)?;
        }
    }
    Ok(writer.finish(manifest)?)
}

/// Returns the plain files below a folder.
fn files_in(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let fault = |cause| (folder.clone(), cause);
        for entry in fs::read_dir(&folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            match entry.file_type().map_err(fault)? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => return Err((entry.path(), odd())),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The error for what cannot be copied as it is.
fn odd() -> io::Error {
    io::Error::other("it is no plain file with a name in UTF-8; move it out of the package")
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    move |cause| ExportError::Read { path, cause }
}

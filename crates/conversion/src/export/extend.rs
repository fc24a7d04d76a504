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
    let mut left: Vec<String> =
        manifest.variants.iter().filter(|v| old(v)).map(|v| v.path.clone()).collect();
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
    for path in files_in(package.place()).map_err(unreadable(package.place()))? {
        let relative = path.strip_prefix(package.place()).unwrap_or(&path);
        let name = relative.to_string_lossy().into_owned();
        if name != MANIFEST_FILE && !listed(&name) && !left.contains(&name) {
            writer.attach(&name, &fs::read(&path).map_err(unreadable(&path))?)?;
        }
    }
    Ok(writer.finish(manifest)?)
}

/// Returns the plain files below a folder.
fn files_in(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            match entry.file_type()? {
                kind if kind.is_dir() => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    let path = path.to_owned();
    move |cause| ExportError::Read { path, cause }
}

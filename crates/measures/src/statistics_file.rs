//! Files of means and covariances: the `.npz` that FID programs exchange.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::path::Path;

use ddpm_files::npy;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::{Error, Gaussian, MAX_DIM};

/// Content of a statistics file.
///
/// An uncompressed or deflated `.npz` with `mu` `[D]` and `sigma` `[D, D]` in f64 or f32, as
/// `np.savez`, TTUR and pytorch-fid write it. `count` and `digest` are ours; other programs ignore
/// them.
#[derive(Debug, Clone, PartialEq)]
pub struct StatisticsFile {
    /// `mu` and `sigma`.
    pub gaussian: Gaussian,
    /// Number of rows behind the statistics.
    pub count: Option<u64>,
    /// Identifies what they were computed from (data, preprocessing, extractor), in the writer's
    /// format, so that a cache can detect that it is stale.
    pub digest: Option<String>,
}

impl StatisticsFile {
    /// Returns whether `path` is an `.npz` file with `mu` and `sigma`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read.
    pub fn is_at(path: &Path) -> Result<bool, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let Ok(archive) = ZipArchive::new(BufReader::new(file)) else { return Ok(false) };
        let has = |name| archive.index_for_name(name).is_some();
        Ok(has("mu.npy") && has("sigma.npy"))
    }

    /// Reads `path`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be read; [`Error::File`] names what is missing, damaged, of
    /// another type or not a covariance.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Self::read_from(BufReader::new(file))
            .map_err(|reason| Error::File { path: path.into(), reason })
    }

    /// Writes `path` whole or not at all, replacing an existing file. Equal statistics give equal
    /// bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if it cannot be written; [`Error::Option`] if the digest is longer
    /// than 4096 characters or ends with a NUL.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        if let Some(digest) = &self.digest
            && (digest.chars().count() > 4096 || digest.ends_with('\0'))
        {
            let reason = "must have at most 4096 characters, the last not NUL".into();
            return Err(Error::Option { option: "digest", reason });
        }
        ddpm_files::write_whole(path, |out| self.write_into(out))
            .map_err(|source| Error::Io { path: path.into(), source })
    }

    fn read_from(input: impl Read + Seek) -> Result<Self, String> {
        let mut archive = ZipArchive::new(input).map_err(|fault| match fault {
            ZipError::Io(fault) => fault.to_string(),
            other => format!("is not an .npz archive: {other}"),
        })?;
        let (mean_shape, mean) = floats(&mut archive, "mu", 1)?;
        let (shape, covariance) = floats(&mut archive, "sigma", 2)?;
        let dim = mean_shape[0];
        if shape != [dim, dim] {
            return Err(format!(
                "mu has {dim} elements, sigma must be {dim} x {dim}, is {shape:?}"
            ));
        }
        let gaussian = Gaussian::new(mean, covariance).map_err(|fault| fault.to_string())?;
        let count = optional(&mut archive, "count", npy::read_count)?;
        let digest = optional(&mut archive, "digest", npy::read_text)?;
        Ok(Self { gaussian, count, digest })
    }

    fn write_into(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        let mut archive = ZipWriter::new(out);
        let dim = self.gaussian.dim();
        add(&mut archive, "mu", "<f8", &[dim], &bytes(self.gaussian.mean()))?;
        add(&mut archive, "sigma", "<f8", &[dim, dim], &bytes(self.gaussian.covariance()))?;
        if let Some(count) = self.count {
            let count = i64::try_from(count).map_err(io::Error::other)?;
            add(&mut archive, "count", "<i8", &[], &count.to_le_bytes())?;
        }
        if let Some(digest) = &self.digest {
            let characters: Vec<u8> =
                digest.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
            let descr = format!("<U{}", digest.chars().count());
            add(&mut archive, "digest", &descr, &[], &characters)?;
        }
        archive.finish().map_err(io::Error::from)?;
        Ok(())
    }
}

/// Reads shape and values of the array `name`, which must exist and have `axes` axes.
fn floats(
    archive: &mut ZipArchive<impl Read + Seek>,
    name: &str,
    axes: usize,
) -> Result<(Vec<usize>, Vec<f64>), String> {
    let read = |input: &mut dyn Read, header: &npy::Header| {
        let shape = &header.shape;
        if shape.len() != axes || shape.iter().any(|&side| side == 0 || side > MAX_DIM) {
            let message =
                format!("has the shape {shape:?}, must have {axes} axes of 1 to {MAX_DIM}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let values = npy::read_floats(input, header)?;
        Ok((shape.clone(), values))
    };
    optional(archive, name, read)?.ok_or_else(|| {
        let members: Vec<_> = archive.file_names().flatten().collect();
        format!("has no {name}.npy, only {members:?}: statistics have mu and sigma")
    })
}

/// Reads the array `name` with `read`, if it exists.
fn optional<T>(
    archive: &mut ZipArchive<impl Read + Seek>,
    name: &str,
    read: impl FnOnce(&mut dyn Read, &npy::Header) -> io::Result<T>,
) -> Result<Option<T>, String> {
    let mut member = match archive.by_name(&format!("{name}.npy")) {
        Ok(member) => member,
        Err(ZipError::FileNotFound) => return Ok(None),
        Err(fault) => return Err(format!("array {name:?}: {fault}")),
    };
    let value = npy::Header::read(&mut member).and_then(|header| read(&mut member, &header));
    value.map(Some).map_err(|fault| format!("array {name:?} {fault}"))
}

fn add(
    archive: &mut ZipWriter<impl Write + Seek>,
    name: &str,
    descr: &str,
    shape: &[usize],
    data: &[u8],
) -> io::Result<()> {
    // No time of day. Like NumPy, stores without compression.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    archive.start_file(format!("{name}.npy"), options).map_err(io::Error::from)?;
    npy::write(archive, descr, shape, data)
}

fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

//! Arrays from other programs: features, pictures, or only a mean and a covariance.
//!
//! | axes | elements | meaning |
//! |---|---|---|
//! | 2 | real | features, one row each (points of the plane are rows of two) |
//! | 4 | u8 | pictures `[N, H, W, C]` or `[N, C, H, W]` |
//! | 4 | real | samples `[N, C, H, W]` at model scale, as `ddpm-exporter sample` writes them |
//!
//! A `.npz` file with `mu` and `sigma` is a mean and a covariance. If a file has several arrays,
//! the one called `features`, `samples` or `arr_0` is read.

use std::ffi::OsStr;
use std::path::Path;

use ddpm_files::npy::{self, Elements};
use ddpm_measures::{Features, StatisticsFile, read_array};
use tch::{Kind, Tensor};

use super::EvaluateError;
use super::pictures::PictureSet;

/// Samples lie in [-1, 1], or a little beyond; numbers above this limit are something else.
const LARGEST: f32 = 10.0;

/// Names of the array to read, first choice first.
const NAMES: [&str; 3] = ["features", "samples", "arr_0"];

/// The contents of a file.
#[derive(Debug)]
pub enum Array {
    /// Features, one row each.
    Features(Features),
    /// Pictures.
    Pictures(PictureSet),
    /// A mean and a covariance.
    Statistics(StatisticsFile),
}

/// Returns whether [`read`] reads a file of this name.
#[must_use]
pub fn is_array(path: &Path) -> bool {
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    extension.is_some_and(|e| ["npy", "npz", "safetensors"].iter().any(|known| e == *known))
}

/// Reads a `.npy`, `.npz` or `.safetensors` file.
///
/// # Errors
///
/// [`EvaluateError::Measure`] if it cannot be read or a number is not finite;
/// [`EvaluateError::File`] if it holds neither features nor pictures.
pub fn read(path: &Path) -> Result<Array, EvaluateError> {
    let has = |extension| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(extension));
    if has("npz") && StatisticsFile::is_at(path)? {
        return Ok(Array::Statistics(StatisticsFile::read(path)?));
    }
    let array = if has("safetensors") { safetensors(path)? } else { read_array(path, &NAMES)? };
    interpret(path, array)
}

fn interpret(path: &Path, array: npy::Array) -> Result<Array, EvaluateError> {
    let npy::Array { shape, elements } = array;
    let fault = |problem: &str| {
        let problem = format!("holds an array of shape {shape:?}: {problem}");
        Err(EvaluateError::file(path, problem))
    };
    if shape.contains(&0) {
        return fault("there is nothing in it");
    }
    match (&shape[..], elements) {
        (&[_, dim], Elements::Floats(values)) => {
            Ok(Array::Features(Features::from_rows(dim, values)?))
        }
        (&[_, channels @ (1 | 3), height, width], Elements::Bytes(pixels)) => {
            Ok(Array::Pictures(PictureSet::from_pixels([channels, height, width], pixels)))
        }
        (&[_, height, width, channels @ (1 | 3)], Elements::Bytes(pixels)) => {
            let pixels = channels_first(&pixels, height * width, channels);
            Ok(Array::Pictures(PictureSet::from_pixels([channels, height, width], pixels)))
        }
        (&[_, channels @ (1 | 3), height, width], Elements::Floats(samples)) => {
            if let Some(value) = samples.iter().find(|sample| !sample.is_finite()) {
                return fault(&format!("one of its numbers is {value}"));
            }
            if let Some(value) = samples.iter().find(|sample| sample.abs() > LARGEST) {
                return fault(&format!(
                    "one of its numbers is {value}, and pictures of real numbers are in [-1, 1]; \
                     if these are in 0…255, save them as u8, or divide by 127.5 and subtract 1"
                ));
            }
            Ok(Array::Pictures(PictureSet::from_samples([channels, height, width], &samples)))
        }
        _ => fault(
            "features have 2 axes and are real; pictures are [N, H, W, C] or [N, C, H, W] in u8, \
             or [N, C, H, W] in [-1, 1], with 1 or 3 channels",
        ),
    }
}

/// Turns `[N, H W, C]` into `[N, C, H W]`.
fn channels_first(pixels: &[u8], area: usize, channels: usize) -> Vec<u8> {
    let pictures = pixels.chunks_exact(area * channels);
    let planes = |picture: &[u8]| -> Vec<u8> {
        let plane = |channel| picture.iter().skip(channel).step_by(channels);
        (0..channels).flat_map(plane).copied().collect()
    };
    pictures.flat_map(planes).collect()
}

fn safetensors(path: &Path) -> Result<npy::Array, EvaluateError> {
    let unreadable = |cause: &dyn std::fmt::Display| {
        EvaluateError::file(path, format!("cannot be read as safetensors: {cause}"))
    };
    // libtorch's own message does not name the file.
    std::fs::File::open(path).map_err(|cause| unreadable(&cause))?;
    let mut tensors = Tensor::read_safetensors(path).map_err(|cause| unreadable(&cause))?;
    let chosen = match tensors.len() {
        1 => Some(0),
        _ => NAMES.iter().find_map(|name| tensors.iter().position(|(found, _)| found == name)),
    };
    let Some(chosen) = chosen else {
        let names: Vec<_> = tensors.iter().map(|(name, _)| name).collect();
        let problem = format!("holds {names:?}: rename the one to read to one of {NAMES:?}");
        return Err(EvaluateError::file(path, problem));
    };
    let (_, tensor) = tensors.swap_remove(chosen);
    let shape = tensor.size().into_iter().map(|extent| extent as usize).collect();
    let flat = tensor.f_reshape([-1])?;
    let elements = match tensor.f_kind()? {
        Kind::Uint8 => Elements::Bytes(Vec::try_from(&flat)?),
        Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16 => {
            Elements::Floats(Vec::try_from(&flat.f_to_kind(Kind::Float)?)?)
        }
        other => {
            let problem = format!("holds {other:?}: must be real numbers or u8");
            return Err(EvaluateError::file(path, problem));
        }
    };
    Ok(npy::Array { shape, elements })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreted(shape: &[usize], elements: Elements) -> Result<Array, EvaluateError> {
        interpret(Path::new("a.npy"), npy::Array { shape: shape.to_vec(), elements })
    }

    #[test]
    fn axes_and_elements_say_what_an_array_is() {
        let features = interpreted(&[2, 3], Elements::Floats(vec![0.5; 6])).unwrap();
        assert!(matches!(features, Array::Features(rows) if (rows.len(), rows.dim()) == (2, 3)));
        let pictures = |shape: &[usize], elements| match interpreted(shape, elements).unwrap() {
            Array::Pictures(set) => (set.shape(), set.pixels(0..set.len())),
            other => panic!("{other:?}"),
        };
        let last = pictures(&[1, 2, 1, 3], Elements::Bytes(vec![1, 2, 3, 4, 5, 6]));
        assert_eq!(last, ([3, 2, 1], vec![1, 4, 2, 5, 3, 6]));
        let first = pictures(&[1, 3, 2, 1], Elements::Bytes(vec![1, 4, 2, 5, 3, 6]));
        assert_eq!(first, last);
        let samples = pictures(&[1, 1, 1, 3], Elements::Floats(vec![-1.0, 0.0, 7.0]));
        assert_eq!(samples, ([1, 1, 3], vec![0, 128, 255]));
    }

    #[test]
    fn what_is_neither_features_nor_pictures_is_refused_with_its_shape() {
        let message =
            |shape: &[usize], elements| interpreted(shape, elements).unwrap_err().to_string();
        assert!(message(&[6], Elements::Floats(vec![0.0; 6])).contains("[6]"));
        assert!(message(&[2, 3], Elements::Bytes(vec![0; 6])).contains("2 axes and are real"));
        assert!(message(&[0, 3], Elements::Floats(vec![])).contains("nothing in it"));
        assert!(message(&[1, 5, 5, 5], Elements::Bytes(vec![0; 125])).contains("1 or 3 channels"));
        let nan = message(&[1, 1, 1, 1], Elements::Floats(vec![f32::NAN]));
        assert!(nan.contains("is NaN"), "{nan}");
        let bytes = message(&[1, 1, 1, 2], Elements::Floats(vec![0.0, 200.0]));
        assert!(bytes.contains("is 200") && bytes.contains("save them as u8"), "{bytes}");
        assert!(message(&[1, 2], Elements::Floats(vec![0.0, f32::NAN])).contains("feature 1"));
    }

    #[test]
    fn names_tell_arrays_from_folders() {
        assert!(is_array(Path::new("a/b.NPZ")) && is_array(Path::new("x.safetensors")));
        assert!(!is_array(Path::new("pictures")) && !is_array(Path::new("a.png")));
    }
}

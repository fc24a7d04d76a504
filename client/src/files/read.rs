//! Files → states, pictures and masks of a model. Errors say what was found, what the
//! model needs, and what to try.

use std::fs;
use std::path::Path;

use ddpm_files::npy::{Array, Elements, is_npy, tuple};

use super::png::{self, Colours, is_png};
use crate::error::Error;
use crate::events::Data;
use crate::models::{Model, ModelKind};

/// Pictures in the model's scale may overshoot [-1, 1]; those in [0, 255] are a mistake.
const LARGEST: f32 = 8.0;

/// Reads states from an array: one of the model's shape, or a stack of them.
///
/// # Errors
///
/// [`Error::File`] if the file cannot be read, [`Error::Request`] if it does not fit.
pub fn read_states(path: &Path, model: &Model) -> Result<Vec<Data>, Error> {
    let array = array(path)?;
    let shape = shape(model);
    let stack = stack(&array.shape, &shape).ok_or_else(|| {
        wrong(path, &format!("{}, but {}", found(&array), states_of(model, &shape)))
    })?;
    let Elements::Floats(values) = array.elements else {
        let name = array.elements.name();
        return Err(wrong(path, &format!("holds {name}, but states are float32 or float64")));
    };
    finite(path, &values)?;
    Ok(cut(&values, stack).into_iter().map(|part| Data::Values(part.to_vec())).collect())
}

/// Reads pictures: a PNG, an array of uint8 `[H, W, C]`, an array of floats
/// `[C, H, W]` in the model's scale, or a stack of such arrays. Points are arrays of
/// floats.
///
/// # Errors
///
/// As [`read_states`].
pub fn read_images(path: &Path, model: &Model) -> Result<Vec<Data>, Error> {
    let bytes = fs::read(path).map_err(|source| Error::file("read", path, source))?;
    if model.kind == ModelKind::Points2d {
        return read_states(path, model);
    }
    let shape = shape(model);
    let &[channels, height, width] = shape.as_slice() else {
        return Err(Error::Protocol(format!(
            "the shape of {} is not that of a picture",
            model.name
        )));
    };
    if is_png(&bytes) {
        let pixels = png::pixels(&bytes, [channels, height, width], model, Colours::Exact);
        return pixels.map(|pixels| vec![Data::Pixels(pixels)]).map_err(|why| wrong(path, &why));
    }
    let array = parsed(path, &bytes)?;
    let layouts = || {
        format!(
            "{} makes pictures of {}: as uint8 {}, as float32 {} in [-1, 1], or a stack of either",
            model.name,
            size(channels, height, width),
            tuple(&[height, width, channels]),
            tuple(&shape)
        )
    };
    let misfit = |array: &Array| wrong(path, &format!("{}, but {}", found(array), layouts()));
    match array.elements {
        Elements::Floats(ref values) => {
            let stack = stack(&array.shape, &shape).ok_or_else(|| misfit(&array))?;
            finite(path, values)?;
            in_scale(path, values)?;
            Ok(cut(values, stack).into_iter().map(|part| Data::Values(part.to_vec())).collect())
        }
        Elements::Bytes(ref pixels) => {
            let pixel_shape = [height, width, channels];
            let grey = channels == 1 && stack(&array.shape, &[height, width]).is_some();
            let stack = stack(&array.shape, &pixel_shape)
                .or_else(|| stack(&array.shape, &[height, width]).filter(|_| grey));
            let stack = stack.ok_or_else(|| misfit(&array))?;
            Ok(cut(pixels, stack).into_iter().map(|part| Data::Pixels(part.to_vec())).collect())
        }
        Elements::Bools(_) => Err(misfit(&array)),
    }
}

/// Reads a mask: a PNG, white where the image is known; or an array `[H, W]` or
/// `[C, H, W]` of floats in [0, 1], of bool, or of uint8 with 255 or 1 where known.
///
/// # Errors
///
/// As [`read_states`].
pub fn read_mask(path: &Path, model: &Model) -> Result<Data, Error> {
    let bytes = fs::read(path).map_err(|source| Error::file("read", path, source))?;
    let shape = shape(model);
    if let (true, &[_, height, width]) = (is_png(&bytes), shape.as_slice()) {
        let pixels = png::pixels(&bytes, [1, height, width], model, Colours::Mean);
        return pixels.map(|pixels| mask_from_bytes(&pixels)).map_err(|why| wrong(path, &why));
    }
    let array = parsed(path, &bytes)?;
    let fits = array.shape == shape || array.shape.get(..) == shape.get(1..);
    let one = matches!(array.shape.as_slice(), [1, rest @ ..] if Some(rest) == shape.get(1..));
    if !fits && !one {
        let plane = if shape.len() > 1 { tuple(&shape[1..]) + " or " } else { String::new() };
        let needed = format!("a mask for {} is {plane}{}", model.name, tuple(&shape));
        return Err(wrong(path, &format!("{}, but {needed}", found(&array))));
    }
    match array.elements {
        Elements::Bytes(bytes) => Ok(mask_from_bytes(&bytes)),
        Elements::Bools(known) => {
            Ok(Data::Values(known.into_iter().map(|known| f32::from(u8::from(known))).collect()))
        }
        Elements::Floats(values) => match values.iter().find(|value| !(0.0..=1.0).contains(*value))
        {
            Some(value) => Err(wrong(
                path,
                &format!(
                    "holds {value}, but a mask is between 0 and 1: 1 where the image is known"
                ),
            )),
            None => Ok(Data::Values(values)),
        },
    }
}

/// Converts a mask of bytes: 255 means known, and so does 1 if no byte is larger.
fn mask_from_bytes(bytes: &[u8]) -> Data {
    let full = if bytes.iter().all(|byte| *byte <= 1) { 1.0 } else { 255.0 };
    Data::Values(bytes.iter().map(|byte| f32::from(*byte) / full).collect())
}

fn array(path: &Path) -> Result<Array, Error> {
    let bytes = fs::read(path).map_err(|source| Error::file("read", path, source))?;
    parsed(path, &bytes)
}

fn parsed(path: &Path, bytes: &[u8]) -> Result<Array, Error> {
    if !is_npy(bytes) {
        return Err(wrong(path, "is neither a PNG file nor a NumPy array (.npy)"));
    }
    Array::read(&mut &*bytes).map_err(|why| wrong(path, &why.to_string()))
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::Request(format!("{} {why}", path.display()))
}

fn shape(model: &Model) -> Vec<usize> {
    model.shape.iter().map(|side| *side as usize).collect()
}

fn found(array: &Array) -> String {
    format!("is an array of {} of shape {}", array.elements.name(), tuple(&array.shape))
}

fn states_of(model: &Model, shape: &[usize]) -> String {
    format!("states of {} have the shape {}, or (N, …) of it", model.name, tuple(shape))
}

fn size(channels: usize, height: usize, width: usize) -> String {
    let word = if channels == 1 { "channel" } else { "channels" };
    format!("{width} x {height} pixels in {channels} {word}")
}

/// Returns how many items of shape `one` an array of shape `whole` holds; `None` if
/// it is not a stack of them, or is empty.
fn stack(whole: &[usize], one: &[usize]) -> Option<usize> {
    match whole.split_first() {
        _ if whole == one => Some(1),
        Some((&count, rest)) if rest == one && count > 0 => Some(count),
        _ => None,
    }
}

fn cut<T>(elements: &[T], count: usize) -> Vec<&[T]> {
    elements.chunks_exact(elements.len() / count).collect()
}

fn finite(path: &Path, values: &[f32]) -> Result<(), Error> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(wrong(path, &format!("holds {} as element {at}", values[at]))),
        None => Ok(()),
    }
}

fn in_scale(path: &Path, values: &[f32]) -> Result<(), Error> {
    match values.iter().find(|value| value.abs() > LARGEST) {
        Some(value) => Err(wrong(
            path,
            &format!(
                "holds {value}, but floats are in the model's scale, [-1, 1]: use \
                 array / 127.5 - 1, or save (H, W, C) as uint8"
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ddpm_files::npy;
    use ddpm_pictures::{Picture, write_png};
    use tempfile::TempDir;

    use super::*;
    use crate::testing::model;

    fn image() -> Model {
        model(ModelKind::Image, &[3, 1, 2])
    }

    fn write(folder: &TempDir, bytes: &[u8]) -> PathBuf {
        let path = folder.path().join("a.file");
        fs::write(&path, bytes).unwrap();
        path
    }

    fn file(descr: &str, shape: &[usize], data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        npy::write(&mut bytes, descr, shape, data).unwrap();
        bytes
    }

    fn floats(shape: &[usize], values: &[f32]) -> Vec<u8> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        file("<f4", shape, &bytes)
    }

    fn png_of(width: u32, height: u32, colour: &[u8]) -> Vec<u8> {
        let picture = Picture::filled(width.into(), height.into(), colour).unwrap();
        let mut bytes = Vec::new();
        write_png(&mut bytes, &picture, &[]).unwrap();
        bytes
    }

    fn sentence<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    }

    #[test]
    fn one_state_or_a_stack_of_them_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let points = model(ModelKind::Points2d, &[2]);

        let one = read_states(&write(&folder, &floats(&[2], &[1.0, 2.0])), &points).unwrap();
        let two = floats(&[2, 2], &[1.0, 2.0, 3.0, 4.0]);
        let two = read_states(&write(&folder, &two), &points).unwrap();

        assert_eq!(one, [Data::Values(vec![1.0, 2.0])]);
        assert_eq!(two, [Data::Values(vec![1.0, 2.0]), Data::Values(vec![3.0, 4.0])]);
    }

    #[test]
    fn states_that_do_not_fit_are_refused_with_both_shapes() {
        let folder = tempfile::tempdir().unwrap();
        let states = |bytes: &[u8]| sentence(read_states(&write(&folder, bytes), &image()));

        let shape = states(&floats(&[2, 3], &[0.0; 6]));
        assert!(shape.ends_with(
            "a.file is an array of float32 of shape (2, 3), but states of m have the shape \
             (3, 1, 2), or (N, …) of it"
        ));
        assert!(states(&floats(&[0, 3, 1, 2], &[])).contains("(0, 3, 1, 2)"));
        assert!(states(&file("|u1", &[3, 1, 2], &[0; 6])).contains("holds uint8"));
        assert!(
            states(&floats(&[3, 1, 2], &[0.0, 0.0, f32::NAN, 0.0, 0.0, 0.0]))
                .contains("NaN as element 2")
        );
    }

    #[test]
    fn pictures_are_pngs_or_arrays_in_either_layout() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| read_images(&write(&folder, bytes), &image()).unwrap();

        assert_eq!(read(&png_of(2, 1, &[7, 8, 9])), [Data::Pixels(vec![7, 8, 9, 7, 8, 9])]);
        assert_eq!(read(&png_of(2, 1, &[7])), [Data::Pixels(vec![7; 6])]);
        let pixels = file("|u1", &[2, 1, 2, 3], &[5; 12]);
        assert_eq!(read(&pixels), [Data::Pixels(vec![5; 6]), Data::Pixels(vec![5; 6])]);
        assert_eq!(read(&floats(&[3, 1, 2], &[0.5; 6])), [Data::Values(vec![0.5; 6])]);
    }

    #[test]
    fn pictures_that_do_not_fit_are_refused_with_advice() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| sentence(read_images(&write(&folder, bytes), &image()));

        assert!(
            read(&png_of(4, 4, &[0])).contains("is 4 x 4 pixels, but m makes pictures of 2 x 1")
        );
        assert!(read(b"JFIF").contains("neither a PNG file nor a NumPy array"));
        let layouts = read(&file("|u1", &[3, 1, 2], &[0; 6]));
        assert!(layouts.contains("as uint8 (1, 2, 3), as float32 (3, 1, 2)"), "{layouts}");
        assert!(read(&floats(&[3, 1, 2], &[200.0; 6])).contains("array / 127.5 - 1"));
        let grey = model(ModelKind::Image, &[1, 1, 2]);
        let colour = read_images(&write(&folder, &png_of(2, 1, &[1, 2, 3])), &grey);
        assert!(sentence(colour).contains("colorspace Gray"));
    }

    #[test]
    fn a_mask_is_white_or_1_or_true_where_the_image_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| read_mask(&write(&folder, bytes), &image()).unwrap();
        let known = |values: &[f32]| Data::Values(values.to_vec());

        assert_eq!(read(&png_of(2, 1, &[255, 255, 255])), known(&[1.0, 1.0]));
        assert_eq!(read(&file("|b1", &[1, 2], &[0, 1])), known(&[0.0, 1.0]));
        assert_eq!(read(&file("|u1", &[1, 2], &[0, 1])), known(&[0.0, 1.0]));
        assert_eq!(read(&file("|u1", &[1, 1, 2], &[0, 255])), known(&[0.0, 1.0]));
        assert_eq!(read(&floats(&[3, 1, 2], &[0.25; 6])), known(&[0.25; 6]));
    }

    #[test]
    fn a_mask_that_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| sentence(read_mask(&write(&folder, bytes), &image()));

        assert!(read(&floats(&[2, 2], &[0.0; 4])).contains("is (1, 2) or (3, 1, 2)"));
        assert!(
            read(&floats(&[1, 2], &[0.0, 2.0])).contains("holds 2, but a mask is between 0 and 1")
        );
    }
}

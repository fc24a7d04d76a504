//! Samples as pictures, and the text chunks of picture files. `ddpm_pictures` does the
//! drawing.

use crate::error::Error;
use crate::events::{Data, Sample};

mod description;
pub use description::describe;

pub use ddpm_pictures::{Animation, Picture, View, grid, grid_of, scatter, write_png};

/// Converts a sample to a picture: its pixels, or its values clamped to pixels.
///
/// # Errors
///
/// [`Error::Picture`] if the sample is a point, a PNG file, or has neither 1 nor 3
/// channels.
pub fn picture_of(sample: &Sample) -> Result<Picture, Error> {
    let wrong = |why: String| {
        Error::Picture(format!("sample {} cannot be shown as a picture: {why}", sample.index))
    };
    let &[a, b, c] = sample.shape.as_slice() else {
        return Err(wrong(format!("its shape is {:?}", sample.shape)));
    };
    let picture = match &sample.data {
        Data::Pixels(pixels) => Picture::from_pixels(b, a, c, pixels.clone()),
        Data::Values(values) => Picture::from_values([a, b, c], values),
        Data::Png(_) => return Err(wrong("it is a PNG file already".to_owned())),
    };
    picture.map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_that_is_not_a_picture_is_an_error_with_its_index() {
        let point = Sample { index: 8, shape: vec![2], data: Data::Values(vec![0.0, 0.0]) };
        let two = Sample { index: 9, shape: vec![1, 1, 2], data: Data::Pixels(vec![0, 0]) };

        assert!(picture_of(&point).unwrap_err().to_string().contains("sample 8"));
        assert!(picture_of(&two).unwrap_err().to_string().contains("2"));
    }
}

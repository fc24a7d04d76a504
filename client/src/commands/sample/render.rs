//! Samples of either kind → one picture of all of them.

use ddpm_client::{
    Data, Error, ModelKind, Sample,
    pictures::{Picture, View, grid, picture_of, scatter},
};

/// Between the samples of a grid.
const PADDING: u32 = 2;
/// Side of a scatter plot at scale 1.
const SCATTER_SIDE: u32 = 480;

/// Shows `samples`; a picture that is `None` leaves its place empty.
///
/// * `view`: the part of the plane that is shown of points.
pub(crate) fn render(
    kind: ModelKind,
    samples: &[Option<&Sample>],
    scale: u32,
    view: &View,
) -> Result<Picture, Error> {
    match kind {
        ModelKind::Image => {
            let cells = samples.iter().map(|sample| sample.map(picture_of).transpose());
            Ok(grid(&cells.collect::<Result<Vec<_>, Error>>()?, scale, PADDING)?)
        }
        ModelKind::Points2d => {
            let points = points(samples.iter().copied().flatten());
            Ok(scatter(&points, view, SCATTER_SIDE.saturating_mul(scale))?)
        }
    }
}

/// The coordinates of samples that are points; others have none.
pub(crate) fn points<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<[f32; 2]> {
    let point = |sample: &Sample| match &sample.data {
        Data::Values(values) => <[f32; 2]>::try_from(values.as_slice()).ok(),
        Data::Pixels(_) | Data::Png(_) => None,
    };
    samples.filter_map(point).collect()
}

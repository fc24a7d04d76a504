//! Samples of either kind → one picture of all of them.

use ddpm_client::pictures::{Picture, View, grid, picture_of, scatter};
use ddpm_client::{Data, Error, ModelKind, Sample};

/// Pixels between the samples of a grid.
const PADDING: u32 = 2;
/// Side of a scatter plot at scale 1.
const SCATTER_SIDE: u32 = 480;

/// Draws `samples`; `None` leaves a cell empty.
///
/// * `view`: the part of the plane shown for points.
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

/// Returns the coordinates of the samples that are points.
pub(crate) fn points<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<[f32; 2]> {
    let point = |sample: &Sample| match &sample.data {
        Data::Values(values) => <[f32; 2]>::try_from(values.as_slice()).ok(),
        Data::Pixels(_) | Data::Png(_) => None,
    };
    samples.filter_map(point).collect()
}

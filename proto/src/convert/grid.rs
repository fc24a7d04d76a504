//! Time grids with their numbers.

use ddpm_diffusion::GridSpec;

use super::Fault;
use crate::v1::{Grid, GridOptions};

/// Reads a grid; `None` if unspecified. [`GridSpec::grid`] checks ranges and lengths.
///
/// * `num_steps`: for the grid that includes its number of steps in its name.
///
/// # Errors
///
/// If a number is set that this grid does not read, or one is missing.
pub fn grid_from_proto(
    grid: Grid,
    options: Option<GridOptions>,
    num_steps: Option<u32>,
) -> Result<Option<GridSpec>, Fault> {
    let mut options = options.unwrap_or_default();
    let spec = match grid {
        Grid::Unspecified => None,
        Grid::Leading => {
            Some(GridSpec::Leading { offset: std::mem::take(&mut options.offset) as usize })
        }
        Grid::Trailing => Some(GridSpec::Trailing),
        Grid::Linspace => Some(GridSpec::Linspace),
        Grid::Quadratic => Some(GridSpec::Quadratic),
        Grid::DdpmTorchLinear => Some(GridSpec::DdpmTorchLinear),
        Grid::DdpmTorchQuadratic => Some(GridSpec::DdpmTorchQuadratic),
        Grid::Sections => {
            let sections = std::mem::take(&mut options.sections);
            Some(GridSpec::Sections(sections.into_iter().map(|count| count as usize).collect()))
        }
        Grid::DdimStride => match num_steps {
            Some(steps) => Some(GridSpec::DdimStride(steps as usize)),
            None => return Err(Fault::new("num_steps", "is required for GRID_DDIM_STRIDE")),
        },
        Grid::Karras => Some(GridSpec::Karras { rho: positive("rho", options.rho.take(), 7.0)? }),
        Grid::Exponential => Some(GridSpec::Exponential),
        Grid::Flow => Some(GridSpec::Flow { shift: positive("shift", options.shift.take(), 1.0)? }),
        Grid::Timesteps => Some(GridSpec::Timesteps(std::mem::take(&mut options.timesteps))),
        Grid::Sigmas => Some(GridSpec::Sigmas(std::mem::take(&mut options.sigmas))),
    };
    match unread(&options) {
        None => Ok(spec),
        Some(name) => Err(Fault::new(
            format!("grid_options.{name}"),
            format!("{} does not read it; leave it out", grid.as_str_name()),
        )),
    }
}

/// Writes a grid and its numbers.
#[must_use]
pub fn grid_to_proto(spec: &GridSpec) -> (Grid, Option<GridOptions>) {
    let none = GridOptions::default();
    let (grid, options) = match spec {
        GridSpec::Leading { offset } => {
            (Grid::Leading, GridOptions { offset: *offset as u32, ..none })
        }
        GridSpec::Trailing => (Grid::Trailing, none),
        GridSpec::Linspace => (Grid::Linspace, none),
        GridSpec::Quadratic => (Grid::Quadratic, none),
        GridSpec::DdpmTorchLinear => (Grid::DdpmTorchLinear, none),
        GridSpec::DdpmTorchQuadratic => (Grid::DdpmTorchQuadratic, none),
        GridSpec::Sections(counts) => {
            let sections = counts.iter().map(|count| *count as u32).collect();
            (Grid::Sections, GridOptions { sections, ..none })
        }
        GridSpec::DdimStride(_) => (Grid::DdimStride, none),
        GridSpec::Karras { rho } => (Grid::Karras, GridOptions { rho: Some(*rho), ..none }),
        GridSpec::Exponential => (Grid::Exponential, none),
        GridSpec::Flow { shift } => (Grid::Flow, GridOptions { shift: Some(*shift), ..none }),
        GridSpec::Timesteps(list) => {
            (Grid::Timesteps, GridOptions { timesteps: list.clone(), ..none })
        }
        GridSpec::Sigmas(list) => (Grid::Sigmas, GridOptions { sigmas: list.clone(), ..none }),
    };
    let has_options = options != GridOptions::default();
    (grid, has_options.then_some(options))
}

fn positive(name: &str, value: Option<f64>, default: f64) -> Result<f64, Fault> {
    match value.unwrap_or(default) {
        value if value > 0.0 && value <= 100.0 => Ok(value),
        value => Err(Fault::new(
            format!("grid_options.{name}"),
            format!("must be in (0, 100], got {value}"),
        )),
    }
}

/// Returns the name of the first number that is still set.
fn unread(options: &GridOptions) -> Option<&'static str> {
    let GridOptions { offset, sections, rho, shift, timesteps, sigmas } = options;
    [
        ("offset", *offset != 0),
        ("sections", !sections.is_empty()),
        ("rho", rho.is_some()),
        ("shift", shift.is_some()),
        ("timesteps", !timesteps.is_empty()),
        ("sigmas", !sigmas.is_empty()),
    ]
    .into_iter()
    .find_map(|(name, set)| set.then_some(name))
}

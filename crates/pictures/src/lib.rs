//! Draws samples: pictures, grids, scatter plots, animations.
//!
//! Equal samples give equal bytes: nothing here depends on time or machine.

mod error;
pub use error::Error;

mod picture;
pub use picture::Picture;

mod png_file;
pub use png_file::write_png;

mod grid;
pub use grid::{grid, grid_of};

pub mod sheet;

mod scatter;
pub use scatter::{View, scatter};

mod animation;
pub use animation::Animation;

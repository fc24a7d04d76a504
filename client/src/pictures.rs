//! What to make of samples: pictures, grids, scatter plots, animations, arrays.
//!
//! Equal samples give equal bytes: nothing here knows the time or the machine.

mod animation;
mod description;
mod grid;
mod npy;
mod picture;
mod png_file;
mod scatter;

pub use animation::Animation;
pub use description::describe;
pub use grid::grid;
pub use npy::write_npy;
pub use picture::Picture;
pub use png_file::write_png;
pub use scatter::{View, scatter};

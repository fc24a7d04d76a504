//! Arrays in NumPy's format, `.npy`: versions 1.0 to 3.0, little-endian. Anything else is refused
//! by name.
//!
//! Faults in an array are an [`io::Error`](std::io::Error) of kind `InvalidData`, whose text
//! follows the name of the file or array: "is not a NumPy array".
//!
//! # Source
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

mod header;
pub use header::{Header, is_npy, tuple};

mod data;
pub use data::{read_count, read_floats, read_text};

mod array;
pub use array::{Array, Elements};

mod write;
pub use write::{write, write_rows};

//! Arrays in NumPy's format, `.npy`: formats 1.0 to 3.0, little-endian. What is not read is refused
//! by name.
//!
//! Whatever is wrong with an array is an [`io::Error`](std::io::Error) of the kind `InvalidData`,
//! whose text goes on from the name of the file or the array: "is no NumPy array".
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

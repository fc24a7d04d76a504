//! Files and folders written whole or not at all, and arrays in NumPy's format.

mod whole;
pub use whole::{STDOUT, check_target, check_writable, folder_of, follow, is_stdout, write_whole};

mod whole_folder;
pub use whole_folder::WholeFolder;

pub mod npy;

#[cfg(test)]
mod test_support;

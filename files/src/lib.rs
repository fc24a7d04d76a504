//! Files that are written whole or not at all, whatever they hold.

mod whole;
pub use whole::{check_writable, folder_of, write_whole};

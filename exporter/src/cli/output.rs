//! What commands print on stdout: results, and the paths of what they wrote.

use std::fmt::{Arguments, Display};

use ddpm_console::note;

use super::Failure;

/// Prints a line of a result.
macro_rules! out {
    ($($argument:tt)*) => {
        $crate::cli::output::print_line(::std::format_args!($($argument)*))
    };
}
pub(in crate::cli) use out;

/// Prints a line of a result; [`out!`] is its usual form.
///
/// # Errors
///
/// [`Failure::Failed`] if the result is lost; not if a reader such as `head` has seen enough.
pub(in crate::cli) fn print_line(line: Arguments<'_>) -> Result<(), Failure> {
    print_text(&format!("{line}\n"))
}

/// Prints whole lines of a result.
///
/// # Errors
///
/// As [`print_line`].
pub(in crate::cli) fn print_text(text: &str) -> Result<(), Failure> {
    ddpm_console::print(text).map_err(|cause| {
        Failure::Failed(format!("standard output cannot be written: {cause}").into())
    })
}

/// Prints the path of what was written. The work is done, so it does not fail if that is lost.
pub(in crate::cli) fn print_path(path: &dyn Display) {
    if let Err(cause) = ddpm_console::print(&format!("{path}\n")) {
        note!("warning: standard output cannot be written: {cause}; wrote {path}");
    }
}

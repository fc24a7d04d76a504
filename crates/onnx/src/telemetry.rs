//! Keeps ONNX Runtime from reporting home.
//!
//! Since version 1.31 the library writes a device id and a database of events below the user's
//! cache folder, and looks up a host of its vendor, as soon as it is loaded. Its own setting comes
//! too late for that; only an environment variable that it reads while it is loaded prevents it.

use std::{env, fs};

use crate::Error;

/// The variable that the library reads while it is loaded.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// Switches ONNX Runtime's telemetry off for this process. Programs call it first of all;
/// [`Runtime::load`](crate::Runtime::load) calls it too.
///
/// # Errors
///
/// [`Error::Telemetry`] if it is still on, and other threads run: then it is too late to change the
/// environment safely.
pub fn disable_telemetry() -> Result<(), Error> {
    if env::var_os(VARIABLE).is_some_and(|value| value == "1") {
        return Ok(());
    }
    if !is_single_threaded() {
        return Err(Error::Telemetry);
    }
    // SAFETY: no other thread can read or write the environment meanwhile, for there is none.
    unsafe { env::set_var(VARIABLE, "1") };
    Ok(())
}

fn is_single_threaded() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_other_threads_it_must_be_off_from_the_start() {
        // Tests run on threads of their own; cargo sets the variable for them.
        assert!(!is_single_threaded());
        assert_eq!(disable_telemetry().is_ok(), env::var_os(VARIABLE).is_some());
    }
}

//! Keeps ONNX Runtime from reporting home.
//!
//! Since version 1.31 the library writes a device id and a database of events below the user's
//! cache folder, and looks up a host of its vendor, as soon as it is loaded. Its own setting comes
//! too late for that; only an environment variable that it reads while it is loaded prevents it.

use std::ffi::OsStr;
use std::{env, fs};

use crate::Error;

/// The variable that the library reads while it is loaded.
const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
/// Its value that switches telemetry off.
const OFF: &str = "1";

/// Switches ONNX Runtime's telemetry off for this process. Programs call it first of all;
/// [`Runtime::load`](crate::Runtime::load) calls it too.
///
/// # Errors
///
/// [`Error::Telemetry`] if it is still on, and other threads run: then it is too late to change the
/// environment safely.
pub fn disable_telemetry() -> Result<(), Error> {
    match decide(env::var_os(VARIABLE).as_deref(), is_single_threaded()) {
        Decision::IsOff => Ok(()),
        Decision::SwitchOff => {
            // SAFETY: no other thread can read or write the environment meanwhile: there is none.
            unsafe { env::set_var(VARIABLE, OFF) };
            Ok(())
        }
        Decision::TooLate => Err(Error::Telemetry),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    IsOff,
    SwitchOff,
    TooLate,
}

fn decide(value: Option<&OsStr>, single_threaded: bool) -> Decision {
    match value {
        Some(value) if value == OFF => Decision::IsOff,
        _ if single_threaded => Decision::SwitchOff,
        _ => Decision::TooLate,
    }
}

fn is_single_threaded() -> bool {
    fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_switched_off_in_time_or_the_library_is_refused() {
        let [off, on] = ["1", "0"].map(OsStr::new);
        for single in [true, false] {
            assert_eq!(decide(Some(off), single), Decision::IsOff);
        }
        for value in [None, Some(on), Some(OsStr::new(""))] {
            assert_eq!(decide(value, true), Decision::SwitchOff);
            assert_eq!(decide(value, false), Decision::TooLate);
        }
    }

    #[test]
    fn other_threads_are_noticed() {
        // Tests run on threads of their own.
        assert!(!is_single_threaded());
    }
}

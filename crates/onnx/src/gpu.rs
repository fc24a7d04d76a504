//! What a GPU's results depend on: its model, the driver and cuDNN.

use std::ffi::{CStr, c_char, c_int};

use libloading::Library;
use tracing::warn;

/// The driver's library, and cuDNN's.
const DRIVER: &str = "libcuda.so.1";
const CUDNN: &str = "libcudnn.so.9";
/// Longest name of a GPU, its end included.
const LONGEST_NAME: usize = 256;

/// Returns the GPU of this number with the versions of its driver and of cuDNN, as one line.
///
/// # Errors
///
/// Says why the driver cannot be asked.
pub(crate) fn identity(number: u32) -> Result<String, String> {
    let (name, driver) = gpu(number).map_err(|reason| format!("{DRIVER}: {reason}"))?;
    let cudnn = cudnn().inspect_err(|reason| {
        warn!(library = CUDNN, %reason, "the fingerprint does not name the version of cuDNN");
    });
    Ok(line(&name, driver, cudnn.ok()))
}

/// * `driver`: 1000 times the version of CUDA that it supports, and 10 times the minor one.
/// * `cudnn`: 10,000 times its version, and 100 times the minor one.
fn line(name: &str, driver: c_int, cudnn: Option<usize>) -> String {
    let (major, minor) = (driver / 1000, driver % 1000 / 10);
    let version = |cudnn: usize| {
        [cudnn / 10_000, cudnn / 100 % 100, cudnn % 100].map(|part| part.to_string()).join(".")
    };
    let cudnn = cudnn.map_or_else(|| "unknown".to_owned(), version);
    format!("{name}, driver for CUDA {major}.{minor}, cuDNN {cudnn}")
}

fn gpu(number: u32) -> Result<(String, c_int), String> {
    type Init = unsafe extern "C" fn(u32) -> c_int;
    type Version = unsafe extern "C" fn(*mut c_int) -> c_int;
    type Device = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;

    let text = |error: libloading::Error| error.to_string();
    let number = c_int::try_from(number).map_err(|error| error.to_string())?;
    // SAFETY: NVIDIA documents these signatures; the library stays loaded for all calls, and the
    // name ends within its buffer.
    unsafe {
        let library = Library::new(DRIVER).map_err(text)?;
        let init = library.get::<Init>(b"cuInit\0").map_err(text)?;
        check("cuInit", init(0))?;
        let mut driver = 0;
        let version = library.get::<Version>(b"cuDriverGetVersion\0").map_err(text)?;
        check("cuDriverGetVersion", version(&raw mut driver))?;
        let mut device = 0;
        let get = library.get::<Device>(b"cuDeviceGet\0").map_err(text)?;
        check("cuDeviceGet", get(&raw mut device, number))?;
        let mut name = [0 as c_char; LONGEST_NAME];
        let get_name = library.get::<Name>(b"cuDeviceGetName\0").map_err(text)?;
        check("cuDeviceGetName", get_name(name.as_mut_ptr(), LONGEST_NAME as c_int, device))?;
        Ok((CStr::from_ptr(name.as_ptr()).to_string_lossy().into_owned(), driver))
    }
}

fn cudnn() -> Result<usize, String> {
    let text = |error: libloading::Error| error.to_string();
    // SAFETY: the function takes nothing and returns a number; the library is loaded already.
    unsafe {
        let library = Library::new(CUDNN).map_err(text)?;
        let version = library.get::<unsafe extern "C" fn() -> usize>(b"cudnnGetVersion\0");
        Ok(version.map_err(text)?())
    }
}

fn check(call: &str, code: c_int) -> Result<(), String> {
    match code {
        0 => Ok(()),
        code => Err(format!("{call} answers with error {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_their_makers_do() {
        let found = line("NVIDIA H200", 13_000, Some(91_900));
        assert_eq!(found, "NVIDIA H200, driver for CUDA 13.0, cuDNN 9.19.0");
        assert_eq!(line("G", 12_090, Some(91_056)), "G, driver for CUDA 12.9, cuDNN 9.10.56");
    }

    #[test]
    fn a_machine_without_a_gpu_says_what_is_missing() {
        if let Err(reason) = identity(0) {
            assert!(reason.starts_with("libcu"), "{reason}");
        }
    }
}

//! The build script of every crate that links libtorch: lets its binaries and tests find the
//! library at run time, without an environment variable.
//!
//! `DEP_DDPM_TORCH_LIB` comes from the build script of `ddpm-torch`, which checked the version.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_DDPM_TORCH_LIB");
    if let Ok(lib) = env::var("DEP_DDPM_TORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    }
}

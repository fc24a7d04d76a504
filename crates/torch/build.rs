//! Checks the version of libtorch, then compiles the shim against it.
//!
//! torch-sys does not check the version of a libtorch from a wheel, and a wrong one causes pages of
//! C++ errors or a crash. This script reports it in one sentence.
//!
//! The shim includes NCCL whenever its headers lie beside libtorch, where `make setup DEVICE=cuda`
//! puts them. The crate then sees `cfg(nccl)`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

/// Version from which tch 0.24 is generated; change it with the pins in the workspace's Cargo.toml.
const VERSION: &str = "2.11.0";

fn main() -> ExitCode {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rustc-check-cfg=cfg(nccl)");
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let torch = libtorch()?;
    println!("cargo:rustc-env=DDPM_LIBTORCH_VERSION={VERSION}");
    let nccl = nccl_headers(&torch);
    if nccl.is_some() {
        println!("cargo:rustc-cfg=nccl");
    }
    compile(&torch, nccl.as_deref());
    Ok(())
}

/// Returns the folder of a libtorch of the right version, or a sentence that says what to do.
fn libtorch() -> Result<PathBuf, String> {
    let torch = env::var_os("LIBTORCH").map(PathBuf::from).ok_or_else(|| {
        format!("LIBTORCH is not set: run `make setup`, or set it to a libtorch {VERSION}.")
    })?;
    let version_file = torch.join("version.py");
    println!("cargo:rerun-if-changed={}", version_file.display());
    let text = fs::read_to_string(&version_file).map_err(|error| {
        format!(
            "libtorch {VERSION} is not at {} ({}: {error}): run `make setup`.",
            torch.display(),
            version_file.display()
        )
    })?;
    match version(&text) {
        Some(VERSION) => Ok(torch),
        found => Err(format!(
            "{} holds libtorch {}, but tch needs exactly {VERSION}: run `make setup`.",
            torch.display(),
            found.unwrap_or("of an unknown version")
        )),
    }
}

/// Reads the release number in PyTorch's `version.py`: `__version__ = '2.11.0+cu130'` gives
/// `2.11.0`.
fn version(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("__version__ ="))?;
    line.split('\'').nth(1)?.split('+').next()
}

/// Returns the folders of the headers that libtorch's NCCL part includes, if all lie beside
/// libtorch.
fn nccl_headers(torch: &Path) -> Option<Vec<PathBuf>> {
    let nvidia = torch.parent().unwrap_or(torch).join("nvidia");
    let folders = [
        ("nccl/include", "nccl.h"),
        ("cu13/include", "cuda_runtime.h"),
        ("cu13/include", "crt/host_defines.h"),
        ("cu13/include/cccl", "cuda/std/version"),
    ];
    let exists = |(folder, header): &(&str, &str)| nvidia.join(folder).join(header).is_file();
    folders.iter().all(exists).then(|| folders.map(|(folder, _)| nvidia.join(folder)).to_vec())
}

fn compile(torch: &Path, nccl_headers: Option<&[PathBuf]>) {
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .opt_level(1)
        .pic(true)
        // System includes, because libtorch's headers cause thousands of warnings.
        .flag("-isystem")
        .flag(torch.join("include"))
        .flag("-isystem")
        .flag(torch.join("include/torch/csrc/api/include"))
        .flag("-isystem")
        .flag("cpp/gloo")
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        .files(["cpp/shim.cpp", "cpp/distributed.cpp"]);
    if let Some(folders) = nccl_headers {
        build.define("USE_C10D_NCCL", None);
        for folder in folders {
            build.flag("-isystem").flag(folder);
        }
    }
    build.compile("ddpm_torch_shim");

    let lib = torch.join("lib");
    println!("cargo:rustc-link-search=native={}", lib.display());
    let cuda: &[&str] = if nccl_headers.is_some() { &["torch_cuda", "c10_cuda"] } else { &[] };
    for library in ["torch_cpu", "c10"].iter().chain(cuda) {
        println!("cargo:rustc-link-lib={library}");
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
    println!("cargo:lib={}", lib.display());
}

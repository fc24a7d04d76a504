//! Compiles `ddpm/v1/*.proto` with protox, so that nobody needs protoc.

use std::{env, fs, path::PathBuf};

use prost::Message;

const FILES: [&str; 3] = ["ddpm/v1/sampling.proto", "ddpm/v1/model.proto", "ddpm/v1/server.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=ddpm");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("ddpm.v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".ddpm.v1.Program", "crate::program::Program")
        .compile_fds(descriptors)?;
    Ok(())
}

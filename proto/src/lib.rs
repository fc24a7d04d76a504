//! The generated `ddpm.v1` contract; its documented source is `ddpm/v1/*.proto`.

#![allow(clippy::too_many_lines, reason = "generated functions have an arm per message")]

/// Messages, clients and servers of package `ddpm.v1`.
#[allow(missing_docs, clippy::all)]
pub mod v1 {
    pub use crate::program::Program;

    tonic::include_proto!("ddpm.v1");
}

mod program;

pub mod undecoded;

pub mod measure;

pub mod convert;

/// The compiled `.proto` files with their imports and comments, as a
/// `google.protobuf.FileDescriptorSet`, as served by gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ddpm.v1.bin"));

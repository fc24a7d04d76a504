//! Generates servers whose methods get the bytes of a message: they decide when and where to decode
//! it, and say what is wrong with bytes that are no message.

use heck::ToSnakeCase;
use prost_types::FileDescriptorSet;
use tonic_prost_build::manual::{Builder, Method, Service, ServiceBuilder};

use super::bare;

/// Methods whose answers are large: they encode them where there is room.
const ENCODED: [&str; 1] = ["Compile"];

/// Writes `ddpm.v1.SERVICE.rs` for each service.
pub(super) fn generate(descriptors: &FileDescriptorSet) {
    let services = descriptors.file.iter().filter(|file| file.package() == "ddpm.v1");
    let services: Vec<Service> = services
        .flat_map(|file| &file.service)
        .map(|service| {
            let builder = Service::builder().package("ddpm.v1").name(service.name());
            let methods = service.method.iter().map(|method| {
                let (answer, codec) = match ENCODED.contains(&method.name()) {
                    true => ("prost::bytes::Bytes".to_owned(), "EncodedCodec"),
                    false => (format!("crate::v1::{}", bare(method.output_type())), "BytesCodec"),
                };
                let builder = Method::builder()
                    .name(method.name().to_snake_case())
                    .route_name(method.name())
                    .input_type("prost::bytes::Bytes")
                    .output_type(answer)
                    .codec_path(format!("crate::undecoded::{codec}"));
                match method.server_streaming() {
                    true => builder.server_streaming().build(),
                    false => builder.build(),
                }
            });
            methods.fold(builder, ServiceBuilder::method).build()
        })
        .collect();
    Builder::new().build_client(false).compile(&services);
}

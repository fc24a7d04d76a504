//! Generates a server whose methods get the bytes of a message, for services whose messages can
//! become large: they decide when and where to decode.

use heck::ToSnakeCase;
use prost_types::FileDescriptorSet;
use tonic_prost_build::manual::{Builder, Method, Service};

use super::{Failure, bare};

/// Services with undecoded requests.
const SERVICES: [&str; 1] = ["SamplingService"];

/// Writes `ddpm.v1.SERVICE.rs` for each of them.
pub(super) fn generate(descriptors: &FileDescriptorSet) -> Result<(), Failure> {
    let services = descriptors.file.iter().filter(|file| file.package() == "ddpm.v1");
    let services: Vec<_> = services
        .flat_map(|file| &file.service)
        .filter(|service| SERVICES.contains(&service.name()))
        .collect();
    if services.len() != SERVICES.len() {
        return Err(format!("not every one of {SERVICES:?} is there").into());
    }
    let services: Vec<Service> = services
        .into_iter()
        .map(|service| {
            let builder = Service::builder().package("ddpm.v1").name(service.name());
            let methods = service.method.iter().map(|method| {
                let builder = Method::builder()
                    .name(method.name().to_snake_case())
                    .route_name(method.name())
                    .input_type("prost::bytes::Bytes")
                    .output_type(format!("crate::v1::{}", bare(method.output_type())))
                    .codec_path("crate::undecoded::BytesCodec");
                match method.server_streaming() {
                    true => builder.server_streaming().build(),
                    false => builder.build(),
                }
            });
            methods.fold(builder, |builder, method| builder.method(method)).build()
        })
        .collect();
    Builder::new().build_client(false).compile(&services);
    Ok(())
}

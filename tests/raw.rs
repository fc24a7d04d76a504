//! The contract on the wire without our client: messages in, messages out.

use std::collections::BTreeMap;

use ddpm_client::proto::generate_event::Event;
use ddpm_client::proto::generate_request::Samples;
use ddpm_client::proto::{
    self, CompileRequest, CompileResponse, Completed, GenerateRequest, Receipt,
    sampling_service_client,
};
use ddpm_proto::convert::{rows_to_proto, sampler_to_proto};
use tonic::Status;
use tonic::transport::Channel;
use tonic_types::StatusExt;

use crate::harness::TestServer;

/// A connection to a server.
pub(crate) struct Raw(sampling_service_client::SamplingServiceClient<Channel>);

/// Everything that a run returned.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) receipt: Receipt,
    /// The bytes of each sample.
    pub(crate) samples: BTreeMap<u64, Vec<u8>>,
    pub(crate) completed: Completed,
}

impl Run {
    /// Returns the elements of a sample in FORMAT_RAW_F32.
    pub(crate) fn values(&self, index: u64) -> Vec<f32> {
        floats(&self.samples[&index])
    }
}

impl Raw {
    pub(crate) async fn connect(server: &TestServer) -> Self {
        let address = server.address().to_owned();
        let client = sampling_service_client::SamplingServiceClient::connect(address).await;
        Self(client.expect("the server listens").max_decoding_message_size(64 << 20))
    }

    /// Runs a request to its end.
    pub(crate) async fn run(&mut self, request: GenerateRequest) -> Run {
        self.try_run(request).await.unwrap_or_else(|status| panic!("{status}"))
    }

    pub(crate) async fn try_run(&mut self, request: GenerateRequest) -> Result<Run, Status> {
        let mut events = self.0.generate(request).await?.into_inner();
        let (mut receipt, mut samples) = (None, BTreeMap::new());
        while let Some(event) = events.message().await? {
            match event.event.expect("an event has a kind") {
                Event::Accepted(accepted) => receipt = accepted.receipt,
                Event::Samples(event) => {
                    let packed = event.packed.expect("samples are packed");
                    let each = packed.data.len() / packed.indices.len();
                    let parts = packed.indices.iter().zip(packed.data.chunks(each));
                    samples.extend(parts.map(|(index, bytes)| (*index, bytes.to_vec())));
                }
                Event::SampleError(error) => panic!("{error:?}"),
                Event::Completed(completed) => {
                    let receipt = receipt.expect("`accepted` comes first");
                    return Ok(Run { receipt, samples, completed });
                }
                Event::Progress(_) | Event::Previews(_) => {}
            }
        }
        panic!("the stream ended without `completed`");
    }

    pub(crate) async fn compile(&mut self, request: GenerateRequest) -> CompileResponse {
        let request = CompileRequest { request: Some(request) };
        self.0.compile(request).await.unwrap_or_else(|status| panic!("{status}")).into_inner()
    }

    /// Returns the fields that the refusal of a request names.
    pub(crate) async fn refused(&mut self, request: GenerateRequest) -> Vec<String> {
        let status = self.try_run(request).await.expect_err("the request is refused");
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
        let violations = status.get_details_bad_request().expect("the refusal names fields");
        violations.field_violations.into_iter().map(|violation| violation.field).collect()
    }
}

/// Requests `count` samples of a model as unclipped floats, with seed 7.
pub(crate) fn float_request(model: &str, count: u32) -> GenerateRequest {
    GenerateRequest {
        model: model.into(),
        samples: Some(Samples::SampleCount(count)),
        seed: Some(7),
        format: proto::Format::RawF32.into(),
        ..GenerateRequest::default()
    }
}

/// Parses a sampler.
pub(crate) fn sampler(text: &str) -> Option<proto::Sampler> {
    Some(sampler_to_proto(text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))))
}

/// Makes a sampler of rows.
pub(crate) fn sampler_from_rows(rows: &[ddpm_diffusion::Row]) -> Option<proto::Sampler> {
    sampler_from_program(rows_to_proto(rows))
}

/// Makes a sampler of a program.
pub(crate) fn sampler_from_program(program: proto::Program) -> Option<proto::Sampler> {
    Some(proto::Sampler { kind: Some(proto::sampler::Kind::Program(program)) })
}

/// Makes a run start from images.
pub(crate) fn images(images: &[&[f32]], strength: Option<f64>) -> Option<proto::Initial> {
    let images = images.iter().map(|image| tensor(image)).collect();
    let images = proto::InitialImages { images, strength };
    Some(proto::Initial { kind: Some(proto::initial::Kind::Images(images)) })
}

/// Makes a run start from states.
pub(crate) fn states(states: &[&[f32]]) -> Option<proto::Initial> {
    let states = states.iter().map(|state| tensor(state)).collect();
    let states = proto::InitialStates { states };
    Some(proto::Initial { kind: Some(proto::initial::Kind::States(states)) })
}

/// Encodes elements in FORMAT_RAW_F32.
pub(crate) fn tensor(elements: &[f32]) -> proto::Tensor {
    let data: Vec<u8> = elements.iter().flat_map(|element| element.to_le_bytes()).collect();
    proto::Tensor { format: proto::Format::RawF32.into(), data: data.into() }
}

pub(crate) fn floats(bytes: &[u8]) -> Vec<f32> {
    let (words, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    words.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

//! Bad requests get a clear error and have no other effect.

use ddpm_client::proto;
use ddpm_client::proto::generate_request::Samples;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{TestServer, glyphs, idle};

type Raw = proto::sampling_service_client::SamplingServiceClient<tonic::transport::Channel>;

fn valid() -> proto::GenerateRequest {
    proto::GenerateRequest {
        model: "glyphs".into(),
        samples: Some(Samples::SampleCount(1)),
        num_steps: Some(5),
        ..Default::default()
    }
}

async fn refusal(client: &mut Raw, request: proto::GenerateRequest) -> Status {
    match client.generate(request).await {
        Err(status) => status,
        Ok(_) => panic!("the request was accepted"),
    }
}

/// Returns the fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let violations =
        status.get_details_bad_request().expect("the refusal names fields").field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}

fn ddim(eta: f64) -> Option<proto::Sampler> {
    let ddim = proto::Ddim { eta, clip_rule: 0 };
    Some(proto::Sampler { kind: Some(proto::sampler::Kind::Ddim(ddim)) })
}

fn preview(options: proto::PreviewOptions) -> proto::GenerateRequest {
    proto::GenerateRequest { preview: Some(options), ..valid() }
}

fn ranges(ranges: &[(u64, u32)]) -> Option<Samples> {
    let ranges =
        ranges.iter().map(|(first, count)| proto::IndexRange { first: *first, count: *count });
    Some(Samples::IndexRanges(proto::IndexRanges { ranges: ranges.collect() }))
}

#[tokio::test]
async fn every_bad_field_is_named_and_the_server_goes_on() {
    let server = TestServer::start(&["--max-samples", "1000"]);
    let mut client = Raw::connect(server.address().to_owned()).await.unwrap();
    let learned = proto::Ddpm { variance: proto::DdpmVariance::Learned.into() };
    let learned = proto::sampler::Kind::Ddpm(learned);
    let watch = |indices: Vec<u64>| proto::PreviewOptions { indices, ..Default::default() };
    let base = valid;
    let cases = [
        ("model", proto::GenerateRequest { model: String::new(), ..base() }),
        ("samples", proto::GenerateRequest { samples: None, ..base() }),
        ("samples", proto::GenerateRequest { samples: Some(Samples::SampleCount(0)), ..base() }),
        ("samples", proto::GenerateRequest { samples: Some(Samples::SampleCount(1001)), ..base() }),
        ("samples", proto::GenerateRequest { samples: ranges(&[]), ..base() }),
        ("samples", proto::GenerateRequest { samples: ranges(&[(0, 4), (3, 2)]), ..base() }),
        ("samples", proto::GenerateRequest { samples: ranges(&[(u64::MAX, 2)]), ..base() }),
        ("num_steps", proto::GenerateRequest { num_steps: Some(0), ..base() }),
        ("num_steps", proto::GenerateRequest { num_steps: Some(1001), ..base() }),
        ("class_labels", proto::GenerateRequest { class_labels: vec![16], ..base() }),
        ("sampler.ddim.eta", proto::GenerateRequest { sampler: ddim(f64::NAN), ..base() }),
        ("sampler.ddim.eta", proto::GenerateRequest { sampler: ddim(-0.5), ..base() }),
        (
            "sampler.kind",
            proto::GenerateRequest { sampler: Some(proto::Sampler { kind: None }), ..base() },
        ),
        (
            "sampler.ddpm.variance",
            proto::GenerateRequest {
                sampler: Some(proto::Sampler { kind: Some(learned) }),
                ..base()
            },
        ),
        ("grid", proto::GenerateRequest { grid: 99, ..base() }),
        ("clip", proto::GenerateRequest { clip: -1, ..base() }),
        ("format", proto::GenerateRequest { format: 77, ..base() }),
        ("request_id", proto::GenerateRequest { request_id: "x".repeat(129), ..base() }),
        ("preview.kind", preview(proto::PreviewOptions { kind: 9, ..watch(vec![]) })),
        ("preview.delivery", preview(proto::PreviewOptions { delivery: 9, ..watch(vec![]) })),
        ("preview.indices", preview(watch(vec![1]))),
    ];
    for (field, request) in cases {
        let status = refusal(&mut client, request).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert_eq!(fields(&status), [field], "{status}");
        assert_eq!(status.get_details_error_info().unwrap().domain, "ddpm");
    }
    assert_eq!(server.sample(glyphs(1)).await.samples.len(), 1);
    assert_eq!(idle(&server.client().await).await.evals, 10);
}

#[tokio::test]
async fn all_bad_fields_of_a_request_are_named_at_once() {
    let server = TestServer::start(&[]);
    let mut client = Raw::connect(server.address().to_owned()).await.unwrap();
    let request = proto::GenerateRequest {
        samples: Some(Samples::SampleCount(0)),
        num_steps: Some(0),
        class_labels: vec![400],
        ..valid()
    };
    let status = refusal(&mut client, request).await;
    assert_eq!(fields(&status), ["samples", "class_labels", "num_steps"]);
}

#[tokio::test]
async fn points_have_no_pixels() {
    let server = TestServer::start(&[]);
    let mut client = Raw::connect(server.address().to_owned()).await.unwrap();
    let format = proto::Format::Png.into();
    let request = proto::GenerateRequest { model: "toy".into(), format, ..valid() };
    let status = refusal(&mut client, request).await;
    assert_eq!(fields(&status), ["format"]);
    assert!(status.message().contains("FORMAT_RAW_F32"), "{status}");
}

#[tokio::test]
async fn an_unknown_model_or_version_is_not_found_and_the_answer_names_the_known_ones() {
    let server = TestServer::start(&[]);
    let mut client = Raw::connect(server.address().to_owned()).await.unwrap();
    let unknown = proto::GenerateRequest { model: "cats".into(), ..valid() };
    let version = proto::GenerateRequest { version: "99".into(), ..valid() };
    for request in [unknown, version] {
        let status = refusal(&mut client, request).await;
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().contains("glyphs") && status.message().contains("toy"));
        assert!(status.get_details_resource_info().is_some());
    }
}

#[tokio::test]
async fn samples_that_would_differ_from_the_expected_ones_are_refused() {
    let server = TestServer::start(&[]);
    let mut client = Raw::connect(server.address().to_owned()).await.unwrap();
    let receipt = server.sample(glyphs(1)).await.receipt;
    let good = proto::Expect {
        model_digest: receipt.model_digest,
        fingerprint: receipt.fingerprint,
        ..Default::default()
    };
    let accepted = proto::GenerateRequest { expect: Some(good.clone()), ..valid() };
    assert!(client.generate(accepted).await.is_ok());

    let other = proto::Expect { model_digest: "0".repeat(64), ..good };
    let request = proto::GenerateRequest { expect: Some(other), ..valid() };
    let status = refusal(&mut client, request).await;
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.get_details_error_info().unwrap().reason, "EXPECT_MISMATCH");
}

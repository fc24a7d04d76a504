//! Every sampler over the wire, and many of them in one batch.

use ddpm_client::proto::generate_request::Samples;
use ddpm_client::proto::{self, GenerateRequest};
use ddpm_diffusion::Sampler;

use crate::harness::TestServer;
use crate::raw::{Raw, float_request, images, sampler, sampler_from_program};

/// Requests glyphs of a sampler; the one that encodes gets pictures to encode.
fn glyphs_with(text: &str, count: u32, num_steps: u32) -> GenerateRequest {
    let picture: Vec<f32> = (0..3 * 16 * 16).map(|k| (k as f32 * 0.37).sin()).collect();
    let encodes = text == "ddim-inverse";
    GenerateRequest {
        sampler: sampler(text),
        num_steps: Some(num_steps),
        class_labels: (0..16).collect(),
        initial: encodes.then(|| images(&[&picture], None)).flatten(),
        ..float_request("glyphs", count)
    }
}

#[tokio::test]
async fn the_rows_of_every_sampler_sent_back_give_the_same_bytes() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    for text in Sampler::ALL.map(|sampler| sampler.to_string()) {
        let named = glyphs_with(&text, 2, 8);
        let compiled = raw.compile(named.clone()).await;
        let by_name = raw.run(named.clone()).await;
        let rows = GenerateRequest {
            sampler: sampler_from_program(compiled.program.unwrap()),
            num_steps: None,
            ..named
        };
        let by_rows = raw.run(rows).await;
        assert!(by_name.samples == by_rows.samples, "{text}");
        assert_eq!(by_name.samples.len(), 2, "{text}");
        assert_eq!(by_name.receipt.program_digest, by_rows.receipt.program_digest, "{text}");
        assert_eq!(by_name.receipt.program_digest, compiled.program_digest, "{text}");
        assert_eq!(by_name.completed.evals, 2 * compiled.evals_per_sample, "{text}");
    }
}

/// Requests 32 samples of 12 samplers with different lengths, grids and seeds.
fn mixed() -> Vec<GenerateRequest> {
    let with = |(position, (text, count, num_steps)): (usize, (&str, u32, u32))| GenerateRequest {
        seed: Some(100 + position as u64),
        samples: Some(Samples::SampleCount(count)),
        ..glyphs_with(text, count, num_steps)
    };
    let karras = proto::Grid::Karras.into();
    let mut requests: Vec<GenerateRequest> = [
        ("ddpm", 3, 40),
        ("ddim", 3, 30),
        ("ddim:eta=0.7,clip-rule=keep-eps", 2, 35),
        ("euler", 3, 25),
        ("euler-ancestral", 2, 30),
        ("edm-heun:s-churn=10", 3, 16),
        ("dpm++:order=3", 3, 24),
        ("sde-dpm++", 2, 28),
        ("unipc:order=3", 3, 22),
        ("deis", 3, 26),
        ("restart", 2, 14),
        ("pndm", 3, 20),
    ]
    .into_iter()
    .enumerate()
    .map(with)
    .collect();
    requests[6].grid = karras;
    requests[10].grid = karras;
    // Rows with two evals run beside rows with one and with none.
    requests[1].guidance = Some(proto::Guidance { scale: 2.5, sigma_min: None, sigma_max: None });
    requests
}

#[tokio::test]
async fn calls_that_mix_32_samples_of_12_samplers_equal_32_solo_runs_bit_for_bit() {
    let server = TestServer::start(&["--batch", "64"]);
    let mut tasks = Vec::new();
    for request in mixed() {
        let mut raw = Raw::connect(&server).await;
        tasks.push(tokio::spawn(async move { raw.run(request).await }));
    }
    let mut together = Vec::new();
    for task in tasks {
        together.push(task.await.unwrap());
    }
    let begun = together.iter().map(|run| run.completed.first_tick).max().unwrap();
    let ended = together.iter().map(|run| run.completed.last_tick).min().unwrap();
    assert!(begun < ended, "not all were in flight at once: calls {begun} to {ended}");

    let mut raw = Raw::connect(&server).await;
    let mut solo_runs = 0;
    for (request, together) in mixed().into_iter().zip(&together) {
        for (index, bytes) in &together.samples {
            let ranges = vec![proto::IndexRange { first: *index, count: 1 }];
            let ranges = proto::IndexRanges { ranges };
            let alone =
                GenerateRequest { samples: Some(Samples::IndexRanges(ranges)), ..request.clone() };
            assert!(raw.run(alone).await.samples[index] == *bytes, "{:?}", request.sampler);
            solo_runs += 1;
        }
    }
    assert_eq!(solo_runs, 32);
}

#[tokio::test]
async fn the_server_chooses_a_sampler_for_a_budget() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let auto = || Some(proto::sampler::Kind::Auto(proto::Auto {}));
    for budget in [1, 5, 10, 20, 50, 1000] {
        let request = GenerateRequest {
            sampler: Some(proto::Sampler { kind: auto() }),
            num_steps: Some(budget),
            ..float_request("glyphs", 1)
        };
        let compiled = raw.compile(request.clone()).await;
        assert!(compiled.evals_per_sample <= u64::from(budget), "{budget}");
        assert!(compiled.sampler.unwrap().kind != auto(), "the answer names the sampler");
    }
    let grid = GenerateRequest {
        sampler: Some(proto::Sampler { kind: auto() }),
        grid: proto::Grid::Karras.into(),
        ..float_request("glyphs", 1)
    };
    assert_eq!(raw.refused(grid).await, ["grid"]);
}

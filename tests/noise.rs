//! Noise over the wire is the documented noise: a program that only draws noise returns it
//! bit for bit.

use ddpm_client::proto::generate_request::Samples;
use ddpm_client::proto::{self, GenerateRequest};
use ddpm_diffusion::{Evals, Label, Mix, Noise, NoiseAddress, Row};

use crate::harness::TestServer;
use crate::raw::{Raw, float_request, sampler_from_rows};

const SEED: u64 = 1 << 40;

/// Makes a row without an evaluation that mixes `u`.
fn row(step: u32, u: Mix) -> Row {
    let mut row = Row::at(0.0);
    row.evals = Evals::Zero;
    row.u = u;
    row.label = Label { step, num_steps: 2, ends_step: true, noise_level: 0.0 };
    row
}

fn drawn(index: u64, draw: u32) -> [f32; 2] {
    let mut z = [0.0; 2];
    Noise::new(SEED).normal(index, draw, &mut z);
    z
}

/// Runs two rows on sample 5.
async fn sample_5(rows: [Row; 2]) -> Vec<f32> {
    let server = TestServer::start(&[]);
    let ranges = vec![proto::IndexRange { first: 5, count: 1 }];
    let request = GenerateRequest {
        seed: Some(SEED),
        samples: Some(Samples::IndexRanges(proto::IndexRanges { ranges })),
        sampler: sampler_from_rows(&rows),
        ..float_request("toy", 1)
    };
    Raw::connect(&server).await.run(request).await.values(5)
}

#[tokio::test]
async fn x_t_is_draw_0_of_the_index() {
    let keep = Mix { u: 1.0, ..Mix::ZERO };
    assert_eq!(sample_5([row(1, keep), row(2, keep)]).await, drawn(5, 0));
}

#[tokio::test]
async fn a_row_draws_its_position_plus_one_or_the_draw_it_names() {
    let noise = Mix { z: 1.0, ..Mix::ZERO };
    let keep = Mix { u: 1.0, ..Mix::ZERO };
    assert_eq!(sample_5([row(1, noise), row(2, keep)]).await, drawn(5, 1));
    let mut named = row(1, noise);
    named.noise = NoiseAddress { draw: Some(77), index: Some(9) };
    assert_eq!(sample_5([named, row(2, keep)]).await, drawn(9, 77));
}

//! Requests share calls of the network and keep their bits: with the glyphs model, through
//! ONNX Runtime, over the wire.

use ddpm_client::samplers::{Ddim, Ddpm};
use ddpm_client::{ClippedEps, Collected, Format, Grid, Request, Sampler, Variance};

use crate::harness::{TestServer, glyphs};

/// Makes three requests with different samplers, lengths, grids and seeds.
fn requests() -> [Request; 3] {
    let ddim = |eta, clip_rule| Sampler::Ddim(Ddim { eta, clip_rule });
    let ddpm = Sampler::Ddpm(Ddpm { variance: Some(Variance::FixedSmall) });
    let base = |count, seed| glyphs(count).format(Format::RawF32).seed(seed);
    [
        base(2, 11).sampler(ddim(0.0, ClippedEps::Recompute)).num_steps(40),
        base(1, 12).sampler(ddpm).num_steps(100).grid(Grid::Leading { offset: 0 }),
        base(3, 13).sampler(ddim(0.7, ClippedEps::Keep)).num_steps(60),
    ]
}

/// Returns the first and the last call that a request took part in.
fn span(collected: &Collected) -> (u64, u64) {
    (collected.completed.first_tick, collected.completed.last_tick)
}

#[tokio::test]
async fn three_requests_advance_in_the_same_calls_and_equal_their_solo_runs_bit_for_bit() {
    let server = TestServer::start(&["--batch", "16"]);
    let mut solo = Vec::new();
    for request in requests() {
        solo.push(server.sample(request).await);
    }

    let [a, b, c] = requests();
    let (a, b, c) = tokio::join!(server.sample(a), server.sample(b), server.sample(c));
    let together = [a, b, c];

    for (together, solo) in together.iter().zip(&solo) {
        assert_eq!(together.samples, solo.samples);
        assert_eq!(together.receipt, solo.receipt);
    }
    let evals: Vec<u64> = together.iter().map(|one| one.completed.evals).collect();
    assert_eq!(evals, [80, 100, 180]);

    // Each took part in one call per row of its program, but the calls were shared.
    let ticks: u64 = together.iter().map(|one| one.completed.ticks).sum();
    assert_eq!(ticks, 40 + 100 + 60);
    let first = together.iter().map(|one| span(one).0).min().unwrap();
    let last = together.iter().map(|one| span(one).1).max().unwrap();
    let calls = last - first + 1;
    assert!(calls < 40 + 100 + 60, "{calls} calls for {ticks} rows");
}

#[tokio::test]
async fn bits_do_not_depend_on_the_batch_size() {
    let request = || glyphs(9).format(Format::RawF32);
    let mut results = Vec::new();
    for batch in ["1", "2", "3", "5", "8", "64"] {
        let server = TestServer::start(&["--batch", batch]);
        results.push(server.sample(request()).await.samples);
    }
    assert!(results.windows(2).all(|pair| pair[0] == pair[1]));
}

#[tokio::test]
async fn points_keep_their_bits_among_a_thousand_others() {
    use ddpm_client::Indices;
    let server = TestServer::start(&["--batch", "1000"]);
    let request = |indices| Request::new("toy", indices).seed(5).num_steps(20);
    let all = server.sample(request(Indices::first(1000))).await.samples;
    let one = server.sample(request("617".parse().unwrap())).await.samples;
    assert_eq!(one[0], all[617]);
}

#[tokio::test]
async fn samples_are_the_same_whether_the_host_or_the_device_holds_them_in_between() {
    let mut results = Vec::new();
    for place in ["host", "device"] {
        let server = TestServer::start(&["--samples-on", place, "--batch", "5"]);
        let [a, b, c] = requests();
        let points = Request::new("toy", ddpm_client::Indices::first(100)).seed(5).num_steps(20);
        let (a, b, c, points) = tokio::join!(
            server.sample(a),
            server.sample(b),
            server.sample(c),
            server.sample(points)
        );
        results.push([a, b, c, points].map(|one| (one.samples, one.receipt)));
    }
    assert_eq!(results[0], results[1]);
}

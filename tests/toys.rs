//! Every kind of network with every sampler that suits it: the toys of
//! `tests/fixtures/toys`, one for each prediction, learned variance, EDM's continuous noise,
//! a flow, and labels.

use std::f64::consts::FRAC_PI_4;

use ddpm_client::proto::generate_request::Samples;
use ddpm_client::proto::{self, GenerateRequest};
use ddpm_diffusion::{Noise, Sampler};
use ddpm_measures::{Features, Order, SlicedOptions, sliced_wasserstein};

use crate::harness::{TestServer, root};
use crate::raw::{Raw, Run, float_request, images, sampler, states};

/// All toys with their numbers of classes.
const TOYS: [(&str, u32); 9] = [
    ("eps", 0),
    ("x0", 0),
    ("mean", 0),
    ("v", 0),
    ("learned", 0),
    ("learned-range", 0),
    ("edm", 0),
    ("flow", 0),
    ("labels", 8),
];

/// Samples per measurement.
const COUNT: u32 = 400;

fn serve() -> TestServer {
    let toys = root().join("tests/fixtures/toys");
    TestServer::start(&["--models", toys.to_str().unwrap()])
}

/// Requests samples of a toy, with all labels in turn if it has classes.
fn toy_request(toy: &str, classes: u32, text: &str, num_steps: u32) -> GenerateRequest {
    GenerateRequest {
        sampler: sampler(text),
        num_steps: Some(num_steps),
        class_labels: (0..classes).collect(),
        ..float_request(toy, COUNT)
    }
}

/// Returns the centre of a mode of `gaussian8` at the scale of the model: modes at radius 2,
/// divided by the standard deviation of a coordinate.
fn centre(mode: usize) -> [f64; 2] {
    let (sin, cos) = (mode as f64 * FRAC_PI_4).sin_cos();
    let scale = (0.02_f64.powi(2) + 2.0).sqrt();
    [2.0 * cos / scale, 2.0 * sin / scale]
}

/// Draws a point of the data that a toy was trained on: a random mode, and noise around it.
fn data_point(toy: &str, index: u64) -> [f32; 2] {
    let noise = Noise::new(99);
    let mut z = [0.0_f64; 2];
    noise.normal(index, 0, &mut z);
    let bits = noise.bits(index, 1) as usize;
    let point = match toy {
        // `gaussian25`: modes at −4, −2, … 4 along each axis.
        "v" => {
            let (mode, scale) = (bits % 25, (0.05_f64.powi(2) + 8.0).sqrt());
            let raw = [2.0 * (mode / 5) as f64 - 4.0, 2.0 * (mode % 5) as f64 - 4.0];
            [0, 1].map(|axis| (raw[axis] + 0.05 * z[axis]) / scale)
        }
        _ => {
            let [x, y] = centre(bits % 8);
            let stdev = 0.02 / (0.02_f64.powi(2) + 2.0).sqrt();
            [x + stdev * z[0], y + stdev * z[1]]
        }
    };
    point.map(|coordinate| coordinate as f32)
}

/// Returns the sliced Wasserstein distance from points to data, in standard deviations of the
/// data.
fn distance_to_data(toy: &str, points: Vec<f32>) -> f64 {
    let data = (0..20_000).flat_map(|index| data_point(toy, index)).collect();
    let [points, data] = [points, data].map(|rows| Features::from_rows(2, rows).unwrap());
    let options = SlicedOptions { order: Order::First, projections: 64, seed: 0 };
    sliced_wasserstein(&points, &data, &options).unwrap()
}

fn points(run: &Run) -> Vec<f32> {
    run.samples.keys().flat_map(|index| run.values(*index)).collect()
}

/// Returns whether a sampler draws samples of a network. The one that encodes draws none,
/// only `ddpm` draws from networks that predict the mean, and samplers that count timesteps
/// do not suit EDM.
fn suits(toy: &str, sampler: Sampler) -> bool {
    match sampler {
        Sampler::DdimInverse(_) => false,
        Sampler::Lcm(_) => !matches!(toy, "mean" | "edm"),
        _ => toy != "mean" || matches!(sampler, Sampler::Ddpm(_)),
    }
}

/// Returns the largest distance of samples from their data that passes, in standard
/// deviations of the data. A test below checks that standard normal noise is farther away.
/// 400 points of the data itself are at 0.06 for eight modes and at 0.08 for 25, since modes
/// are not hit equally often.
fn max_distance(toy: &str) -> f64 {
    if toy == "v" { 0.1 } else { 0.125 }
}

/// Returns [`max_distance`] for a sampler. More for those that jump to the data at once:
/// networks that were not trained for jumps distort the weights of the modes.
fn max_distance_for(toy: &str, sampler: Sampler) -> f64 {
    match sampler {
        Sampler::Consistency(_) | Sampler::Lcm(_) => 0.15,
        _ => max_distance(toy),
    }
}

/// Returns enough steps for a sampler: all timesteps for the chain.
fn enough_steps(sampler: Sampler) -> u32 {
    if matches!(sampler, Sampler::Ddpm(_)) { 100 } else { 32 }
}

#[tokio::test]
async fn every_sampler_that_suits_a_network_gives_samples_near_its_data() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    let mut far = Vec::new();
    for (toy, classes) in TOYS {
        for solver in Sampler::ALL.into_iter().filter(|sampler| suits(toy, *sampler)) {
            let text = solver.to_string();
            let run = raw.run(toy_request(toy, classes, &text, enough_steps(solver))).await;
            let distance = distance_to_data(toy, points(&run));
            println!("{toy} {text}: {distance:.4}");
            if distance >= max_distance_for(toy, solver) {
                far.push(format!("{toy} {text}: {distance:.4}"));
            }
        }
    }
    assert!(far.is_empty(), "{far:#?}");
}

#[test]
fn noise_is_too_far_from_the_data_to_pass_for_samples() {
    for toy in ["eps", "v"] {
        let noise = Noise::new(3);
        let normal = |index| {
            let mut z = [0.0_f32; 2];
            noise.normal(index, 0, &mut z);
            z
        };
        let of_noise = distance_to_data(toy, (0..u64::from(COUNT)).flat_map(normal).collect());
        let drawn = (0..u64::from(COUNT)).flat_map(|index| data_point(toy, 50_000 + index));
        let of_data = distance_to_data(toy, drawn.collect());
        println!("{toy}: noise {of_noise:.4}, data {of_data:.4}");
        let max = max_distance(toy);
        assert!(of_noise > max && of_data < 0.8 * max, "{toy}: {of_noise} {of_data}");
    }
}

#[tokio::test]
async fn points_that_are_encoded_and_decoded_come_back_on_every_network() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    for (toy, _) in TOYS.into_iter().filter(|(toy, _)| *toy != "mean") {
        let given: Vec<[f32; 2]> = (0..64).map(|index| data_point(toy, index)).collect();
        let given: Vec<&[f32]> = given.iter().map(<[f32; 2]>::as_slice).collect();
        let way = |text, initial| GenerateRequest {
            initial,
            samples: Some(Samples::SampleCount(64)),
            ..toy_request(toy, 0, text, 100)
        };
        let encoded = raw.run(way("ddim-inverse", images(&given, None))).await;
        let encoded: Vec<Vec<f32>> = (0..64).map(|index| encoded.values(index)).collect();
        let encoded: Vec<&[f32]> = encoded.iter().map(Vec::as_slice).collect();
        let back = raw.run(way("ddim", states(&encoded))).await;
        let off = |index: u64| -> f64 {
            let pairs = back.values(index).into_iter().zip(given[index as usize]);
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
        };
        let mut off: Vec<f64> = (0..64).map(off).collect();
        off.sort_by(f64::total_cmp);
        println!("{toy}: half are restored within {:.4}, all within {:.4}", off[32], off[63]);
        assert!(off[32] < 0.1, "{toy}: {off:?}");
    }
}

#[tokio::test]
async fn options_that_do_not_suit_a_network_are_refused_by_their_field() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    for sampler in Sampler::ALL.into_iter().filter(|sampler| !suits("mean", *sampler)) {
        let mut request = toy_request("mean", 0, &sampler.to_string(), 100);
        if sampler.encodes() {
            request.initial = images(&[&[0.0, 0.0]], None);
        }
        assert_eq!(raw.refused(request).await, ["sampler"], "{sampler}");
    }
    let trailing = |toy| GenerateRequest {
        grid: proto::Grid::Trailing.into(),
        ..toy_request(toy, 0, "euler", 10)
    };
    let labelled = |toy, label| GenerateRequest {
        class_labels: vec![label],
        ..toy_request(toy, 0, "euler", 10)
    };
    let guided = GenerateRequest {
        guidance: Some(proto::Guidance { scale: 2.0, ..Default::default() }),
        ..toy_request("eps", 0, "euler", 10)
    };
    for (request, fields) in [
        (toy_request("eps", 0, "ddpm:variance=learned", 100), ["sampler.ddpm.variance"]),
        (toy_request("learned", 0, "ddpm:variance=learned-range", 100), ["sampler.ddpm.variance"]),
        (toy_request("learned-range", 0, "ddpm:variance=learned", 100), ["sampler.ddpm.variance"]),
        (toy_request("edm", 0, "lcm", 4), ["sampler"]),
        (
            toy_request("eps", 0, "consistency:precondition=consistency", 4),
            ["sampler.consistency.shifted"],
        ),
        (trailing("edm"), ["grid"]),
        (trailing("flow"), ["grid"]),
        (labelled("eps", 0), ["class_labels"]),
        (labelled("labels", 8), ["class_labels"]),
        (guided, ["guidance"]),
    ] {
        assert_eq!(raw.refused(request.clone()).await, fields, "{request:?}");
    }
}

/// Returns the share of samples that are nearest to the mode of their label, and the median
/// distance from it. Labels follow the indices in turn.
fn at_their_mode(run: &Run) -> (f64, f64) {
    let (mut right, mut distances) = (0, Vec::new());
    for index in run.samples.keys() {
        let point = run.values(*index);
        let from = |mode: usize| {
            let [x, y] = centre(mode);
            (f64::from(point[0]) - x).hypot(f64::from(point[1]) - y)
        };
        let label = *index as usize % 8;
        let nearest = (0..8).min_by(|a, b| from(*a).total_cmp(&from(*b)));
        right += usize::from(nearest == Some(label));
        distances.push(from(label));
    }
    distances.sort_by(f64::total_cmp);
    (right as f64 / distances.len() as f64, distances[distances.len() / 2])
}

#[tokio::test]
async fn samples_of_a_label_lie_at_its_mode_and_those_without_one_at_all_modes() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    let (share, off) = at_their_mode(&raw.run(toy_request("labels", 8, "dpm++", 32)).await);
    println!("with labels: {share:.3} at their mode, half of them within {off:.4}");
    // The modes are 1.08 apart and 0.014 wide.
    assert!(share > 0.99 && off < 0.1, "{share} {off}");

    let without = raw.run(toy_request("labels", 0, "dpm++", 32)).await;
    let (share, _) = at_their_mode(&without);
    let distance = distance_to_data("labels", points(&without));
    println!("without: {share:.3} at the mode of their index, {distance:.4} from the data");
    // An eighth of 400 is 50; the tolerance is five standard deviations of 6.6.
    assert!((share - 0.125).abs() < 5.0 * 6.6 / 400.0, "{share}");
    assert!(distance < max_distance("labels"), "{distance}");
}

#[tokio::test]
async fn guidance_moves_samples_from_all_modes_to_that_of_their_label() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    let mut shares = Vec::new();
    for scale in [0.0, 0.25, 0.5, 1.0, 2.0] {
        let guidance = Some(proto::Guidance { scale, ..Default::default() });
        let request = GenerateRequest { guidance, ..toy_request("labels", 8, "dpm++", 32) };
        let (share, off) = at_their_mode(&raw.run(request).await);
        println!("guidance {scale}: {share:.3} at their mode, half of them within {off:.4}");
        shares.push(share);
    }
    assert!((shares[0] - 0.125).abs() < 5.0 * 6.6 / 400.0, "{shares:?}");
    assert!(shares.windows(2).all(|pair| pair[0] <= pair[1] + 0.01), "{shares:?}");
    assert!(shares[1] < 0.9 && shares[4] > 0.99, "{shares:?}");
}

//! Every kind of network with every sampler that suits it: the toys of `tests/fixtures/toys`, one for
//! each prediction, learned variance, EDM's continuous noise, a flow, and labels.

use std::f64::consts::FRAC_PI_4;

use ddpm_client::proto::{self, GenerateRequest, generate_request::Samples};
use ddpm_diffusion::{Noise, Sampler};
use ddpm_evaluation::{Features, Order, SlicedOptions, sliced_wasserstein};

use crate::{
    harness::{TestServer, root},
    raw::{Raw, Run, floats_of, images, sampler, states},
};

/// All of them, with the number of classes.
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

/// Samples of one measurement.
const COUNT: u32 = 400;

fn serve() -> TestServer {
    let toys = root().join("tests/fixtures/toys");
    TestServer::start(&["--models", toys.to_str().unwrap()])
}

/// Samples of a toy by a sampler, with all labels in turn if it has classes.
fn of(toy: &str, classes: u32, text: &str, num_steps: u32) -> GenerateRequest {
    GenerateRequest {
        sampler: sampler(text),
        num_steps: Some(num_steps),
        class_labels: (0..classes).collect(),
        ..floats_of(toy, COUNT)
    }
}

/// Centre of a mode of `gaussian8`, at the scale of the model: modes at radius 2, divided by the
/// standard deviation of a coordinate.
fn centre(mode: usize) -> [f64; 2] {
    let (sin, cos) = (mode as f64 * FRAC_PI_4).sin_cos();
    let scale = (0.02_f64.powi(2) + 2.0).sqrt();
    [2.0 * cos / scale, 2.0 * sin / scale]
}

/// A point of the data that a toy was trained on: a mode drawn at random, and noise around it.
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

/// The mean distance over directions from points to data, in standard deviations of the data.
fn distance_to_data(toy: &str, points: Vec<f32>) -> f64 {
    let data = (0..20_000).flat_map(|index| data_point(toy, index)).collect();
    let [points, data] = [points, data].map(|rows| Features::from_rows(2, rows).unwrap());
    let options = SlicedOptions { order: Order::First, projections: 64, seed: 0 };
    sliced_wasserstein(&points, &data, &options).unwrap()
}

fn points(run: &Run) -> Vec<f32> {
    run.samples.keys().flat_map(|index| run.values(*index)).collect()
}

/// Whether a sampler draws samples of a network: all do but the one that encodes, `ddpm` alone those of
/// the mean, and those that count in timesteps none of EDM's.
fn suits(toy: &str, sampler: Sampler) -> bool {
    match sampler {
        Sampler::DdimInverse => false,
        Sampler::Lcm => !matches!(toy, "mean" | "edm"),
        _ => toy != "mean" || matches!(sampler, Sampler::Ddpm { .. }),
    }
}

/// Most distance of samples from their data, in standard deviations of the data: half of what standard
/// normal noise has. 400 points of the data itself are at 0.06, since modes are not hit equally often.
const MOST_DISTANCE: f64 = 0.125;

/// [`MOST_DISTANCE`], but for samplers that jump to the data at once: on networks that were not trained
/// for jumps they land between modes at first, and forget how often each mode is.
fn most_distance(sampler: Sampler) -> f64 {
    match sampler {
        Sampler::Consistency { .. } | Sampler::Lcm => 0.3,
        _ => MOST_DISTANCE,
    }
}

/// Steps that are enough for each: all timesteps for the chain.
fn enough_steps(sampler: Sampler) -> u32 {
    if matches!(sampler, Sampler::Ddpm { .. }) { 100 } else { 32 }
}

#[tokio::test]
async fn every_sampler_that_suits_a_network_gives_samples_near_its_data() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    let mut far = Vec::new();
    for (toy, classes) in TOYS {
        for solver in Sampler::ALL.into_iter().filter(|sampler| suits(toy, *sampler)) {
            let text = solver.to_string();
            let run = raw.run(of(toy, classes, &text, enough_steps(solver))).await;
            let distance = distance_to_data(toy, points(&run));
            println!("{toy} {text}: {distance:.4}");
            if distance >= most_distance(solver) {
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
        assert!(
            of_noise > 2.0 * MOST_DISTANCE && of_data < 0.6 * MOST_DISTANCE,
            "{of_noise} {of_data}"
        );
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
            ..of(toy, 0, text, 100)
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
        println!("{toy}: half are back within {:.4}, all within {:.4}", off[32], off[63]);
        assert!(off[32] < 0.1, "{toy}: {off:?}");
    }
}

#[tokio::test]
async fn what_does_not_suit_a_network_is_refused_by_its_field() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    for sampler in Sampler::ALL.into_iter().filter(|sampler| !suits("mean", *sampler)) {
        let mut request = of("mean", 0, &sampler.to_string(), 100);
        if sampler == Sampler::DdimInverse {
            request.initial = images(&[&[0.0, 0.0]], None);
        }
        assert_eq!(raw.refused(request).await, ["sampler"], "{sampler}");
    }
    let trailing =
        |toy| GenerateRequest { grid: proto::Grid::Trailing.into(), ..of(toy, 0, "euler", 10) };
    let labelled =
        |toy, label| GenerateRequest { class_labels: vec![label], ..of(toy, 0, "euler", 10) };
    let guided = GenerateRequest {
        guidance: Some(proto::Guidance { scale: 2.0, ..Default::default() }),
        ..of("eps", 0, "euler", 10)
    };
    for (request, fields) in [
        (of("eps", 0, "ddpm:variance=learned", 100), ["sampler.ddpm.variance"]),
        (of("learned", 0, "ddpm:variance=learned-range", 100), ["sampler.ddpm.variance"]),
        (of("learned-range", 0, "ddpm:variance=learned", 100), ["sampler.ddpm.variance"]),
        (of("edm", 0, "lcm", 4), ["sampler"]),
        (of("eps", 0, "consistency:precondition=consistency", 4), ["sampler.consistency.shifted"]),
        (trailing("edm"), ["grid"]),
        (trailing("flow"), ["grid"]),
        (labelled("eps", 0), ["class_labels"]),
        (labelled("labels", 8), ["class_labels"]),
        (guided, ["guidance"]),
    ] {
        assert_eq!(raw.refused(request.clone()).await, fields, "{request:?}");
    }
}

/// Share of the samples that lie nearest to the centre of the mode that was asked for, which are the
/// labels in turn, and their median distance from it.
fn at_their_mode(run: &Run) -> (f64, f64) {
    let (mut right, mut distances) = (0, Vec::new());
    for index in run.samples.keys() {
        let point = run.values(*index);
        let from = |mode: usize| {
            let [x, y] = centre(mode);
            (f64::from(point[0]) - x).hypot(f64::from(point[1]) - y)
        };
        let asked = *index as usize % 8;
        let nearest = (0..8).min_by(|a, b| from(*a).total_cmp(&from(*b)));
        right += usize::from(nearest == Some(asked));
        distances.push(from(asked));
    }
    distances.sort_by(f64::total_cmp);
    (right as f64 / distances.len() as f64, distances[distances.len() / 2])
}

#[tokio::test]
async fn samples_of_a_label_lie_at_its_mode_and_those_without_one_at_all_modes() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    let (share, off) = at_their_mode(&raw.run(of("labels", 8, "dpm++", 32)).await);
    println!("with labels: {share:.3} at their mode, half of them within {off:.4}");
    // The modes are 1.08 apart and 0.014 wide.
    assert!(share > 0.99 && off < 0.1, "{share} {off}");

    let without = raw.run(of("labels", 0, "dpm++", 32)).await;
    let (share, _) = at_their_mode(&without);
    let distance = distance_to_data("labels", points(&without));
    println!("without: {share:.3} at the mode of their index, {distance:.4} from the data");
    // An eighth of 400 is 50, with a standard deviation of 6.6: within five of them.
    assert!((share - 0.125).abs() < 5.0 * 6.6 / 400.0, "{share}");
    assert!(distance < MOST_DISTANCE, "{distance}");
}

#[tokio::test]
async fn guidance_moves_samples_from_all_modes_to_that_of_their_label() {
    let server = serve();
    let mut raw = Raw::connect(&server).await;
    let mut shares = Vec::new();
    for scale in [0.0, 0.25, 0.5, 1.0, 2.0] {
        let guidance = Some(proto::Guidance { scale, ..Default::default() });
        let request = GenerateRequest { guidance, ..of("labels", 8, "dpm++", 32) };
        let (share, off) = at_their_mode(&raw.run(request).await);
        println!("guidance {scale}: {share:.3} at their mode, half of them within {off:.4}");
        shares.push(share);
    }
    assert!((shares[0] - 0.125).abs() < 5.0 * 6.6 / 400.0, "{shares:?}");
    assert!(shares.windows(2).all(|pair| pair[0] <= pair[1] + 0.01), "{shares:?}");
    assert!(shares[1] < 0.9 && shares[4] > 0.99, "{shares:?}");
}

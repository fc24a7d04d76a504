//! Editing: from a picture, around a known part, between two pictures, with shared noise.

use ddpm_client::proto::inpaint::Method;
use ddpm_client::proto::{self, GenerateRequest};

use crate::harness::TestServer;
use crate::raw::{Raw, float_request, images, sampler, states, tensor};

const ELEMENTS: usize = 3 * 16 * 16;

/// Samples a heart from the model.
async fn heart(raw: &mut Raw) -> Vec<f32> {
    let request = GenerateRequest {
        class_labels: vec![15],
        sampler: sampler("dpm++:order=3"),
        num_steps: Some(20),
        ..float_request("glyphs", 1)
    };
    raw.run(request).await.values(0)
}

#[tokio::test]
async fn strength_0_returns_the_image_and_more_strength_changes_more_of_it() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let image = heart(&mut raw).await;
    let mut changes = Vec::new();
    for strength in [0.0, 0.3, 0.6, 1.0] {
        let request = GenerateRequest {
            initial: images(&[&image], Some(strength)),
            class_labels: vec![11],
            num_steps: Some(20),
            ..float_request("glyphs", 4)
        };
        let run = raw.run(request).await;
        let change = |index| -> f32 {
            run.values(index).iter().zip(&image).map(|(a, b)| (a - b).powi(2)).sum()
        };
        changes.push((0..4).map(change).sum::<f32>());
    }
    assert_eq!(changes[0], 0.0, "equal bit for bit");
    assert!(changes.windows(2).all(|pair| pair[0] < pair[1]), "{changes:?}");
}

#[tokio::test]
async fn known_pixels_come_back_equal_with_every_method() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let pixels: Vec<u8> = (0..ELEMENTS).map(|k| (k * 37 % 256) as u8).collect();
    // Only the lower half is unknown.
    let mask: Vec<u8> = (0..16 * 16).map(|k| if k < 8 * 16 { 255 } else { 0 }).collect();
    let raw_u8 = |data: &[u8]| {
        let format = proto::Format::RawU8.into();
        Some(proto::Tensor { format, data: data.to_vec().into() })
    };
    let repaint = proto::ReplaceXt { resampling: 2, jump_length: 3 };
    for (text, method) in [
        ("ddpm", Method::ReplaceXT(repaint)),
        ("ddim", Method::ReplaceXT(proto::ReplaceXt::default())),
        ("dpm++:order=3", Method::ReplaceX0(proto::ReplaceX0 {})),
    ] {
        let inpaint =
            proto::Inpaint { image: raw_u8(&pixels), mask: raw_u8(&mask), method: Some(method) };
        let request = GenerateRequest {
            inpaint: Some(inpaint),
            sampler: sampler(text),
            num_steps: Some(12),
            format: proto::Format::RawU8.into(),
            ..float_request("glyphs", 2)
        };
        let run = raw.run(request).await;
        for sample in run.samples.values() {
            let half = ELEMENTS / 2;
            assert!(sample[..half] == pixels[..half], "{text}");
            assert!(sample[half..] != pixels[half..], "{text}");
        }
        assert!(!run.receipt.inputs_digest.is_empty());
    }
}

/// Encodes an image to x_T and decodes it; returns the PSNR in dB for a range of 2.
async fn round_trip_psnr(raw: &mut Raw, image: &[f32], num_steps: u32) -> f64 {
    let way = |text: &str, initial| GenerateRequest {
        sampler: sampler(text),
        num_steps: Some(num_steps),
        clip: proto::Clip::None.into(),
        class_labels: vec![15],
        initial,
        ..float_request("glyphs", 1)
    };
    let state = raw.run(way("ddim-inverse", images(&[image], None))).await.values(0);
    let back = raw.run(way("ddim", states(&[&state]))).await.values(0);
    let squares = back.iter().zip(image).map(|(a, b)| f64::from(a - b).powi(2));
    10.0 * (4.0 * ELEMENTS as f64 / squares.sum::<f64>()).log10()
}

#[tokio::test]
async fn a_picture_that_is_encoded_and_decoded_in_200_rows_comes_back() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let image = heart(&mut raw).await;
    let few = round_trip_psnr(&mut raw, &image, 20).await;
    let many = round_trip_psnr(&mut raw, &image, 200).await;
    println!("encode and decode: {few:.1} dB at 20 rows, {many:.1} dB at 200");
    assert!(many > 30.0 && many > few + 3.0, "{few} dB at 20 rows, {many} dB at 200");
}

#[tokio::test]
async fn guidance_1_is_the_conditional_network_and_0_the_unconditional_one() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let with = |scale: Option<f64>, class_labels: Vec<u32>| GenerateRequest {
        guidance: scale.map(|scale| proto::Guidance { scale, ..Default::default() }),
        class_labels,
        num_steps: Some(10),
        ..float_request("glyphs", 2)
    };
    let conditional = raw.run(with(None, vec![3])).await.samples;
    let unconditional = raw.run(with(None, vec![])).await.samples;
    assert!(raw.run(with(Some(1.0), vec![3])).await.samples == conditional);
    assert!(raw.run(with(Some(0.0), vec![3])).await.samples == unconditional);
    let guided = raw.run(with(Some(3.0), vec![3])).await;
    assert!(guided.samples != conditional && guided.samples != unconditional);
    assert_eq!(guided.completed.evals, 2 * 2 * 10);
    assert_eq!(raw.refused(with(Some(3.0), vec![])).await, ["guidance"]);

    let mut interval = with(Some(3.0), vec![3]);
    interval.guidance.as_mut().unwrap().sigma_max = Some(1.0);
    let evals = raw.run(interval).await.completed.evals;
    assert!(20 < evals && evals < 40, "guidance in a part of the steps: {evals}");
}

#[tokio::test]
async fn an_interpolation_begins_and_ends_at_the_given_states() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let state = |phase: f32| -> Vec<f32> {
        (0..ELEMENTS).map(|k| 1.4 * (k as f32 * 1.7 + phase).sin()).collect()
    };
    let (from, to) = (state(0.0), state(1.0));
    let with = |initial| GenerateRequest {
        initial,
        class_labels: vec![4],
        num_steps: Some(10),
        ..float_request("glyphs", 5)
    };
    let between =
        proto::Interpolation { from: Some(tensor(&from)), to: Some(tensor(&to)), frames: 5 };
    let between = proto::Initial { kind: Some(proto::initial::Kind::Interpolation(between)) };
    let run = raw.run(with(Some(between))).await;
    let ends = raw.run(with(states(&[&from, &to]))).await;
    assert!(run.samples[&0] == ends.samples[&0]);
    assert!(run.samples[&4] == ends.samples[&1]);
    assert!((1..4).all(|frame| run.samples[&frame] != ends.samples[&0]));
}

#[tokio::test]
async fn samples_that_share_all_noise_differ_by_their_labels_alone() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let with = |start, steps, class_labels: Vec<u32>| GenerateRequest {
        shared_noise: Some(proto::SharedNoise { index: 9, start, steps }),
        sampler: sampler("euler-ancestral"),
        num_steps: Some(10),
        class_labels,
        ..float_request("glyphs", 3)
    };
    let all = raw.run(with(true, true, vec![2])).await.samples;
    assert!(all[&0] == all[&1] && all[&1] == all[&2]);
    let start = raw.run(with(true, false, vec![2])).await.samples;
    assert!(start[&0] != start[&1]);
    let labels = raw.run(with(true, true, vec![2, 5])).await.samples;
    assert!(labels[&0] == labels[&2] && labels[&0] != labels[&1]);
    assert!(labels[&0] == all[&0]);

    // Index 9 alone has that noise anyway.
    let ranges = vec![proto::IndexRange { first: 9, count: 1 }];
    let ranges = proto::generate_request::Samples::IndexRanges(proto::IndexRanges { ranges });
    let alone = GenerateRequest {
        samples: Some(ranges),
        shared_noise: None,
        ..with(false, false, vec![2])
    };
    assert!(raw.run(alone).await.samples[&9] == all[&0]);
}

#[tokio::test]
async fn missing_or_wrong_parts_of_an_edit_are_named() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let image = vec![0.0; ELEMENTS];
    let base = || GenerateRequest { num_steps: Some(10), ..float_request("glyphs", 1) };
    let encode = |initial| GenerateRequest { sampler: sampler("ddim-inverse"), initial, ..base() };
    let inpaint = |image, mask, method| GenerateRequest {
        inpaint: Some(proto::Inpaint { image, mask, method }),
        ..base()
    };
    let known = || Some(tensor(&image));
    let x_0 = Method::ReplaceX0(proto::ReplaceX0 {});
    let x_t = Method::ReplaceXT(proto::ReplaceXt { resampling: 101, jump_length: 1 });
    let kind = |kind| Some(proto::Initial { kind });
    let between = proto::Interpolation { from: known(), to: None, frames: 1 };
    let cases: Vec<(&[&str], GenerateRequest)> = vec![
        (
            &["initial.images.strength"],
            GenerateRequest { initial: images(&[&image], None), ..base() },
        ),
        (
            &["initial.images.strength"],
            GenerateRequest { initial: images(&[&image], Some(1.5)), ..base() },
        ),
        (
            &["initial.images.images[1]"],
            GenerateRequest { initial: images(&[&image, &image[1..]], Some(0.5)), ..base() },
        ),
        (&["initial.states.states"], GenerateRequest { initial: states(&[]), ..base() }),
        (&["initial.kind"], GenerateRequest { initial: kind(None), ..base() }),
        (
            &["initial.interpolation.frames", "initial.interpolation.to"],
            GenerateRequest {
                initial: kind(Some(proto::initial::Kind::Interpolation(between))),
                ..base()
            },
        ),
        (&["initial.images"], encode(None)),
        (&["initial"], encode(states(&[&image]))),
        (&["initial.images.strength"], encode(images(&[&image], Some(0.5)))),
        (&["inpaint.image", "inpaint.mask", "inpaint.method"], inpaint(None, None, None)),
        (&["inpaint.mask"], inpaint(known(), Some(tensor(&[2.0; ELEMENTS])), Some(x_0))),
        (&["inpaint.replace_x_t.resampling"], inpaint(known(), known(), Some(x_t))),
    ];
    for (fields, request) in cases {
        assert_eq!(raw.refused(request).await, fields);
    }
}

#[tokio::test]
async fn a_receipt_records_everything_that_an_edit_depends_on() {
    use proto::receipt::Inpaint as ReceiptInpaint;
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let image = vec![0.25; ELEMENTS];
    let base = || GenerateRequest {
        num_steps: Some(4),
        sampler: sampler("ddim"),
        ..float_request("glyphs", 1)
    };
    let plain = raw.run(base()).await.receipt;
    assert_eq!((plain.strength, plain.inpaint, plain.interpolation_frames), (None, None, 0));

    let request = GenerateRequest { initial: images(&[&image], Some(0.5)), ..base() };
    assert_eq!(raw.run(request).await.receipt.strength, Some(0.5));

    let repaint = proto::ReplaceXt { resampling: 3, jump_length: 0 };
    for (method, expected) in [
        (Method::ReplaceX0(proto::ReplaceX0 {}), ReceiptInpaint::ReplaceX0(proto::ReplaceX0 {})),
        // Defaults are filled in.
        (
            Method::ReplaceXT(repaint),
            ReceiptInpaint::ReplaceXT(proto::ReplaceXt { resampling: 3, jump_length: 1 }),
        ),
    ] {
        let (image, mask) = (Some(tensor(&image)), Some(tensor(&[1.0; 16 * 16])));
        let inpaint = Some(proto::Inpaint { image, mask, method: Some(method) });
        let receipt = raw.run(GenerateRequest { inpaint, ..base() }).await.receipt;
        assert_eq!(receipt.inpaint, Some(expected));
    }

    let between =
        proto::Interpolation { from: Some(tensor(&image)), to: Some(tensor(&image)), frames: 7 };
    let initial = Some(proto::Initial { kind: Some(proto::initial::Kind::Interpolation(between)) });
    let receipt = raw.run(GenerateRequest { initial, ..base() }).await.receipt;
    assert_eq!(receipt.interpolation_frames, 7);

    let threshold = proto::DynamicThreshold { quantile: Some(0.9), max: None };
    let clip = proto::Clip::Dynamic.into();
    let request = GenerateRequest { clip, dynamic_threshold: Some(threshold), ..base() };
    let compiled = raw.compile(request).await.dynamic_threshold.unwrap();
    assert_eq!((compiled.quantile, compiled.max), (Some(0.9), Some(100.0)));
}

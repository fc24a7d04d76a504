//! Requested samples arrive in every format, and are reproducible.

use ddpm_client::{Data, Format, Indices, Request};

use crate::harness::{TestServer, glyphs, glyphs_at, values};

#[tokio::test]
async fn every_sample_arrives_once_with_the_shape_of_its_model() {
    let server = TestServer::start(&[]);
    let collected = server.sample(glyphs(20)).await;
    let indices: Vec<_> = collected.samples.iter().map(|sample| sample.index).collect();
    assert_eq!(indices, (0..20).collect::<Vec<_>>());
    assert!(collected.samples.iter().all(|sample| sample.shape == [16, 16, 3]));
    assert_eq!((collected.completed.samples, collected.completed.failed), (20, 0));
    assert_eq!(collected.completed.evals, 200);
}

#[tokio::test]
async fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let server = TestServer::start(&[]);
    let first = server.sample(glyphs(4)).await;
    let again = server.sample(glyphs(4)).await;
    let other = server.sample(glyphs(4).seed(8)).await;
    assert_eq!(first.samples, again.samples);
    assert_ne!(first.samples, other.samples);
}

#[tokio::test]
async fn a_seed_that_the_server_picked_gives_the_same_samples_when_requested() {
    let server = TestServer::start(&[]);
    let request = || Request::new("toy", Indices::first(10)).num_steps(20);
    let picked = server.sample(request()).await;
    let again = server.sample(request().seed(picked.receipt.seed)).await;
    assert_eq!(picked.samples, again.samples);
}

#[tokio::test]
async fn a_sample_is_the_same_alone_and_among_others() {
    let server = TestServer::start(&[]);
    let all = server.sample(glyphs(12)).await.samples;
    let some = server.sample(glyphs_at("3,9-10")).await.samples;
    assert_eq!(some, [all[3].clone(), all[9].clone(), all[10].clone()]);
}

#[tokio::test]
async fn the_three_formats_show_the_same_picture() {
    let server = TestServer::start(&[]);
    let raw = server.sample(glyphs(2)).await;
    let float = server.sample(glyphs(2).format(Format::RawF32)).await;
    let png = server.sample(glyphs(2).format(Format::Png)).await;
    for ((raw, float), png) in raw.samples.iter().zip(&float.samples).zip(&png.samples) {
        let Data::Pixels(pixels) = &raw.data else { panic!("{raw:?}") };
        assert_eq!(float.shape, [3, 16, 16]);
        let values = values(&float.data);
        for (place, pixel) in pixels.iter().enumerate() {
            let value = values[(place % 3) * 256 + place / 3];
            assert_eq!(*pixel, (value * 127.5 + 127.5).round() as u8);
        }
        let Data::Png(bytes) = &png.data else { panic!("{png:?}") };
        assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
}

#[tokio::test]
async fn labels_follow_indices_and_change_the_samples() {
    let server = TestServer::start(&[]);
    let labelled = |labels: Vec<u32>| glyphs(4).class_labels(labels);
    let turns = server.sample(labelled(vec![3, 12])).await.samples;
    let threes = server.sample(labelled(vec![3])).await.samples;
    let free = server.sample(labelled(vec![])).await.samples;
    assert_eq!((&turns[0], &turns[2]), (&threes[0], &threes[2]));
    assert_ne!(turns[1], threes[1]);
    assert_ne!(free[0], threes[0]);
}

#[tokio::test]
async fn ten_thousand_points_arrive_in_few_messages_around_their_eight_centres() {
    let server = TestServer::start(&[]);
    let request = Request::new("toy", Indices::first(10_000)).seed(1);
    let mut generation = server.client().await.generate(request).await.unwrap();
    let (mut messages, mut near, mut seen) = (0, 0, [0; 8]);
    while let Some(event) = generation.next().await.unwrap() {
        let ddpm_client::Event::Samples(samples) = event else { continue };
        messages += 1;
        for sample in samples {
            let [x, y] = values(&sample.data) else { panic!("{sample:?}") };
            // The modes lie at radius √2, normalised by √(2 + 0.02²).
            let turn = (y.atan2(*x) / std::f32::consts::TAU * 8.0).rem_euclid(8.0);
            let mode = turn.round() as usize % 8;
            seen[mode] += 1;
            let angle = mode as f32 / 8.0 * std::f32::consts::TAU;
            let centre = (angle.cos() * 1.414_15, angle.sin() * 1.414_15);
            near += usize::from((x - centre.0).hypot(y - centre.1) < 0.15);
        }
    }
    assert!(messages < 1000, "{messages} messages");
    assert!(near > 9000, "{near} of 10000 points lie near a mode");
    assert!(seen.iter().all(|count| *count > 800), "{seen:?}");
}

#[tokio::test]
async fn the_settings_in_a_receipt_give_the_same_samples() {
    let server = TestServer::start(&[]);
    let request = Request::new("glyphs", Indices::first(3)).seed(99);
    let defaults = server.sample(request).await;
    let receipt = &defaults.receipt;
    let mut spelled = Request::new(&receipt.model, Indices::first(3))
        .version(&receipt.version)
        .seed(receipt.seed)
        .sampler(receipt.sampler.clone())
        .num_steps(receipt.num_steps)
        .expect(ddpm_client::Expect {
            model_digest: receipt.model_digest.clone(),
            program_digest: receipt.program_digest.clone(),
            graph: receipt.graph.clone(),
            fingerprint: receipt.fingerprint.clone(),
        });
    spelled = spelled.grid(receipt.grid.clone().unwrap()).clip(receipt.clip.unwrap());
    assert_eq!(server.sample(spelled).await.samples, defaults.samples);
}

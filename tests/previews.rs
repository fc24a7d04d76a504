//! Samples can be watched in the making, at the requested cadence.

use ddpm_client::{Data, Delivery, Event, Format, Frames, Preview, PreviewKind, Watch};

use crate::harness::{TestServer, glyphs};

fn watch(frames: Frames, every_steps: u32) -> Watch {
    Watch { indices: vec![1, 2], frames, every_steps, format: None, delivery: Delivery::All }
}

/// Returns all previews of a request, and the pixels of its samples by index.
async fn seen(server: &TestServer, watch: Watch) -> (Vec<Preview>, Vec<Vec<u8>>) {
    let request = glyphs(4).watch(watch);
    let mut generation = server.client().await.generate(request).await.unwrap();
    let (mut previews, mut samples) = (Vec::new(), vec![Vec::new(); 4]);
    while let Some(event) = generation.next().await.unwrap() {
        match event {
            Event::Previews(event) => previews.extend(event.previews),
            Event::Samples(event) => {
                for sample in event {
                    samples[sample.index as usize] = pixels(&sample.data);
                }
            }
            _ => {}
        }
    }
    (previews, samples)
}

fn pixels(data: &Data) -> Vec<u8> {
    match data {
        Data::Pixels(pixels) => pixels.clone(),
        other => panic!("expected pixels, got {other:?}"),
    }
}

/// Returns the mean absolute difference of two pictures.
fn distance(a: &[u8], b: &[u8]) -> f64 {
    let sum: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len() as f64
}

#[tokio::test]
async fn watched_samples_are_shown_every_nth_step_and_at_the_last() {
    let server = TestServer::start(&[]);
    let (previews, _) = seen(&server, watch(Frames::X0, 4)).await;
    let mut shown: Vec<_> = previews
        .iter()
        .flat_map(|preview| preview.samples.iter().map(|sample| (sample.index, preview.step)))
        .collect();
    shown.sort_unstable();
    assert_eq!(shown, [(1, 4), (1, 8), (1, 10), (2, 4), (2, 8), (2, 10)]);
}

#[tokio::test]
async fn noise_falls_from_step_to_step_and_the_end_is_the_sample() {
    let server = TestServer::start(&[]);
    let (previews, samples) = seen(&server, watch(Frames::Xt, 1)).await;
    let of_one: Vec<_> = previews
        .iter()
        .filter_map(|preview| Some((preview, preview.samples.iter().find(|s| s.index == 1)?)))
        .collect();
    let levels: Vec<f64> = of_one.iter().map(|(preview, _)| preview.noise_level).collect();
    assert!(levels.windows(2).all(|pair| pair[1] < pair[0]), "{levels:?}");
    assert_eq!(levels.last(), Some(&0.0));

    let distances: Vec<f64> =
        of_one.iter().map(|(_, sample)| distance(&pixels(&sample.data), &samples[1])).collect();
    assert_eq!(distances.last(), Some(&0.0));
    assert!(distances[0] > 20.0, "the first preview is noise: {distances:?}");
}

#[tokio::test]
async fn the_prediction_is_nearer_to_the_end_than_the_noisy_sample() {
    let server = TestServer::start(&[]);
    let (previews, samples) = seen(&server, watch(Frames::Both, 5)).await;
    let halfway = |kind| {
        let at = |preview: &&Preview| preview.step == 5 && preview.kind == kind;
        let preview = previews.iter().find(at).expect("both kinds have previews");
        distance(&pixels(&preview.samples[0].data), &samples[1])
    };
    let (x_0, x_t) = (halfway(PreviewKind::X0), halfway(PreviewKind::Xt));
    assert!(x_0 < 0.7 * x_t, "x_0 is off by {x_0:.1}, x_t by {x_t:.1}");
}

#[tokio::test]
async fn previews_do_not_change_samples_and_have_their_own_format() {
    let server = TestServer::start(&[]);
    let plain = server.sample(glyphs(4)).await.samples;
    let png = Watch { format: Some(Format::Png), ..watch(Frames::X0, 5) };
    let mut generation = server.client().await.generate(glyphs(4).watch(png)).await.unwrap();
    let mut previews = 0;
    let mut samples = Vec::new();
    while let Some(event) = generation.next().await.unwrap() {
        match event {
            Event::Previews(event) => {
                let all = event.previews.iter().flat_map(|preview| &preview.samples);
                previews += all.filter(|sample| matches!(sample.data, Data::Png(_))).count();
            }
            Event::Samples(event) => samples.extend(event),
            _ => {}
        }
    }
    samples.sort_by_key(|sample| sample.index);
    assert_eq!(samples, plain);
    assert_eq!(previews, 4);
}

//! x_T over the wire is the documented noise.

use ddpm_client::{Clip, Event, Format, Frames, Indices, Request, Sampler, Watch};
use ddpm_diffusion::{Noise, Parameterization, Schedule, samplers};
use ddpm_package::Package;

use crate::harness::{TestServer, root, values};

/// One DDIM step from T−1 with no clip is x_0 = p_u x_T + p_F F, and the step
/// before it, seen as x_t, mixes x_T, x_0 and nothing else. So x_T can be solved
/// for from the two pictures of the first of two steps.
#[tokio::test]
async fn x_t_can_be_solved_for_from_the_first_previews_and_is_draw_0() {
    let server = TestServer::start(&[]);
    let watch = Watch {
        indices: vec![5],
        frames: Frames::Both,
        every_steps: 1,
        format: Some(Format::RawF32),
        delivery: ddpm_client::Delivery::All,
    };
    let request = Request::new("toy", Indices::first(6))
        .sampler(Sampler::Ddim { eta: 0.0, clip_rule: None })
        .num_steps(2)
        .clip(Clip::None)
        .seed(1 << 40)
        .watch(watch);
    let mut generation = server.client().await.generate(request).await.unwrap();
    let mut first = Vec::new();
    while let Some(event) = generation.next().await.unwrap() {
        let Event::Previews(event) = event else { continue };
        for preview in event.previews.into_iter().filter(|preview| preview.step == 1) {
            first.push((preview.kind, values(&preview.samples[0].data).to_vec()));
        }
    }
    let of = |kind| &first.iter().find(|(found, _)| *found == kind).unwrap().1;
    let (x_0, x_s) = (of(ddpm_client::PreviewKind::X0), of(ddpm_client::PreviewKind::Xt));

    let toy = Package::open(&root().join("models/toy")).unwrap();
    let manifest = toy.manifest();
    let schedule: Schedule = manifest.schedule().unwrap();
    let network: Parameterization = manifest.parameterization();
    let grid = manifest.default_sampler.grid.grid(schedule.timesteps(), 2).unwrap();
    let options = samplers::Ddim::default();
    let clip = ddpm_diffusion::Clip::None;
    let program = samplers::ddim(&schedule, network, &grid, clip, &options).unwrap();
    let row = &program.rows()[0];

    let mut want = [0.0f64; 2];
    Noise::new(1 << 40).normal(5, 0, &mut want);
    for element in 0..2 {
        let (x_0, x_s) = (f64::from(x_0[element]), f64::from(x_s[element]));
        let x_t = (x_s - row.u.x_0 * x_0) / row.u.u;
        assert!((x_t - want[element]).abs() < 1e-4, "{x_t} against {}", want[element]);
    }
}

//! A client's own programs run unchanged, or are refused field by field.

use ddpm_client::proto::inpaint::Method;
use ddpm_client::proto::{self, GenerateRequest};
use ddpm_diffusion::{Clip, Evals, Label, Mix, RawVariance, Row};

use crate::harness::TestServer;
use crate::raw::{
    Raw, float_request, images, sampler, sampler_from_program, sampler_from_rows, states, tensor,
};

fn row(step: u32, num_steps: u32) -> Row {
    let mut row = Row::at(10.0);
    row.label = Label { step, num_steps, ends_step: true, noise_level: 0.0 };
    row
}

fn with_rows(model: &str, rows: &[Row]) -> GenerateRequest {
    GenerateRequest { sampler: sampler_from_rows(rows), ..float_request(model, 1) }
}

#[tokio::test]
async fn rows_do_what_they_say() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let mut double = row(1, 2);
    double.evals = Evals::Zero;
    double.u = Mix { u: 2.0, ..Mix::ZERO };
    let mut again = row(2, 2);
    again.evals = Evals::Zero;
    again.u = Mix { u: 3.0, y: 1.0, ..Mix::ZERO };
    let request =
        GenerateRequest { initial: states(&[&[0.5, -1.0]]), ..with_rows("toy", &[double, again]) };
    // The anchor is the initial state.
    assert_eq!(raw.run(request).await.values(0), [3.5, -7.0]);
}

#[tokio::test]
async fn each_fault_of_a_row_is_reported_by_its_field() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let at = |row: usize, field: &str| format!("sampler.program.rows[{row}].{field}");

    let mut first = row(1, 2);
    first.u.x_0 = f64::NAN;
    first.t = f64::INFINITY;
    first.x_0.p_u = 2e6;
    let mut last = row(3, 2);
    last.u.z = 0.1;
    let mut request = with_rows("toy", &[first, last]);
    assert_eq!(
        raw.refused(request.clone()).await,
        [at(0, "t"), at(0, "p_u"), at(0, "u.x_0"), at(1, "step"), at(1, "u.z")]
    );

    if let Some(proto::sampler::Kind::Program(program)) =
        &mut request.sampler.as_mut().unwrap().kind
    {
        program.rows[0].evals = 0;
        program.rows[1].u.as_mut().unwrap().h = vec![1.0; 4];
    }
    assert_eq!(raw.refused(request).await, [at(0, "evals"), at(1, "u.h")]);
    assert_eq!(raw.refused(with_rows("toy", &[])).await, ["sampler.program.rows"]);

    let mut clipped = row(1, 1);
    clipped.x_0.clip = Clip::Dynamic { quantile: 1.5, max: 2.0 };
    let refused = raw.refused(with_rows("toy", &[clipped])).await;
    assert_eq!(refused, [at(0, "dynamic_threshold.quantile")]);
}

#[tokio::test]
async fn rows_that_a_model_cannot_run_are_refused() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let mut learned = row(1, 2);
    learned.variance = RawVariance::LogVariance;
    learned.u.z = 1.0;
    let refused = raw.refused(with_rows("toy", &[learned, row(2, 2)])).await;
    assert_eq!(refused, ["sampler.program.rows[0].variance"]);

    let mut guided = row(1, 1);
    guided.evals = Evals::Guided { scale: 2.0 };
    let refused = raw.refused(with_rows("toy", &[guided])).await;
    assert_eq!(refused, ["sampler.program.rows[0].evals"]);

    let mut known = row(1, 1);
    known.u.known = 1.0;
    assert_eq!(raw.refused(with_rows("toy", &[known])).await, ["inpaint"]);
    let unread = GenerateRequest {
        inpaint: Some(proto::Inpaint {
            image: Some(tensor(&[0.0, 0.0])),
            mask: Some(tensor(&[1.0, 0.0])),
            method: None,
        }),
        ..with_rows("toy", &[row(1, 1)])
    };
    assert_eq!(raw.refused(unread).await, ["inpaint"]);
}

#[tokio::test]
async fn options_that_rows_already_define_must_be_left_out() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let request = GenerateRequest {
        num_steps: Some(1),
        grid: proto::Grid::Karras.into(),
        clip: proto::Clip::Unit.into(),
        shared_noise: Some(proto::SharedNoise::default()),
        ..with_rows("toy", &[row(1, 1)])
    };
    let refused = raw.refused(request).await;
    assert_eq!(refused, ["num_steps", "grid", "clip", "shared_noise"]);
}

#[tokio::test]
async fn long_and_expensive_programs_are_refused_and_long_ones_within_the_limit_run() {
    let server = TestServer::start(&["--max-evals", "5000"]);
    let mut raw = Raw::connect(&server).await;
    let silent = |count: u32| -> Vec<Row> {
        let silent = |step| Row { evals: Evals::Zero, ..row(step, count) };
        (1..=count).map(silent).collect()
    };
    assert_eq!(raw.run(with_rows("toy", &silent(5000))).await.samples.len(), 1);
    assert_eq!(raw.refused(with_rows("toy", &silent(5001))).await, ["samples"]);
    let expensive: Vec<Row> = (1..=5001).map(|step| row(step, 5001)).collect();
    assert_eq!(raw.refused(with_rows("toy", &expensive)).await, ["samples"]);
    assert_eq!(raw.refused(with_rows("toy", &silent(100_001))).await, ["sampler.program.rows"]);
}

/// Turns a request into one with rows, without the options that rows define.
fn as_rows(request: &GenerateRequest, rows: proto::Program) -> GenerateRequest {
    use proto::initial::Kind;
    let mut initial = request.initial.clone();
    if let Some(proto::Initial { kind: Some(Kind::Images(images)) }) = &mut initial {
        images.strength = None;
    }
    let inpaint = request.inpaint.clone();
    GenerateRequest {
        sampler: sampler_from_program(rows),
        num_steps: None,
        grid: 0,
        grid_options: None,
        clip: 0,
        dynamic_threshold: None,
        guidance: None,
        shared_noise: None,
        initial,
        inpaint: inpaint.map(|inpaint| proto::Inpaint { method: None, ..inpaint }),
        ..request.clone()
    }
}

/// Returns the elements of a picture of the glyphs' size.
fn picture() -> Vec<f32> {
    (0..3 * 16 * 16).map(|k| (k as f32 * 0.37).sin()).collect()
}

/// Requests two glyphs in five steps of a sampler.
fn glyphs_by(text: &str) -> GenerateRequest {
    GenerateRequest {
        sampler: sampler(text),
        num_steps: Some(5),
        class_labels: vec![3, 8],
        ..float_request("glyphs", 2)
    }
}

/// Makes every third pixel of the picture known.
fn inpaint(method: Method) -> Option<proto::Inpaint> {
    let mask: Vec<f32> = (0..16 * 16).map(|k| f32::from(u8::from(k % 3 == 0))).collect();
    let (image, mask) = (Some(tensor(&picture())), Some(tensor(&mask)));
    Some(proto::Inpaint { image, mask, method: Some(method) })
}

/// Requests glyphs of a sampler with each option that changes its rows.
fn with_options(text: &str) -> Vec<(&'static str, GenerateRequest)> {
    let base = || glyphs_by(text);
    let guided = |sigma_min, sigma_max| Some(proto::Guidance { scale: 2.5, sigma_min, sigma_max });
    let guidance = guided(None, None);
    let interval = guided(Some(0.5), Some(20.0));
    let clip = proto::Clip::Dynamic.into();
    let dynamic_threshold = Some(proto::DynamicThreshold { quantile: Some(0.9), max: Some(1.5) });
    let shared = |start, steps| Some(proto::SharedNoise { index: 9, start, steps });
    let shared_start = shared(true, false);
    let shared_noise = shared(true, true);
    vec![
        ("guidance", GenerateRequest { guidance, ..base() }),
        ("a guidance interval", GenerateRequest { guidance: interval, ..base() }),
        ("dynamic clip", GenerateRequest { clip, dynamic_threshold, ..base() }),
        ("shared noise", GenerateRequest { shared_noise, ..base() }),
        ("a shared start", GenerateRequest { shared_noise: shared_start, ..base() }),
    ]
}

/// Requests glyphs of a sampler with each edit that every sampler supports.
fn with_edits(text: &str) -> Vec<(&'static str, GenerateRequest)> {
    let base = || glyphs_by(text);
    let picture = picture();
    let start = || images(&[&picture], Some(0.6));
    let shared_noise = Some(proto::SharedNoise { index: 9, start: true, steps: true });
    let known = inpaint(Method::ReplaceX0(proto::ReplaceX0 {}));
    let states = states(&[&picture]);
    vec![
        ("a picture", GenerateRequest { initial: start(), ..base() }),
        (
            "a picture and shared noise",
            GenerateRequest { initial: start(), shared_noise, ..base() },
        ),
        ("a known image", GenerateRequest { inpaint: known, ..base() }),
        ("given states", GenerateRequest { initial: states, ..base() }),
    ]
}

#[tokio::test]
async fn rows_of_every_option_and_edit_sent_back_give_the_same_bytes() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let mut requests = Vec::new();
    for text in
        ["ddpm", "dpm++:order=3", "heun", "edm-heun", "restart:t-max=0.5", "euler-ancestral"]
    {
        let all = with_options(text).into_iter().chain(with_edits(text));
        requests.extend(all.map(|(what, request)| (text, what, request)));
    }
    for text in ["ddpm", "ddim:eta=0.5"] {
        let repaint = proto::ReplaceXt { resampling: 2, jump_length: 2 };
        let inpaint = inpaint(Method::ReplaceXT(repaint));
        requests.push((text, "RePaint", GenerateRequest { inpaint, ..glyphs_by(text) }));
    }
    for (text, what, request) in requests {
        let compiled = raw.compile(request.clone()).await;
        let rows = compiled.program.unwrap();
        let named = raw.run(request.clone()).await;
        let sent_back = raw.run(as_rows(&request, rows)).await;
        assert_eq!(named.receipt.program_digest, sent_back.receipt.program_digest);
        assert!(named.samples == sent_back.samples, "{text} with {what}");
    }
}

#[tokio::test]
async fn lists_longer_than_any_program_are_refused() {
    let server = TestServer::start(&[]);
    let mut raw = Raw::connect(&server).await;
    let list: Vec<f64> = (0..100_001).map(|k| 1e6 - f64::from(k)).collect();
    let with = |grid: proto::Grid, options| GenerateRequest {
        sampler: sampler("heun"),
        grid: grid.into(),
        grid_options: Some(options),
        ..float_request("toy", 1)
    };
    let none = proto::GridOptions::default;
    let timesteps = proto::GridOptions { timesteps: list.clone(), ..none() };
    let sigmas = proto::GridOptions { sigmas: list, ..none() };
    let sections = proto::GridOptions { sections: vec![1; 100_001], ..none() };
    for (grid, options, field) in [
        (proto::Grid::Timesteps, timesteps, "grid_options.timesteps"),
        (proto::Grid::Sigmas, sigmas, "grid_options.sigmas"),
        (proto::Grid::Sections, sections, "grid_options.sections"),
    ] {
        assert_eq!(raw.refused(with(grid, options)).await, [field]);
    }
}

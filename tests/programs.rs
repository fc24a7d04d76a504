//! Programs of the client's own: run as they are, or refused field by field.

use ddpm_client::proto::{self, GenerateRequest};
use ddpm_diffusion::{Clip, Evals, Label, Mix, RawVariance, Row};

use crate::{
    harness::TestServer,
    raw::{Raw, floats_of, program, states, tensor},
};

fn row(step: u32, num_steps: u32) -> Row {
    let mut row = Row::at(10.0);
    row.label = Label { step, num_steps, ends_step: true, noise_level: 0.0 };
    row
}

fn with_rows(model: &str, rows: &[Row]) -> GenerateRequest {
    GenerateRequest { sampler: program(rows), ..floats_of(model, 1) }
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
    // The anchor is where the sample began.
    assert_eq!(raw.run(request).await.values(0), [3.5, -7.0]);
}

#[tokio::test]
async fn each_fault_of_a_row_is_named_by_its_field() {
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
async fn what_rows_already_say_must_be_left_out() {
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
async fn long_and_dear_programs_are_refused_and_long_ones_within_the_limit_run() {
    let server = TestServer::start(&["--max-evals", "5000"]);
    let mut raw = Raw::connect(&server).await;
    let silent = |count: u32| -> Vec<Row> {
        let silent = |step| Row { evals: Evals::Zero, ..row(step, count) };
        (1..=count).map(silent).collect()
    };
    assert_eq!(raw.run(with_rows("toy", &silent(5000))).await.samples.len(), 1);
    assert_eq!(raw.refused(with_rows("toy", &silent(5001))).await, ["samples"]);
    let dear: Vec<Row> = (1..=5001).map(|step| row(step, 5001)).collect();
    assert_eq!(raw.refused(with_rows("toy", &dear)).await, ["samples"]);
    assert_eq!(raw.refused(with_rows("toy", &silent(100_001))).await, ["sampler.program.rows"]);
}

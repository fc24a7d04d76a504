//! A client's own rows: read, checked, and applied to a small sample.

use bytes::Bytes;
use ddpm_diffusion::{Kernel, Known, Noise, Program, Row, State};
use ddpm_proto::convert::{rows_from_proto, rows_to_proto};
use ddpm_proto::v1;
use fastrand::Rng;
use prost::Message;

use super::mutation::{change_message, integer, number};
use super::{Memory, Outcome, Target, heap};

/// Elements of the sample.
const LEN: usize = 6;

/// Most rows that are applied.
const MAX_APPLIED: usize = 300;

pub(super) struct Rows;

impl Target for Rows {
    const NAME: &'static str = "rows";

    fn generate(&self, rng: &mut Rng) -> Vec<u8> {
        program(rng)
    }

    fn mutate(&self, rng: &mut Rng, input: &mut Vec<u8>, other: &[u8]) {
        change_message(rng, input, other);
    }

    fn run(&self, input: &[u8]) -> Outcome {
        let Ok(message) = v1::Program::decode(Bytes::copy_from_slice(input)) else {
            return Outcome { ways: vec!["undecodable".into()], memory: Memory::default() };
        };
        let reserved = (message.rows.len() * size_of::<Row>()) as u64;
        let (read, taken) = heap::peak_of(|| read(message));
        let ways = read.map_or_else(|faults| faults, |program| applied(&program));
        Outcome { ways, memory: Memory { reserved, taken } }
    }
}

/// Reads and checks rows; returns the faults without what differs from input to input.
fn read(message: v1::Program) -> Result<Program, Vec<String>> {
    let rows = rows_from_proto(message).map_err(|faults| {
        faults.iter().map(|fault| named(&fault.field, &fault.description)).collect::<Vec<_>>()
    })?;
    Program::checked(rows)
        .map_err(|faults| faults.iter().map(|fault| named("", &fault.to_string())).collect())
}

/// Applies a program, and checks that its rows are read as they are written.
fn applied(program: &Program) -> Vec<String> {
    let rows = program.rows();
    if rows.len() > MAX_APPLIED {
        return vec![format!("many rows {}", rows.len().ilog2())];
    }
    let again = rows_from_proto(rows_to_proto(rows)).expect("they were read before");
    let again = Program::new(again).expect("they were checked before");
    assert_eq!((again.digest(), again.evals()), (program.digest(), program.evals()));

    let mut state = State::from_point(program, vec![0.5_f32; LEN]);
    let mut kernel = Kernel::new(LEN);
    let (image, mask) = ([0.25; LEN], [1.0, 0.0, 0.5, 1.0, 0.0, 0.75]);
    let known = rows.iter().any(Row::reads_known).then_some(Known { image: &image, mask: &mask });
    let output: Vec<f32> = (0..2 * LEN).map(|at| at as f32 - 5.0).collect();
    let mut ways = Vec::new();
    for (position, row) in rows.iter().enumerate() {
        let outputs = vec![&output[..]; row.evals.count()];
        kernel.advance(row, position, &mut state, &outputs, &Noise::new(1), 3, known);
        let evals = row.evals.count();
        ways.push(format!("{evals} evals, {:?}, {}", row.mask, row.push.is_some()));
        let clip: String = format!("{:?}", row.x_0.clip).chars().take(5).collect();
        let variance: String = format!("{:?}", row.variance).chars().take(3).collect();
        ways.push(format!("{clip}, {variance}, {}", row.reads_history()));
    }
    let finite = state.u().iter().all(|x| x.is_finite());
    assert_eq!(state.u().len(), LEN);
    ways.push(format!("finite {finite}, rows {}", rows.len().ilog2()));
    ways
}

/// A fault without what differs from input to input.
fn named(field: &str, reason: &str) -> String {
    format!("{field}: {reason}").chars().filter(|c| !c.is_ascii_digit()).take(48).collect()
}

/// Writes a program that is nearly right.
pub(super) fn program(rng: &mut Rng) -> Vec<u8> {
    let count = match rng.u32(..100) {
        0 => rng.usize(..3000),
        1..=10 => rng.usize(..100),
        _ => rng.usize(1..6),
    };
    let mut step = 1;
    let strange = [0.0, 0.0, 0.02, 0.2][rng.usize(..4)];
    let mut rows: Vec<v1::Row> = Vec::with_capacity(count);
    for _ in 0..count {
        let row = row(rng, step, strange);
        step += u32::from(row.ends_step);
        rows.push(row);
    }
    if let Some(last) = rows.last_mut().filter(|_| rng.u32(..16) > 0) {
        last.ends_step = true;
        last.u.iter_mut().chain(&mut last.y).for_each(|mix| mix.z = 0.0);
    }
    v1::Program { rows }.encode_to_vec()
}

/// A row; `strange` is how often a number of it is any number.
fn row(rng: &mut Rng, step: u32, strange: f64) -> v1::Row {
    let mut some = |often: f64| match rng.f64() {
        chance if chance < strange => number(rng),
        chance if chance < often => rng.f64() * 4.0 - 2.0,
        _ => 0.0,
    };
    let mut mix = || v1::Mix {
        u: some(0.7),
        y: some(0.2),
        x_0: some(0.5),
        f: some(0.3),
        h: vec![some(0.1), some(0.1), some(0.1)],
        z: some(0.3),
        known: some(0.1),
    };
    let (u, y) = (mix(), mix());
    let push = v1::Push { u: some(0.5), x_0: some(0.5), f: some(0.5) };
    let [p_u, p_f, guidance_scale, t, c_in] = [0.9; 5].map(&mut some);
    let ln = v1::VarianceRange { ln_min: some(0.9), ln_max: some(0.9) };
    let dynamic = v1::DynamicThreshold {
        quantile: Some(some(0.9).abs() / 2.0),
        max: Some(1.0 + some(0.9).abs()),
    };
    let noise_level = some(0.5).abs() / 2.0;
    let evals = if rng.u32(..20) == 0 { rng.i32(0..6) } else { rng.i32(1..5) };
    let variance = match rng.u32(..8) {
        0 => Some(v1::row_variance::Kind::LogVariance(v1::LogVariance {})),
        1 => Some(v1::row_variance::Kind::Range(ln)),
        _ => None,
    };
    let clip = if rng.u32(..40) == 0 { rng.i32(..) } else { rng.i32(0..4) };
    let mut row = v1::Row {
        evals,
        guidance_scale,
        t,
        c_in: rng.bool().then_some(c_in),
        p_u,
        p_f,
        clip,
        dynamic_threshold: (clip == v1::Clip::Dynamic as i32).then_some(dynamic),
        y: (rng.u32(..4) == 0).then_some(y),
        u: (rng.u32(..40) > 0).then_some(u),
        push: (rng.u32(..3) == 0).then_some(push),
        variance: (variance.is_some() || rng.u32(..20) == 0)
            .then_some(v1::RowVariance { kind: variance }),
        mask: if rng.u32(..3) == 0 { rng.i32(0..4) } else { 0 },
        draw: (rng.u32(..4) == 0).then(|| integer(rng) as u32),
        noise_index: (rng.u32(..4) == 0).then(|| integer(rng)),
        step: if rng.f64() < strange { integer(rng) as u32 } else { step },
        ends_step: rng.u32(..4) > 0,
        noise_level,
    };
    if evals == v1::Evals::Zero as i32 && rng.u32(..8) > 0 {
        row.p_f = 0.0;
        row.u.iter_mut().chain(&mut row.y).for_each(|mix| mix.f = 0.0);
        row.push.iter_mut().for_each(|push| push.f = 0.0);
        row.variance = None;
    }
    row
}

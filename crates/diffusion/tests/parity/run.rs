//! Runs a case as the crate compiles it.

use std::cell::Cell;
use std::collections::BTreeMap;

use ddpm_diffusion::{Evals, Kernel, NoiseSource, Process, Program, Real, Row, State};

use crate::case::{Case, REFERENCE};

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Run {
    /// The final state.
    pub(crate) state: Vec<f64>,
    /// How often the network was called.
    pub(crate) evaluations: u64,
    /// How many draws of noise were used.
    pub(crate) draws: usize,
}

/// The noise of a case: the k-th row that adds noise gets the k-th draw.
struct Replayed<'a> {
    draws: BTreeMap<u32, &'a [f64]>,
    used: Cell<usize>,
}

impl<'a> Replayed<'a> {
    fn of(noise: &'a [Vec<f64>], program: &Program) -> Self {
        let rows = program.rows().iter().zip(1..).filter(|(row, _)| row.adds_noise());
        let draws = rows.map(|(_, draw)| draw).zip(noise.iter().map(Vec::as_slice)).collect();
        Self { draws, used: Cell::new(0) }
    }
}

impl NoiseSource for Replayed<'_> {
    fn normal<F: Real>(&self, _index: u64, draw: u32, out: &mut [F]) {
        let known = self.draws.get(&draw).expect("no row draws more noise than the case has");
        out.iter_mut().zip(*known).for_each(|(out, z)| *out = F::from_f64(*z));
        self.used.set(self.used.get() + 1);
    }
}

/// Compiles and runs a case with states in `F`; the network computes in f64 from them.
pub(crate) fn run<F: Real>(case: &Case) -> Run {
    let network = case.network();
    let program = case.recipe(&network).compile(&network).unwrap();
    let noise = Replayed::of(&case.noise, &program);
    let initial = case.initial.iter().map(|x| F::from_f64(*x)).collect();
    let mut state = State::from_point(&program, initial);
    let mut kernel = Kernel::new(case.initial.len());
    let mut evaluations = 0;
    for (position, row) in program.rows().iter().enumerate() {
        let output = evaluate(row, &network.process, state.u(), network.variance.is_learned());
        evaluations += u64::from(output.is_some());
        let outputs: Vec<&[F]> = output.iter().map(Vec::as_slice).collect();
        kernel.advance(row, position, &mut state, &outputs, &noise, 0, None);
    }
    let state = state.u().iter().map(|x| x.to_f64()).collect();
    Run { state, evaluations, draws: noise.used.get() }
}

/// The network's output for a row, if it has an eval.
fn evaluate<F: Real>(row: &Row, process: &Process, u: &[F], learned: bool) -> Option<Vec<F>> {
    let network = &REFERENCE.network;
    let g = match process {
        Process::Edm(_) => row.t,
        Process::Discrete(_) | Process::Flow => row.t / 1000.0,
    };
    // As an engine does it: the scaled input has the type of the samples.
    let c_in = F::from_f64(row.c_in);
    let input: Vec<f64> = u.iter().map(|u| (c_in * *u).to_f64()).collect();
    let channels = if learned { 2 * network.dim } else { network.dim };
    let output = network.outputs(&input, g).into_iter().take(channels);
    (row.evals == Evals::One).then(|| output.map(F::from_f64).collect())
}

/// The largest difference, relative to max(1, |want|); infinite where it is not a number.
pub(crate) fn difference(got: &[f64], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let relative = got.iter().zip(want).map(|(got, want)| (got - want).abs() / want.abs().max(1.0));
    relative.fold(0.0, |most, x| if x.is_nan() { f64::INFINITY } else { most.max(x) })
}

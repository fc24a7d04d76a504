//! Rows in ONNX Runtime have the bits of the kernel: every sampler, on every kind of network, with
//! guidance, clip rules and known images, mixed in every call.

use ddpm_diffusion::{
    BetaSchedule, Clip, Edm, Guidance, Inpaint, Kernel, Known, Noise, Parameterisation, Prediction,
    Program, RawVariance, Recipe, Row, Sampler, Schedule, State, Variance,
};

use super::buffer::Buffer;
use super::rows::Rows;
use crate::{Device, DeviceChoice, Runtime, RuntimeOptions};

const LEN: usize = 12;
const STEPS: usize = 6;

/// A sample on both devices.
struct Sample {
    name: String,
    program: Program,
    state: State<f32>,
    index: u64,
    image: Vec<f32>,
    mask: Vec<f32>,
    /// Position of its next row.
    next: usize,
}

impl Sample {
    fn new(name: String, program: Program, index: u64) -> Self {
        let state = State::start(&program, &noise(), index, LEN);
        let mut image = vec![0.0; LEN];
        Noise::new(5).normal(index, 0, &mut image);
        // Known, unknown, and a blend of both.
        let mask = (0..LEN).map(|at| [1.0, 0.0, 0.25][at % 3]).collect();
        Self { name, program, state, index, image, mask, next: 0 }
    }

    fn row(&self) -> &Row {
        &self.program.rows()[self.next]
    }
}

fn noise() -> Noise {
    Noise::new(7)
}

/// What a network might return for one eval: of the size of a prediction, now and then infinite.
fn output(index: u64, draw: u32, len: usize) -> Vec<f32> {
    let mut values = vec![0.0f32; len];
    Noise::new(11).normal(index, draw, &mut values);
    values.iter_mut().for_each(|value| *value *= 0.5);
    if index.is_multiple_of(9) && draw.is_multiple_of(4) {
        values[draw as usize % len] = [f32::INFINITY, f32::NAN][draw as usize / 4 % 2];
    }
    values
}

/// Both devices, advanced side by side.
struct Side {
    rows: Rows,
    kernel: Kernel<f32>,
    outputs: Buffer<f32>,
    output_len: usize,
    runtime: &'static Runtime,
    device: Device,
    draws: u32,
}

impl Side {
    fn new(output_len: usize, samples: &[Sample]) -> Self {
        let runtime = Runtime::load(&RuntimeOptions::default()).unwrap();
        let device = Device::choose(runtime, DeviceChoice::Cpu).unwrap();
        let mut rows = Rows::new(LEN, output_len);
        for (slot, sample) in samples.iter().enumerate() {
            rows.start(slot, sample.state.u(), Some([&sample.image, &sample.mask]));
        }
        let outputs = Buffer::new(output_len);
        Self { rows, kernel: Kernel::new(LEN), outputs, output_len, runtime, device, draws: 0 }
    }

    /// Applies the next row of some samples, on both. Calls `compare` with each sample's new point
    /// and prediction: ours, then the kernel's.
    fn advance(
        &mut self,
        samples: &mut [Sample],
        picks: &[usize],
        mut compare: impl FnMut(&Sample, [&[f32]; 2], [&[f32]; 2]),
    ) {
        let Self { rows, kernel, outputs, output_len, draws, .. } = self;
        rows.clear();
        let mut evals: Vec<Vec<f32>> = Vec::new();
        let mut firsts = Vec::new();
        for &slot in picks {
            let sample = &samples[slot];
            let (row, first) = (sample.row(), evals.len());
            for _ in 0..row.evals.count() {
                *draws += 1;
                evals.push(output(sample.index, *draws, *output_len));
            }
            firsts.push(first);
            let line = rows.push(slot, row, sample.program.uses_anchor(), first);
            if row.adds_noise() {
                let draw = row.noise.draw.unwrap_or(sample.next as u32 + 1);
                noise().normal(row.noise.index.unwrap_or(sample.index), draw, line);
            }
        }
        let room = evals.len().max(1);
        outputs.grow(room);
        rows.unbind();
        for (at, eval) in evals.iter().enumerate() {
            outputs.line_mut(at).copy_from_slice(eval);
        }
        rows.run(self.runtime, &self.device, outputs, room).unwrap();
        for (position, (&slot, first)) in picks.iter().zip(firsts).enumerate() {
            let sample = &mut samples[slot];
            let (at, row) = (sample.next, sample.row().clone());
            let outputs: Vec<&[f32]> =
                evals[first..][..row.evals.count()].iter().map(Vec::as_slice).collect();
            let known = Some(Known { image: &sample.image[..], mask: &sample.mask[..] });
            let Sample { state, index, .. } = sample;
            kernel.advance(&row, at, state, &outputs, &noise(), *index, known);
            let ours = [rows.arenas.u.line(slot), rows.x_0.line(position)];
            compare(sample, ours, [sample.state.u(), kernel.x_0()]);
            sample.next += 1;
        }
    }

    /// Applies all rows of all samples, those of some at a time.
    fn finish(
        &mut self,
        samples: &mut [Sample],
        mut compare: impl FnMut(&Sample, [&[f32]; 2], [&[f32]; 2]),
    ) {
        for tick in 0.. {
            let left = |sample: &Sample| sample.next < sample.program.rows().len();
            let all: Vec<usize> = (0..samples.len()).filter(|at| left(&samples[*at])).collect();
            // Every third waits, another third each time.
            let picks: Vec<usize> = all.iter().copied().filter(|at| (at + tick) % 3 != 0).collect();
            match (all.is_empty(), picks.is_empty()) {
                (true, _) => return,
                (_, true) => {}
                (_, false) => self.advance(samples, &picks, &mut compare),
            }
        }
    }
}

/// Every sampler that suits a network, each in several ways.
fn samples(network: &Parameterisation) -> Vec<Sample> {
    let mut made: Vec<Sample> = Vec::new();
    let dynamic = Clip::Dynamic { quantile: 0.9, max: 1.5 };
    let ways: [(&str, Clip, Option<f64>, Option<Inpaint>); 6] = [
        ("plain", Clip::None, None, None),
        ("clipped", Clip::Unit, None, None),
        ("thresholded", dynamic, None, None),
        ("guided", Clip::Unit, Some(2.5), None),
        ("filled in", Clip::None, None, Some(Inpaint::ReplaceX0)),
        ("repainted", Clip::Unit, None, Some(Inpaint::ReplaceXt { resampling: 2, jump_length: 2 })),
    ];
    for sampler in Sampler::ALL {
        for (way, clip, scale, inpaint) in ways {
            let guidance = scale.map(Guidance::everywhere);
            let recipe = Recipe::new(sampler, network);
            let num_steps = recipe.num_steps.min(STEPS);
            let recipe = Recipe { num_steps, clip, guidance, inpaint, ..recipe };
            if let Ok(program) = recipe.compile(network) {
                let name = format!("{} {way}", sampler.name());
                made.push(Sample::new(name, program, made.len() as u64));
            }
        }
    }
    made
}

fn chain(prediction: Prediction, variance: Variance) -> Parameterisation {
    let schedule = Schedule::new(BetaSchedule::Linear, 1000, 1e-4, 0.02).unwrap();
    Parameterisation::discrete(schedule, prediction, variance)
}

fn bits(values: &[f32]) -> Vec<u32> {
    // A NaN's sign and payload mean nothing.
    let canonical = |value: &f32| if value.is_nan() { f32::NAN } else { *value };
    values.iter().map(|value| canonical(value).to_bits()).collect()
}

fn assert_bits(network: &Parameterisation) {
    let mut samples = samples(network);
    assert!(samples.len() >= 60, "{} programs", samples.len());
    let mut side = Side::new(LEN, &samples);
    side.finish(&mut samples, |sample, ours, kernels| {
        for (what, ours, kernels) in [("u", ours[0], kernels[0]), ("x_0", ours[1], kernels[1])] {
            assert_eq!(
                bits(ours),
                bits(kernels),
                "{what} of {} after row {}: {ours:?} and {kernels:?}",
                sample.name,
                sample.next
            );
        }
    });
}

#[test]
fn rows_have_the_kernels_bits_for_every_sampler_of_a_network_that_predicts_eps() {
    assert_bits(&chain(Prediction::Eps, Variance::FixedSmall));
}

#[test]
fn rows_have_the_kernels_bits_for_every_sampler_of_a_network_that_predicts_v() {
    assert_bits(&chain(Prediction::V, Variance::FixedLarge));
}

#[test]
fn rows_have_the_kernels_bits_for_every_sampler_of_edm() {
    assert_bits(&Parameterisation::edm(Edm::PAPER));
}

#[test]
fn rows_have_the_kernels_bits_for_every_sampler_of_a_flow() {
    assert_bits(&Parameterisation::flow());
}

#[test]
fn noise_of_a_learned_variance_differs_by_the_last_bits_of_its_exponential() {
    for variance in [Variance::Learned, Variance::LearnedRange] {
        let network = chain(Prediction::Eps, variance);
        let mut samples = samples(&network);
        let learns = |sample: &Sample| {
            sample.program.rows().iter().any(|row| row.variance != RawVariance::None)
        };
        assert!(samples.iter().any(learns));
        let mut side = Side::new(2 * LEN, &samples);
        let mut largest = 0.0f32;
        side.finish(&mut samples, |sample, [u, _], [wanted, _]| {
            if !learns(sample) {
                assert_eq!(bits(u), bits(wanted), "{}", sample.name);
            }
            for (got, want) in u.iter().zip(wanted) {
                if want.is_finite() {
                    largest = largest.max((got - want).abs() / want.abs().max(1.0));
                }
            }
        });
        // A few units in the last place per row.
        assert!(largest < 2e-5, "{variance:?}: {largest:e}");
    }
}

//! Rows in ONNX Runtime have the bits of the kernel: every sampler, on every kind of network, with
//! guidance, clip rules and known images, mixed in every call.

use ddpm_diffusion::{
    BetaSchedule, Clip, Edm, Evals, Guidance, Inpaint, Kernel, Known, Label, Mask, Mix, Noise,
    Parameterisation, Prediction, Program, Push, RawVariance, Recipe, Row, Sampler, Schedule,
    State, Variance, X0Rule,
};

use super::arenas::Arenas;
use super::buffer::{DeviceLines, Memory};
use super::open;
use super::rows::Rows;
use crate::{Device, DeviceChoice, Runtime, RuntimeOptions};

/// Above the 16 elements that sorts treat apart.
const LEN: usize = 21;
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
    arenas: Arenas,
    rows: Rows,
    kernel: Kernel<f32>,
    outputs: DeviceLines,
    output_len: usize,
    draws: u32,
}

impl Side {
    fn new(output_len: usize, samples: &[Sample]) -> Self {
        Self::on(|memory| memory, output_len, samples)
    }

    /// * `treat`: what the host's memory is treated as.
    fn on(treat: fn(Memory) -> Memory, output_len: usize, samples: &[Sample]) -> Self {
        let runtime = Runtime::load(&RuntimeOptions::default()).unwrap();
        let device = Device::choose(runtime, DeviceChoice::Cpu).unwrap();
        let any = open(runtime, &device, &ddpm_graph::rows::copied(LEN)).unwrap();
        let memory = treat(Memory::of(&device, &any).unwrap());
        let mut arenas = Arenas::new(runtime, &device, &memory, LEN).unwrap();
        // Twice, so that the arenas grow with something in them.
        for half in [0..samples.len() / 2, samples.len() / 2..samples.len()] {
            for slot in half.clone() {
                let sample = &samples[slot];
                arenas.start(slot, &[9.0; LEN], None);
                arenas.start(slot, sample.state.u(), Some([&sample.image, &sample.mask]));
            }
            let mut moved = false;
            arenas.reserve(half.end, || moved = true).unwrap();
            assert!(moved);
            arenas.write().unwrap();
        }
        let rows = Rows::new(runtime, &device, &memory, (LEN, output_len)).unwrap();
        let outputs = DeviceLines::new(&memory, output_len);
        let kernel = Kernel::new(LEN);
        Self { arenas, rows, kernel, outputs, output_len, draws: 0 }
    }

    /// Applies the next row of some samples, on both. Calls `compare` with each sample's new point
    /// and prediction: ours, then the kernel's.
    fn advance(
        &mut self,
        samples: &mut [Sample],
        picks: &[usize],
        mut compare: impl FnMut(&Sample, [&[f32]; 2], [&[f32]; 2]),
    ) {
        let Self { arenas, rows, kernel, outputs, output_len, draws, .. } = self;
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
            rows.reserve(|| ()).unwrap();
            let line = rows.push(slot, row, sample.program.uses_anchor(), first);
            if row.adds_noise() {
                let draw = row.noise.draw.unwrap_or(sample.next as u32 + 1);
                noise().normal(row.noise.index.unwrap_or(sample.index), draw, line);
            }
        }
        *outputs = outputs.with_room(evals.len().max(1)).unwrap();
        outputs.host_line(0).fill(f32::NAN);
        rows.unbind();
        for (at, eval) in evals.iter().enumerate() {
            outputs.host_line(at).copy_from_slice(eval);
        }
        rows.run(arenas, outputs).unwrap();
        for (position, (&slot, first)) in picks.iter().zip(firsts).enumerate() {
            let sample = &mut samples[slot];
            let (at, row) = (sample.next, sample.row().clone());
            let outputs: Vec<&[f32]> =
                evals[first..][..row.evals.count()].iter().map(Vec::as_slice).collect();
            let known = Some(Known { image: &sample.image[..], mask: &sample.mask[..] });
            let Sample { state, index, .. } = sample;
            kernel.advance(&row, at, state, &outputs, &noise(), *index, known);
            let u = arenas.points().host_line(slot);
            let ours = [&*u, &*rows.x_0().host_line(position)];
            compare(sample, ours, [sample.state.u(), kernel.x_0()]);
            sample.next += 1;
        }
    }

    /// Applies all rows of all samples: those of two out of three at a time, or of one.
    fn finish(
        &mut self,
        samples: &mut [Sample],
        alone: bool,
        mut compare: impl FnMut(&Sample, [&[f32]; 2], [&[f32]; 2]),
    ) {
        for tick in 0.. {
            let left = |sample: &Sample| sample.next < sample.program.rows().len();
            let all: Vec<usize> = (0..samples.len()).filter(|at| left(&samples[*at])).collect();
            // Every third waits, another third each time.
            let waits = |at: &usize| match alone {
                true => *at != all[tick % all.len()],
                false => (at + tick).is_multiple_of(3),
            };
            let picks: Vec<usize> = all.iter().copied().filter(|at| !waits(at)).collect();
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
    // A NaN's sign and payload mean nothing, and a zero's sign is not promised.
    let canonical = |value: &f32| match *value {
        value if value.is_nan() => f32::NAN,
        value => value + 0.0,
    };
    values.iter().map(|value| canonical(value).to_bits()).collect()
}

fn assert_bits(network: &Parameterisation) {
    for alone in [false, true] {
        let mut samples = samples(network);
        assert!(samples.len() >= 60, "{} programs", samples.len());
        let mut side = Side::new(LEN, &samples);
        side.finish(&mut samples, alone, |sample, ours, kernels| {
            let (name, row) = (&sample.name, sample.next);
            assert_eq!(bits(ours[0]), bits(kernels[0]), "u of {name} after row {row}");
            assert_eq!(bits(ours[1]), bits(kernels[1]), "x_0 of {name} after row {row}");
        });
    }
}

#[test]
fn every_sampler_is_among_those_that_are_compared() {
    let networks = [
        chain(Prediction::Eps, Variance::FixedSmall),
        Parameterisation::edm(Edm::PAPER),
        Parameterisation::flow(),
    ];
    let compared: Vec<Sample> = networks.iter().flat_map(samples).collect();
    for sampler in Sampler::ALL.into_iter().filter(|sampler| !sampler.encodes()) {
        let is_compared = |sample: &Sample| sample.name.starts_with(sampler.name());
        assert!(compared.iter().any(is_compared), "{}", sampler.name());
    }
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
fn what_the_host_says_may_be_bound_again_at_each_call() {
    let network = chain(Prediction::V, Variance::FixedSmall);
    let mut samples = samples(&network);
    let mut side = Side::on(Memory::treated_as_a_device, LEN, &samples);
    side.finish(&mut samples, false, |sample, ours, kernels| {
        assert_eq!(bits(ours[0]), bits(kernels[0]), "u of {}", sample.name);
    });
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
        side.finish(&mut samples, false, |sample, [u, _], [wanted, _]| {
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

/// Choices of a random program, each used once.
struct Choices {
    index: u64,
    used: u32,
}

impl Choices {
    fn below(&mut self, count: u64) -> u64 {
        self.used += 1;
        Noise::new(23).bits(self.index, self.used) % count
    }

    /// Returns a coefficient: often 0, sometimes 1, and any other number.
    fn number(&mut self) -> f64 {
        match self.below(5) {
            0 | 1 => 0.0,
            2 => 1.0,
            _ => (self.below(2001) as f64 - 1000.0) / 700.0,
        }
    }

    fn mix(&mut self, evals: Evals, z: f64, known: f64) -> Mix {
        let f = if evals == Evals::Zero { 0.0 } else { self.number() };
        let [u, y, x_0] = [(); 3].map(|()| self.number());
        Mix { u, y, x_0, f, h: [(); 3].map(|()| self.number()), z, known }
    }

    fn row(&mut self, step: u32) -> Row {
        let mut row = Row::at(5.0);
        row.label = Label { step, num_steps: STEPS as u32, ends_step: true, noise_level: 0.5 };
        row.evals = match self.below(4) {
            0 => Evals::Zero,
            1 => Evals::Unconditional,
            2 => Evals::Guided { scale: self.number().abs() },
            _ => Evals::One,
        };
        let reads_f = row.evals != Evals::Zero;
        let p_f = if reads_f { self.number() } else { 0.0 };
        let clip = match self.below(3) {
            0 => Clip::None,
            1 => Clip::Unit,
            _ => Clip::Dynamic { quantile: 0.05 + self.below(96) as f64 / 100.0, max: 2.0 },
        };
        row.x_0 = X0Rule { p_u: self.number(), p_f, clip };
        let z = if step as usize == STEPS { 0.0 } else { self.number() };
        let known = self.number();
        row.u = self.mix(row.evals, z, known);
        row.y = self.mix(row.evals, 0.0, 0.0);
        if self.below(2) == 0 {
            let f = if reads_f { self.number() } else { 0.0 };
            row.push = Some(Push { u: self.number(), x_0: self.number(), f });
        }
        row.mask = [Mask::None, Mask::ReplaceX0, Mask::ReplaceXt][self.below(3) as usize];
        row
    }
}

#[test]
fn random_rows_have_the_kernels_numbers_from_states_with_zeros_of_both_signs() {
    let mut samples: Vec<Sample> = (0..60)
        .map(|index| {
            let mut choices = Choices { index, used: 0 };
            let rows = (1..=STEPS as u32).map(|step| choices.row(step)).collect();
            let program = Program::new(rows).unwrap();
            let mut sample = Sample::new(format!("random {index}"), program, index);
            let mut point = sample.state.u().to_vec();
            (point[0], point[1]) = (0.0, -0.0);
            sample.state = State::from_point(&sample.program, point);
            (sample.image[2], sample.image[3]) = (-0.0, 0.0);
            sample
        })
        .collect();
    let mut side = Side::new(LEN, &samples);
    side.finish(&mut samples, false, |sample, ours, kernels| {
        let (name, row) = (&sample.name, &sample.program.rows()[sample.next]);
        assert_eq!(bits(ours[1]), bits(kernels[1]), "x_0 of {name}, {row:?}");
        assert_eq!(bits(ours[0]), bits(kernels[0]), "u of {name}, {row:?}");
    });
}

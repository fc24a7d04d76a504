//! Samples have the same bits on both devices, whatever shares their calls.

use std::sync::Arc;

use ddpm_diffusion::{Clip, Guidance, Inpaint, Program, Recipe, Row, Sampler, Start};
use ddpm_onnx::{Denoiser, Device as OnnxDevice, DeviceChoice, Runtime, RuntimeOptions};
use ddpm_package::{GraphName, Package};

use super::*;
use crate::embedded;
use crate::fuzz::heap::allocations;
use crate::runtime::{Evaluator, HostDevice, Padding};

/// A request of one sample.
struct Request {
    model: ModelId,
    program: Program,
    label: Option<u32>,
    known: Option<Arc<KnownImage>>,
    initial: Option<Vec<f32>>,
}

fn packages() -> Vec<Package> {
    embedded::packages().unwrap()
}

fn host_model(network: Box<dyn Evaluator>, package: &Package) -> HostModel {
    let manifest = package.manifest();
    HostModel {
        network,
        sample_len: manifest.sample_len(),
        output_len: manifest.output_len(),
        classes: manifest.classes.len(),
        padding: Padding::None,
        examples: Inputs::from_golden(&package.golden().unwrap()),
    }
}

/// Both devices, each with the embedded models.
fn devices() -> (HostDevice, BoundDevice) {
    let runtime = Runtime::load(&RuntimeOptions::default()).unwrap();
    let device = OnnxDevice::choose(runtime, DeviceChoice::Cpu).unwrap();
    let model = |package: &Package| {
        let denoiser = Denoiser::open(runtime, &device, package).unwrap();
        host_model(Box::new(denoiser), package)
    };
    let bound = |package: &Package| {
        let mut bound = Bound::open(runtime, &device, package, GraphName::Portable).unwrap();
        bound.check_golden(package).unwrap();
        BoundModel::new(host_model(Box::new(bound), package))
    };
    let packages = packages();
    let host = HostDevice::new(packages.iter().map(model).collect());
    (host, BoundDevice::new(packages.iter().map(bound).collect()))
}

/// One request per sampler and model: every third guided, filled in, or started from a state.
fn requests() -> Vec<Request> {
    let mut made = Vec::new();
    for (model, package) in packages().iter().enumerate() {
        let manifest = package.manifest();
        let network = manifest.parameterisation().unwrap();
        let len = manifest.sample_len();
        for (at, sampler) in Sampler::ALL.into_iter().enumerate() {
            let recipe = Recipe::new(sampler, &network);
            let num_steps = recipe.num_steps.min(5);
            let conditional = !manifest.classes.is_empty();
            let guidance = (conditional && at % 3 == 0).then(|| Guidance::everywhere(2.0));
            let inpaint = (at % 3 == 1 && !sampler.encodes()).then_some(Inpaint::ReplaceX0);
            let clip = if at % 2 == 0 { Clip::Unit } else { recipe.clip };
            let start = if sampler.encodes() { Start::State } else { recipe.start };
            let recipe = Recipe { num_steps, guidance, inpaint, clip, start, ..recipe };
            let Ok(program) = recipe.compile(&network) else { continue };
            let known = inpaint.map(|_| {
                let mask = (0..len).map(|at| if at % 2 == 0 { 1.0 } else { 0.0 }).collect();
                Arc::new(KnownImage { image: vec![0.5; len], mask })
            });
            let label = conditional.then(|| at as u32 % manifest.classes.len() as u32);
            let initial = (start == Start::State).then(|| vec![0.25; len]);
            made.push(Request { model, program, label, known, initial });
        }
    }
    made
}

/// Runs all requests side by side and returns their samples, and the predictions on the way.
fn run(device: &mut dyn Device, requests: &[Request]) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let noise = Noise::new(3);
    let slots: Vec<Slot> = requests
        .iter()
        .enumerate()
        .map(|(index, request)| {
            let start = SlotStart {
                program: &request.program,
                noise: &noise,
                index: index as u64,
                class_label: request.label,
                initial: request.initial.clone(),
                known: request.known.clone(),
            };
            device.start(request.model, start)
        })
        .collect();
    let mut next = vec![0; requests.len()];
    let mut samples = vec![Vec::new(); requests.len()];
    let (mut predictions, mut outcomes) = (Vec::new(), Vec::new());
    for tick in 0.. {
        if samples.iter().all(|sample| !sample.is_empty()) {
            break;
        }
        let model = tick % 2;
        let picks: Vec<usize> = (0..requests.len())
            .filter(|&at| requests[at].model == model && samples[at].is_empty())
            .filter(|at| (at + tick / 2) % 3 != 0)
            .collect();
        let work: Vec<Work<'_>> =
            picks.iter().map(|&at| work(slots[at], &requests[at].program, next[at])).collect();
        device.tick(model, &work, &mut outcomes).unwrap();
        for (at, outcome) in picks.iter().zip(outcomes.drain(..)) {
            let Outcome { x_0, x_t, sample } = outcome.unwrap();
            predictions.extend([x_0, x_t].into_iter().flatten());
            samples[*at] = sample.unwrap_or_default();
            next[*at] += 1;
        }
    }
    assert_eq!(device.slots(), 0);
    (samples, predictions)
}

fn work<'a>(slot: Slot, program: &'a Program, position: usize) -> Work<'a> {
    let row: &Row = &program.rows()[position];
    let last = position + 1 == program.rows().len();
    let show_x_t = (position % 2 == 1).then_some(0.5);
    Work { slot, row, position, show_x_0: position.is_multiple_of(2), show_x_t, last }
}

fn bits(samples: &[Vec<f32>]) -> Vec<Vec<u32>> {
    samples.iter().map(|sample| sample.iter().map(|value| value.to_bits()).collect()).collect()
}

#[test]
fn both_devices_draw_samples_of_the_same_bits_with_every_sampler() {
    let (mut host, mut bound) = devices();
    let requests = requests();
    assert!(requests.len() > 40, "{}", requests.len());
    let (wanted, shown) = run(&mut host, &requests);
    let (found, seen) = run(&mut bound, &requests);
    for (at, (found, wanted)) in bits(&found).iter().zip(bits(&wanted)).enumerate() {
        assert_eq!(*found, wanted, "request {at}");
    }
    assert_eq!(bits(&seen), bits(&shown));
}

#[test]
fn places_are_used_again_and_keep_nothing_of_the_sample_before() {
    let (_, mut bound) = devices();
    let requests = requests();
    let (first, _) = run(&mut bound, &requests);
    let places: Vec<usize> = bound.models.iter().map(|model| model.places).collect();
    let (second, _) = run(&mut bound, &requests);
    assert_eq!(bits(&first), bits(&second));
    assert_eq!(bound.models.iter().map(|model| model.places).collect::<Vec<_>>(), places);
}

#[test]
fn a_tick_allocates_nothing_but_what_it_returns() {
    let (_, mut bound) = devices();
    let package = &packages()[0];
    let network = package.manifest().parameterisation().unwrap();
    let recipe = Recipe::new(Sampler::ALL[0], &network);
    let program = Recipe { num_steps: 8, ..recipe }.compile(&network).unwrap();
    let noise = Noise::new(7);
    let slots = [0, 1, 2].map(|index| {
        let (class_label, initial, known) = (None, None, None);
        let start =
            SlotStart { program: &program, noise: &noise, index, class_label, initial, known };
        bound.start(0, start)
    });
    let (mut outcomes, mut counts) = (Vec::new(), Vec::new());
    for position in 0..program.rows().len() {
        let work = slots.map(|slot| Work {
            show_x_0: false,
            show_x_t: None,
            ..work(slot, &program, position)
        });
        let before = allocations();
        bound.tick(0, &work, &mut outcomes).unwrap();
        counts.push(allocations() - before);
    }
    // The first row makes sessions, bindings and room; the last one hands out three samples.
    let last = counts.len() - 1;
    assert!(counts[1..last].iter().all(|count| *count == 0), "{counts:?}");
    assert!(counts[last] >= 3, "the counter works: {counts:?}");
}

#[test]
fn a_row_without_its_known_image_fails_its_own_sample_only() {
    let (_, mut bound) = devices();
    let requests = requests();
    let masked = requests.iter().find(|request| request.known.is_some()).unwrap();
    let plain = requests.iter().find(|request| request.known.is_none()).unwrap();
    assert_eq!((masked.model, plain.model), (0, 0));
    let noise = Noise::new(3);
    let mut start = |request: &Request| {
        let (class_label, initial, known) = (request.label, request.initial.clone(), None);
        let program = &request.program;
        let start = SlotStart { program, noise: &noise, index: 0, class_label, initial, known };
        bound.start(0, start)
    };
    let slots = [start(masked), start(plain)];
    let mut outcomes = Vec::new();
    let both = [work(slots[0], &masked.program, 0), work(slots[1], &plain.program, 0)];
    bound.tick(0, &both, &mut outcomes).unwrap();
    assert!(outcomes[0].as_ref().unwrap_err().to_string().contains("known image"));
    assert!(outcomes[1].is_ok());
}

//! A tick allocates only what it returns, and a panic in it fails one sample only.

use ddpm_diffusion::{Evals, Label, Mask, Mix, Program, Push, Row};

use super::*;
use crate::fuzz::heap::allocations;
use crate::runtime::stub::Stub;

const LEN: usize = 6;

/// Rows that use history, anchor and noise, with one eval and with two.
fn program() -> Program {
    let row = |step| {
        let mut row = Row::at(10.0);
        let h = [0.1, 0.1, 0.0];
        row.u = Mix { u: 0.5, y: 0.1, f: 0.2, h, z: 0.1, ..Mix::ZERO };
        row.y = Mix { y: 0.5, x_0: 0.1, ..Mix::ZERO };
        row.push = Some(Push { u: 0.0, x_0: 1.0, f: 0.0 });
        row.label = Label { step, num_steps: 8, ends_step: true, noise_level: 0.5 };
        row
    };
    let mut rows: Vec<Row> = (1..=8).map(row).collect();
    rows[3].evals = Evals::Guided { scale: 2.0 };
    rows[7].u.z = 0.0;
    Program::new(rows).unwrap()
}

fn start(device: &mut HostDevice, program: &Program, index: u64) -> Slot {
    let (noise, class_label) = (Noise::new(7), Some(1));
    let (initial, known) = (None, None);
    device.start(0, SlotStart { program, noise: &noise, index, class_label, initial, known })
}

fn work<'a>(slot: Slot, program: &'a Program, position: usize) -> Work<'a> {
    let row = &program.rows()[position];
    let last = position + 1 == program.rows().len();
    Work { slot, row, position, show_x_0: false, show_x_t: None, last }
}

#[test]
fn a_tick_allocates_nothing_but_what_it_returns() {
    let program = program();
    let mut device = Stub::default().device(LEN);
    let slots = [0, 1, 2].map(|index| start(&mut device, &program, index));
    let mut outcomes = Vec::new();
    let mut counts = Vec::new();
    for position in 0..program.rows().len() {
        let work = slots.map(|slot| work(slot, &program, position));
        let before = allocations();
        device.tick(0, &work, &mut outcomes).unwrap();
        counts.push(allocations() - before);
    }
    // The scratch space grows in the first row, and in the fourth, which has two
    // evals; the last one hands out three samples.
    assert_eq!(counts[1..3], [0, 0]);
    assert_eq!(counts[4..7], [0, 0, 0]);
    assert!(counts[7] >= 3, "the counter works: {counts:?}");
}

#[test]
fn a_sample_whose_kernel_panics_fails_alone_and_its_slot_is_freed_once() {
    let good = program();
    let mut masked = Row::at(0.0);
    masked.mask = Mask::ReplaceXt;
    masked.u = Mix { known: 1.0, ..Mix::ZERO };
    masked.label = Label { step: 1, num_steps: 1, ends_step: true, noise_level: 0.0 };
    // It reads a known image that does not exist.
    let bad = Program::new(vec![masked]).unwrap();

    let run = |programs: [&Program; 3]| {
        let mut device = Stub::default().device(LEN);
        let slots = [0, 1, 2].map(|at| start(&mut device, programs[at], at as u64));
        let mut outcomes = Vec::new();
        let first = [0, 1, 2].map(|at| work(slots[at], programs[at], 0));
        device.tick(0, &first, &mut outcomes).unwrap();
        let failed: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
        device.release(slots[1]);
        device.release(slots[1]);
        assert_eq!(device.slots(), 2);
        let mut samples = Vec::new();
        for position in 1..good.rows().len() {
            let rest = [0, 2].map(|at| work(slots[at], &good, position));
            device.tick(0, &rest, &mut outcomes).unwrap();
            samples.extend(outcomes.iter().filter_map(|outcome| outcome.clone().unwrap().sample));
        }
        assert_eq!(device.slots(), 0);
        let (a, b) = (start(&mut device, &good, 0), start(&mut device, &good, 1));
        assert_ne!(a, b);
        (failed, samples)
    };

    let (failed, beside) = run([&good, &bad, &good]);
    assert_eq!(failed, [false, true, false]);
    assert_eq!(beside, run([&good, &good, &good]).1);
}

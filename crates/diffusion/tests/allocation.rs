//! Applying a row allocates nothing: a tick of many samples never waits for the
//! allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use ddpm_diffusion::{
    Clip, Guidance, Kernel, Noise, Parameterisation, Prediction, Recipe, Sampler, Schedule, State,
    Variance,
};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: each call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LEN: usize = 192;

#[test]
fn a_row_allocates_nothing_whatever_the_sampler() {
    let schedule = Schedule::linear(100, 1e-3, 0.2).expect("a schedule in range");
    let network = Parameterisation::discrete(schedule, Prediction::V, Variance::LearnedRange);
    let outputs = [[0.25f32; 2 * LEN], [-0.5; 2 * LEN]];
    let noise = Noise::new(3);
    for sampler in Sampler::ALL.into_iter().filter(|sampler| !sampler.encodes()) {
        let recipe = Recipe {
            num_steps: 12,
            clip: Clip::Dynamic { quantile: 0.9, max: 3.0 },
            guidance: Some(Guidance::everywhere(2.0)),
            ..Recipe::new(sampler, &network)
        };
        let program = recipe.compile(&network).expect("a sampler suits the network");
        let mut state = State::<f32>::start(&program, &noise, 0, LEN);
        let mut kernel = Kernel::new(LEN);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for (position, row) in program.rows().iter().enumerate() {
            let outputs = [&outputs[0][..], &outputs[1][..]];
            let outputs = &outputs[..row.evals.count()];
            kernel.advance(row, position, &mut state, outputs, &noise, 0, None);
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(allocations, 0, "{sampler}");
    }
}

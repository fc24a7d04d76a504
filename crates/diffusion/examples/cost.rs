//! What kernel and noise cost in a tick, on this machine, on one thread.
//!
//! `cargo run --release -p ddpm-diffusion --example cost`
//!
//! Each figure is the median over the rows of 20 runs; a run advances all samples
//! row by row, as the server does, with the network's outputs precomputed.

use std::time::{Duration, Instant};

use ddpm_diffusion::{
    Error, Kernel, Noise, Parameterisation, Prediction, Program, Recipe, Sampler, Schedule, State,
    Variance,
};

const RUNS: usize = 20;

/// Samples per tick, and elements per sample.
const TICKS: [(usize, usize); 3] = [(1000, 2), (8, 3 * 32 * 32), (256, 3 * 32 * 32)];

const SAMPLERS: [&str; 5] = ["ddim", "ddpm", "dpm++:order=3", "sde-dpm++", "unipc:order=3"];

fn main() -> Result<(), Error> {
    let schedule = Schedule::linear(1000, 1e-4, 0.02)?;
    let network = Parameterisation::discrete(schedule, Prediction::Eps, Variance::FixedSmall);
    println!(
        "{:<16}{:>9}{:>10}{:>12}{:>16}",
        "sampler", "samples", "elements", "µs per tick", "ns per element"
    );
    for (samples, elements) in TICKS {
        for text in SAMPLERS {
            let sampler: Sampler = text.parse()?;
            let recipe = Recipe { num_steps: 10, ..Recipe::new(sampler, &network) };
            let tick = median(samples, elements, &recipe.compile(&network)?);
            let (micros, nanos) = (tick.as_secs_f64() * 1e6, tick.as_secs_f64() * 1e9);
            let each = nanos / (samples * elements) as f64;
            println!("{text:<16}{samples:>9}{elements:>10}{micros:>12.1}{each:>16.2}");
        }
    }
    Ok(())
}

fn median(samples: usize, elements: usize, program: &Program) -> Duration {
    let noise = Noise::new(7);
    let output = vec![0.1f32; elements];
    let mut kernel = Kernel::new(elements);
    let mut ticks = Vec::new();
    for _ in 0..RUNS {
        let start = |index| State::start(program, &noise, index as u64, elements);
        let mut states: Vec<State<f32>> = (0..samples).map(start).collect();
        for (position, row) in program.rows().iter().enumerate() {
            let begun = Instant::now();
            for (index, state) in states.iter_mut().enumerate() {
                let outputs = [&output[..]];
                let outputs = &outputs[..row.evals.count()];
                kernel.advance(row, position, state, outputs, &noise, index as u64, None);
            }
            ticks.push(begun.elapsed());
        }
        std::hint::black_box(&states);
    }
    ticks.sort();
    ticks[ticks.len() / 2]
}

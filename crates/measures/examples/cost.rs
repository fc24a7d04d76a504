//! Times the measures at the size of published results, on this machine.
//!
//! `cargo run --release -p ddpm-measures --example cost [ROWS] [FEATURES]`

use std::time::Instant;

use ddpm_diffusion::Noise;
use ddpm_measures::{
    Arithmetic, Features, FidelityOptions, KidOptions, Manifold, SlicedOptions, Statistics,
    fidelity, frechet_distance, kid, sliced_wasserstein,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse());
    let rows = arguments.next().transpose()?.unwrap_or(10_000);
    let dim = arguments.next().transpose()?.unwrap_or(2048);
    let (data, samples) = (features(1, rows, dim)?, features(2, rows, dim)?);
    println!("{rows} x {rows} rows of {dim} features");

    let statistics = timed("statistics of both sets", || {
        Ok::<_, ddpm_measures::Error>([Statistics::of(&data)?, Statistics::of(&samples)?])
    })?;
    let [left, right] = [statistics[0].gaussian()?, statistics[1].gaussian()?];
    timed("Fréchet distance", || frechet_distance(&left, &right))?;
    timed("KID, 100 subsets of 1000", || kid(&data, &samples, &KidOptions::default()))?;
    for arithmetic in [Arithmetic::F64, Arithmetic::F16] {
        timed(&format!("precision, recall, density, coverage in {arithmetic:?}"), || {
            let data = Manifold::new(&data, 5, arithmetic)?;
            let samples = Manifold::new(&samples, 5, arithmetic)?;
            fidelity(&data, &samples, FidelityOptions::default())
        })?;
    }
    let options = SlicedOptions::default();
    timed("sliced Wasserstein, 256 directions", || sliced_wasserstein(&data, &samples, &options))?;
    Ok(())
}

/// Draws rows of mean 0 whose features differ in variance.
fn features(seed: u64, rows: usize, dim: usize) -> Result<Features, ddpm_measures::Error> {
    let mut features = Features::new(dim)?;
    let (noise, mut row) = (Noise::new(seed), vec![0.0; dim]);
    for index in 0..rows {
        noise.normal(index as u64, 0, &mut row);
        row.iter_mut().enumerate().for_each(|(at, x)| *x /= (1.0 + at as f32).sqrt());
        features.push(&row)?;
    }
    Ok(features)
}

fn timed<T>(name: &str, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = run();
    println!("{name:<52} {:8.2} s", start.elapsed().as_secs_f64());
    result
}

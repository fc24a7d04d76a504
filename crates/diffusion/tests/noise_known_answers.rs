//! Addressed noise against known answers, which `tests/fixtures/noise.py`
//! computed from the description in the .proto alone.

use ddpm_diffusion::Noise;
use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    seed: u64,
    index: u64,
    draw: u32,
    normals: [f64; 8],
    normals_f32: [f32; 8],
}

fn answers() -> Vec<Answer> {
    let text = include_str!("../../../tests/fixtures/noise.json");
    serde_json::from_str(text).expect("the fixture is a list of answers")
}

#[test]
fn noise_agrees_with_an_independent_implementation() {
    for Answer { seed, index, draw, normals, .. } in answers() {
        let mut got = [0.0_f64; 8];
        Noise::new(seed).normal(index, draw, &mut got);

        for (got, want) in got.iter().zip(&normals) {
            let difference = (got - want).abs();
            assert!(difference < 1e-14, "({seed}, {index}, {draw}): {got} is not {want}");
        }
    }
}

#[test]
fn noise_in_f32_is_the_rounded_answer() {
    for Answer { seed, index, draw, normals_f32, .. } in answers() {
        let mut got = [0.0_f32; 8];
        Noise::new(seed).normal(index, draw, &mut got);

        assert_eq!(got, normals_f32, "({seed}, {index}, {draw})");
    }
}

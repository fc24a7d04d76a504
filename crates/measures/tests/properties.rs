//! Properties that the measures have by definition, for any features.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ddpm_diffusion::Noise;
use ddpm_measures::{
    Arithmetic, Features, FidelityOptions, Gaussian, KidOptions, Manifold, Order, SlicedOptions,
    Statistics, fidelity, frechet_distance, kid, polynomial_mmd2, sliced_wasserstein,
};
use proptest::prelude::*;

const DIM: usize = 5;

/// Draws standard normal rows from one seed.
fn normal(seed: u64, rows: usize, dim: usize) -> Vec<f32> {
    let mut values = vec![0.0; rows * dim];
    Noise::new(seed).normal(0, 0, &mut values);
    values
}

/// Draws rows around `offset`, stretched along the axes, from one seed.
fn cloud(seed: u64, rows: usize, offset: f32) -> Features {
    let values = normal(seed, rows, DIM);
    let stretched = values.iter().enumerate().map(|(at, x)| x * (1 + at % DIM) as f32 + offset);
    Features::from_rows(DIM, stretched.collect()).unwrap()
}

fn mapped(features: &Features, map: impl Fn(&[f32]) -> Vec<f32>) -> Features {
    Features::from_rows(features.dim(), features.rows().flat_map(map).collect()).unwrap()
}

/// Reflects (1, 1, …, 1) to its negative: orthogonal, and mixes all axes.
fn reflected(row: &[f32]) -> Vec<f32> {
    let mean = row.iter().sum::<f32>() / row.len() as f32;
    row.iter().map(|x| x - 2.0 * mean).collect()
}

fn frechet(left: &Features, right: &Features) -> f64 {
    let gaussian = |features| Statistics::of(features).unwrap().gaussian().unwrap();
    frechet_distance(&gaussian(left), &gaussian(right)).unwrap()
}

fn sliced(left: &Features, right: &Features, order: Order) -> f64 {
    let options = SlicedOptions { order, projections: 64, seed: 1 };
    sliced_wasserstein(left, right, &options).unwrap()
}

fn trace(features: &Features) -> f64 {
    let gaussian = Statistics::of(features).unwrap().gaussian().unwrap();
    gaussian.covariance().iter().step_by(features.dim() + 1).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// This holds with fewer rows than features, too.
    #[test]
    fn frechet_is_symmetric_finite_and_zero_only_for_equal_statistics(
        seeds in (0u64..1000, 1000u64..2000),
        counts in (2usize..12, 2usize..12),
        offset in -50.0f32..50.0,
    ) {
        let left = cloud(seeds.0, counts.0, offset);
        let right = cloud(seeds.1, counts.1, 0.0);
        let distance = frechet(&left, &right);
        let size = trace(&left) + trace(&right);
        prop_assert!(distance.is_finite() && distance > 0.0);
        prop_assert!((distance - frechet(&right, &left)).abs() < 1e-12 * size);
        prop_assert!(frechet(&left, &left) < 1e-12 * size);
    }

    #[test]
    fn a_rotation_of_both_sets_changes_nothing(
        seeds in (0u64..1000, 1000u64..2000), counts in (6usize..40, 6usize..40),
    ) {
        let (left, right) = (cloud(seeds.0, counts.0, 1.0), cloud(seeds.1, counts.1, 0.0));
        let (turned_left, turned_right) = (mapped(&left, reflected), mapped(&right, reflected));
        // f32 rows are rotated to 1e-7 of their size.
        let size = trace(&left) + trace(&right);
        let change = frechet(&left, &right) - frechet(&turned_left, &turned_right);
        prop_assert!(change.abs() < 1e-5 * size);
        let change = polynomial_mmd2(&left, &right).unwrap()
            - polynomial_mmd2(&turned_left, &turned_right).unwrap();
        prop_assert!(change.abs() < 1e-5 * (1.0 + size).powi(3));
        let radii = |left: &Features, right: &Features| {
            let of = |set| Manifold::new(set, 5, Arithmetic::F64).unwrap().radii(5).unwrap();
            of(left).into_iter().chain(of(right)).collect::<Vec<_>>()
        };
        let turned = radii(&turned_left, &turned_right);
        for (radius, turned) in radii(&left, &right).iter().zip(turned) {
            prop_assert!((radius - turned).abs() < 1e-5 * (1.0 + radius));
        }
    }

    /// A shift changes only |μ₁ − μ₂|²; both sets have steps of 1/1024, so f32 shifts exactly.
    #[test]
    fn a_shift_adds_its_square_to_frechet(seed in 0u64..1000, shift in -64i8..64) {
        let rounded = |x: &f32| (x * 1024.0).round() / 1024.0;
        let set = mapped(&cloud(seed, 30, 0.0), |row| row.iter().map(rounded).collect());
        let shift = f32::from(shift);
        let moved = mapped(&set, |row| row.iter().map(|x| x + shift).collect());
        let want = DIM as f64 * f64::from(shift).powi(2);
        prop_assert!((frechet(&set, &moved) - want).abs() < 1e-9);
    }

    #[test]
    fn sliced_distances_are_symmetric_zero_for_equal_sets_and_ordered(
        seeds in (0u64..1000, 1000u64..2000), counts in (1usize..30, 1usize..30),
    ) {
        let (left, right) = (cloud(seeds.0, counts.0, 1.0), cloud(seeds.1, counts.1, 0.0));
        for order in [Order::First, Order::Second] {
            prop_assert_eq!(sliced(&left, &left, order), 0.0);
            let (there, back) = (sliced(&left, &right, order), sliced(&right, &left, order));
            prop_assert!((there - back).abs() < 1e-12 * there);
        }
        // Jensen's inequality.
        prop_assert!(sliced(&left, &right, Order::First) <= sliced(&left, &right, Order::Second));
        // Each row twice is the same distribution.
        let mut twice = left.clone();
        twice.push(left.values()).unwrap();
        prop_assert!(sliced(&twice, &left, Order::First) < 1e-12);
    }

    #[test]
    fn shares_do_not_depend_on_the_order_of_rows(
        seeds in (0u64..1000, 1000u64..2000), counts in (6usize..40, 6usize..40),
    ) {
        let reversed = |set: &Features| {
            let rows: Vec<&[f32]> = set.rows().collect();
            Features::from_rows(DIM, rows.into_iter().rev().flatten().copied().collect()).unwrap()
        };
        let of = |left: &Features, right: &Features| {
            let left = Manifold::new(left, 5, Arithmetic::F64).unwrap();
            let right = Manifold::new(right, 5, Arithmetic::F64).unwrap();
            fidelity(&left, &right, FidelityOptions::default()).unwrap()
        };
        let (left, right) = (cloud(seeds.0, counts.0, 1.0), cloud(seeds.1, counts.1, 0.0));
        let got = of(&left, &right);
        prop_assert_eq!(got, of(&reversed(&left), &reversed(&right)));
        for share in [got.precision, got.recall, got.coverage] {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        let exchanged = of(&right, &left);
        prop_assert_eq!((got.precision, got.recall), (exchanged.recall, exchanged.precision));
    }
}

/// tr √(Σ₁Σ₂) in the plane: √(tr Σ₁Σ₂ + 2 √(det Σ₁ det Σ₂)).
#[test]
fn frechet_of_gaussians_in_the_plane_has_a_closed_form() {
    for (a, b) in [([2.0, 0.5, 1.0], [1.0, -0.3, 3.0]), ([1.0, 1.0, 1.0], [4.0, 1.0, 2.0])] {
        let of =
            |[xx, xy, yy]: [f64; 3]| Gaussian::new(vec![0.0; 2], vec![xx, xy, xy, yy]).unwrap();
        let determinant = |[xx, xy, yy]: [f64; 3]| xx * yy - xy * xy;
        let product = a[0] * b[0] + 2.0 * a[1] * b[1] + a[2] * b[2];
        let root = (product + 2.0 * (determinant(a) * determinant(b)).sqrt()).sqrt();
        let want = a[0] + a[2] + b[0] + b[2] - 2.0 * root;
        let got = frechet_distance(&of(a), &of(b)).unwrap();
        assert!((got - want).abs() < 1e-12, "{got} for {want}");
    }
}

#[test]
fn with_many_normal_samples_every_measure_nears_its_limit() {
    let rows = 4000;
    let left = Features::from_rows(2, normal(1, rows, 2)).unwrap();
    let right = mapped(&Features::from_rows(2, normal(2, rows, 2)).unwrap(), |row| {
        vec![2.0 * row[0] + 1.0, 2.0 * row[1]]
    });
    // |μ|² + 2 (2 − 1)², the error of moments over 4000 rows being about 0.05.
    assert!((frechet(&left, &right) - 3.0).abs() < 0.3);
    // In every direction N(0, 1) against N(cos φ, 2²): W₂² = cos² φ + 1, with mean 1.5.
    assert!((sliced(&left, &right, Order::Second) - 1.5_f64.sqrt()).abs() < 0.1);

    // Two sets of one distribution: nothing but sampling error.
    let other = Features::from_rows(2, normal(3, rows, 2)).unwrap();
    let options = KidOptions { subsets: 40, subset_size: 400, seed: 0 };
    let (same, far) =
        (kid(&left, &other, &options).unwrap(), kid(&left, &right, &options).unwrap());
    let error = same.stdev / (options.subsets as f64).sqrt();
    assert!(same.mean.abs() < 6.0 * error, "{same:?}");
    assert!(far.mean > 20.0 * error, "{far:?}");
    let whole = polynomial_mmd2(&left, &right).unwrap();
    assert!((far.mean - whole).abs() < 6.0 * far.stdev / (options.subsets as f64).sqrt());

    let manifold = |set| Manifold::new(set, 5, Arithmetic::F64).unwrap();
    let got = fidelity(&manifold(&left), &manifold(&other), FidelityOptions::default()).unwrap();
    assert!((got.density - 1.0).abs() < 0.1, "{got:?}");
    // 1 − 2⁻ᵏ: each of the k + 1 nearest others is data or a sample with equal probability.
    assert!((got.coverage - (1.0 - 0.5_f64.powi(5))).abs() < 0.02, "{got:?}");
}

#[test]
fn kernel_distances_are_reproduced_by_their_seed() {
    let (left, right) = (cloud(1, 300, 0.0), cloud(2, 200, 0.5));
    let of = |seed| kid(&left, &right, &KidOptions { subsets: 5, subset_size: 50, seed }).unwrap();
    assert_eq!(of(4), of(4));
    assert_ne!(of(4), of(5));
}

#[test]
fn sets_of_different_extractors_are_not_compared() {
    let (narrow, wide) = (cloud(1, 20, 0.0), Features::from_rows(6, normal(1, 20, 6)).unwrap());
    let message = |fault: ddpm_measures::Error| {
        assert!(fault.to_string().contains("5 features per row, the other 6"));
    };
    let gaussian = |features| Statistics::of(features).unwrap().gaussian().unwrap();
    message(frechet_distance(&gaussian(&narrow), &gaussian(&wide)).unwrap_err());
    message(kid(&narrow, &wide, &KidOptions::default()).unwrap_err());
    message(sliced_wasserstein(&narrow, &wide, &SlicedOptions::default()).unwrap_err());
    let manifold = |set| Manifold::new(set, 5, Arithmetic::F64).unwrap();
    let fault = fidelity(&manifold(&narrow), &manifold(&wide), FidelityOptions::default());
    message(fault.unwrap_err());
}

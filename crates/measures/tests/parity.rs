//! Compares with other programs on the same features: scipy, numpy, torch, prdc, torch-fidelity and
//! ddpm-torch. `parity/README.md` explains how their numbers were made.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ddpm_measures::{
    Arithmetic, ClassRows, Features, Fidelity, FidelityOptions, Gaussian, HistogramKl, Manifold,
    Order, Statistics, classifier_score, fidelity, frechet_distance, histogram_kl, polynomial_mmd2,
    sliced_wasserstein_along,
};
use safetensors::SafeTensors;
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    mean: Vec<f64>,
    variance: Vec<f64>,
    frechet: Vec<Frechet>,
    kid: Kid,
    neighbours: Vec<Neighbours>,
    binary16: Vec<Neighbours>,
    sliced: Sliced,
    histogram: Histogram,
    classifier_score: Scores,
}

#[derive(Deserialize)]
struct Scores {
    mean: f64,
    stdev: f64,
    mean_177_in_7: f64,
}

#[derive(Deserialize)]
struct Frechet {
    n: usize,
    m: usize,
    sqrtm: Option<f64>,
    eigh: f64,
    nuclear: f64,
}

#[derive(Deserialize)]
struct Kid {
    numpy: f64,
    torch_fidelity_180: f64,
}

#[derive(Deserialize)]
struct Neighbours {
    k: usize,
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
    prdc: Option<Shares>,
    real_radii: Vec<f64>,
}

#[derive(Deserialize)]
struct Shares {
    precision: f64,
    recall: f64,
    density: f64,
    coverage: f64,
}

#[derive(Deserialize)]
struct Sliced {
    directions: Vec<f64>,
    first: f64,
    second: f64,
}

#[derive(Deserialize)]
struct Histogram {
    data: Vec<f32>,
    samples: Vec<f32>,
    whole: f64,
    first_400: f64,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("parity/reference.json")).unwrap()
}

/// 200 rows of data and 180 samples, of 64 features.
fn features() -> (Features, Features) {
    let file =
        SafeTensors::deserialize(include_bytes!("parity/metrics_features.safetensors")).unwrap();
    let rows = |name| {
        let (words, _) = file.tensor(name).unwrap().data().as_chunks::<4>();
        let values = words.iter().copied().map(f32::from_le_bytes).collect();
        Features::from_rows(64, values).unwrap()
    };
    (rows("A_real"), rows("B_generated"))
}

fn first(features: &Features, rows: usize) -> Features {
    Features::from_rows(features.dim(), features.values()[..rows * features.dim()].to_vec())
        .unwrap()
}

fn gaussian(features: &Features) -> Gaussian {
    Statistics::of(features).unwrap().gaussian().unwrap()
}

#[track_caller]
fn assert_close(got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{got} for {want}");
}

#[test]
fn mean_and_variance_equal_numpys() {
    let (real, _) = features();
    let (got, want) = (gaussian(&real), reference());
    got.mean().iter().zip(&want.mean).for_each(|(&got, &want)| assert_close(got, want, 1e-15));
    let variances = got.covariance().iter().step_by(65);
    variances.zip(&want.variance).for_each(|(&got, &want)| assert_close(got, want, 1e-15));
}

#[test]
fn frechet_agrees_with_all_other_ways_to_compute_it() {
    let (real, generated) = features();
    for case in reference().frechet {
        let (left, right) = (gaussian(&first(&real, case.n)), gaussian(&first(&generated, case.m)));
        let got = frechet_distance(&left, &right).unwrap();
        // From the features themselves, without the squares of a covariance. The remaining
        // difference is the root of the rounding of the covariances' zero eigenvalues.
        assert_close(got, case.nuclear, 1e-11);
        // With fewer rows than features, the other two take roots of rounding errors.
        let tolerance = if case.n.min(case.m) > 64 { 1e-11 } else { 2e-6 };
        assert_close(got, case.eigh, tolerance);
        // scipy finds no root at all for the last case.
        case.sqrtm.inspect(|&sqrtm| assert_close(got, sqrtm, tolerance));
    }
}

#[test]
fn the_classifier_score_equals_numpys_also_in_uneven_parts() {
    let (_, generated) = features();
    let want = reference().classifier_score;
    let got = classifier_score(&generated, ClassRows::Logits, 10).unwrap();
    assert_close(got.mean, want.mean, 1e-12);
    assert_close(got.stdev, want.stdev, 1e-12);
    let uneven = classifier_score(&first(&generated, 177), ClassRows::Logits, 7).unwrap();
    assert_close(uneven.mean, want.mean_177_in_7, 1e-12);
}

#[test]
fn frechet_equals_ddpm_torchs_numbers() {
    let (real, generated) = features();
    let (left, right) = (gaussian(&real), gaussian(&generated));
    assert_close(frechet_distance(&left, &right).unwrap(), 5.184_435_617_709_66, 1e-11);
    assert_close(frechet_distance(&left, &left).unwrap(), 0.0, 1e-12);
    let (left, right) = (gaussian(&first(&real, 40)), gaussian(&first(&generated, 40)));
    // Rounding of ddpm-torch, see above.
    assert_close(frechet_distance(&left, &right).unwrap(), 18.631_721_837_007_348, 1e-6);

    let left = [1.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 3.0];
    let right = [2.0, 0.3, 0.0, 0.3, 1.0, 0.0, 0.0, 0.0, 0.5];
    let left = Gaussian::new(vec![0.0, 1.0, 2.0], left.to_vec()).unwrap();
    let right = Gaussian::new(vec![0.5, 0.0, 2.0], right.to_vec()).unwrap();
    assert_close(frechet_distance(&left, &right).unwrap(), 2.675_934_163_985_111_5, 1e-13);
}

#[test]
fn kernel_distance_equals_those_of_numpy_and_torch_fidelity() {
    let ((real, generated), want) = (features(), reference().kid);
    assert_close(polynomial_mmd2(&real, &generated).unwrap(), want.numpy, 1e-13);
    let equal = polynomial_mmd2(&first(&real, 180), &generated).unwrap();
    assert_close(equal, want.torch_fidelity_180, 1e-13);
}

fn fidelities(k: usize, arithmetic: Arithmetic) -> (Fidelity, Vec<f64>) {
    let (real, generated) = features();
    // The manifold knows more neighbours than requested, which must not matter.
    let real = Manifold::new(&real, 5, arithmetic).unwrap();
    let generated = Manifold::new(&generated, 5, arithmetic).unwrap();
    let options = FidelityOptions { precision_neighbours: k, density_neighbours: k };
    (fidelity(&real, &generated, options).unwrap(), real.radii(k).unwrap())
}

#[test]
fn shares_in_balls_equal_the_definitions_and_prdcs() {
    for want in reference().neighbours {
        let (got, radii) = fidelities(want.k, Arithmetic::F64);
        let prdc = want.prdc.unwrap();
        assert_eq!((got.precision, got.recall), (want.precision, want.recall), "k = {}", want.k);
        assert_eq!((got.precision, got.recall), (prdc.precision, prdc.recall), "k = {}", want.k);
        assert_close(got.density, want.density, 1e-15);
        assert_close(got.density, prdc.density, 1e-15);
        assert_eq!((got.coverage, got.coverage), (want.coverage, prdc.coverage));
        radii.iter().zip(&want.real_radii).for_each(|(&got, &want)| assert_close(got, want, 1e-12));
    }
}

#[test]
fn binary16_shares_equal_those_of_torch_in_half_precision() {
    for want in reference().binary16 {
        let (got, radii) = fidelities(want.k, Arithmetic::F16);
        assert_eq!((got.precision, got.recall), (want.precision, want.recall), "k = {}", want.k);
        assert_close(got.density, want.density, 1e-15);
        assert_eq!(got.coverage, want.coverage);
        assert_eq!(radii, want.real_radii);
    }
}

#[test]
fn precision_and_recall_equal_ddpm_torchs_with_and_without_its_rounding() {
    for (k, half, exact, recall) in [
        (1, 0.244_444_444_775_581_36, 0.233_333_333_333_333_33, 0.8),
        (3, 0.455_555_558_204_650_9, 0.45, 0.92),
        (5, 0.566_666_662_693_023_7, 0.566_666_666_666_666_7, 0.95),
    ] {
        // The means of ddpm-torch are f32.
        let got = fidelities(k, Arithmetic::F16).0;
        assert_close(got.precision, half, 3e-8);
        assert_close(got.recall, recall, 3e-8);
        let got = fidelities(k, Arithmetic::F64).0;
        assert_eq!((got.precision, got.recall), (exact, recall));
    }
}

#[test]
fn sliced_distances_equal_scipys_along_the_same_directions() {
    let ((real, generated), want) = (features(), reference().sliced);
    let distance =
        |order| sliced_wasserstein_along(&real, &generated, &want.directions, order).unwrap();
    assert_close(distance(Order::First), want.first, 1e-13);
    assert_close(distance(Order::Second), want.second, 1e-13);
}

#[test]
fn histogram_divergence_equals_numpys() {
    let want = reference().histogram;
    let data = Features::from_rows(2, want.data).unwrap();
    let samples = Features::from_rows(2, want.samples).unwrap();
    let whole = HistogramKl::new(&data).unwrap().kl(&samples).unwrap();
    assert_close(whole, want.whole, 1e-12);
    let part = HistogramKl::of_first(&data, 400).unwrap().kl(&samples).unwrap();
    assert_close(part, want.first_400, 1e-12);
}

#[test]
fn histogram_divergence_equals_ddpm_torchs() {
    #[derive(Deserialize)]
    struct Toy {
        hist_gen_counts: Vec<Vec<f64>>,
        hist_true_counts: Vec<Vec<f64>>,
        kl_true_gen: f64,
    }
    let toy: Toy = serde_json::from_str(include_str!("parity/toy_hist_kl.json")).unwrap();
    let got = histogram_kl(&toy.hist_true_counts.concat(), &toy.hist_gen_counts.concat());
    assert_close(got, toy.kl_true_gen, 1e-14);
}

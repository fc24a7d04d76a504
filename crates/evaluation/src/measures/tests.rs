use ddpm_measures::{Gaussian, StatisticsFile};

use super::*;

fn rows(count: usize, dim: usize, shift: f32) -> FeatureSet {
    let value = |i: usize| (i * 7919 % 1009) as f32 / 1009.0 + shift;
    FeatureSet::from_rows(Features::from_rows(dim, (0..count * dim).map(value).collect()).unwrap())
}

fn compare_only(
    samples: &FeatureSet,
    reference: &FeatureSet,
    wanted: &[Measure],
) -> Result<Results, EvaluateError> {
    let options = MeasureOptions { wanted: Some(wanted.to_vec()), ..MeasureOptions::default() };
    compare(samples, reference, &options)
}

#[test]
fn a_set_is_no_distance_from_itself_and_as_dense_as_itself() {
    let set = rows(40, 3, 0.0);
    let results = compare(&set, &set, &MeasureOptions::default()).unwrap();
    assert!(results.frechet_distance.unwrap() < 1e-9);
    let PrecisionRecall { precision, recall, neighbours, .. } = results.precision_recall.unwrap();
    assert_eq!((precision, recall, neighbours), (1.0, 1.0, 3));
    let DensityCoverage { density, coverage, neighbours, .. } = results.density_coverage.unwrap();
    assert_eq!((coverage, neighbours), (1.0, 5));
    // Each row is in its own ball and in those of its neighbours.
    assert!((0.8..1.2).contains(&density), "{density}");
    let kid = results.kid.unwrap();
    assert_eq!((kid.subsets, kid.subset_size, kid.standard_error), (1, 40, None));
    assert!(results.left_out.is_empty() && results.fid.is_none());
}

#[test]
fn only_inceptions_features_make_a_fid() {
    let (set, moved) = (rows(40, 3, 0.0), rows(40, 3, 1.0));
    let refusal = compare_only(&set, &moved, &[Measure::Fid]).unwrap_err().to_string();
    assert!(refusal.starts_with("--measures fid: FID is") && refusal.contains("ask for frechet"));
    let inception = MeasureOptions { inception: true, ..MeasureOptions::default() };
    let named = compare(&set, &moved, &inception).unwrap();
    assert_eq!(named.frechet_distance, None);
    assert!((named.fid.unwrap() - 3.0).abs() < 1e-5, "a move by 1 in three directions");
}

#[test]
fn only_inceptions_classes_make_an_inception_score() {
    // Twenty samples, sure of two classes in turn.
    let sure: Vec<f32> =
        (0..20).flat_map(|i| if i % 2 == 0 { [9e3, 0.0, 0.0] } else { [0.0, 9e3, 0.0] }).collect();
    let (set, reference) =
        (FeatureSet::from_rows(Features::from_rows(3, sure).unwrap()), rows(40, 3, 0.0));
    let logits = MeasureOptions { classes: Some(Classes::Logits), ..MeasureOptions::default() };
    let results = compare(&set, &reference, &logits).unwrap();
    assert_eq!(results.classifier_score, Some(ClassScore { mean: 2.0, stdev: 0.0, splits: 10 }));
    assert_eq!(results.inception_score, None);
    let inception = MeasureOptions { inception_classes: true, ..logits.clone() };
    let results = compare(&set, &reference, &inception).unwrap();
    assert_eq!((results.classifier_score, results.inception_score.unwrap().mean), (None, 2.0));
    let wanted = |measure| Some(vec![measure]);
    let refused =
        |options: MeasureOptions| compare(&set, &reference, &options).unwrap_err().to_string();
    let named =
        refused(MeasureOptions { wanted: wanted(Measure::InceptionScore), ..logits.clone() });
    assert!(named.contains("ask for classifier-score"), "{named}");
    let plain = refused(MeasureOptions {
        wanted: wanted(Measure::ClassifierScore),
        ..MeasureOptions::default()
    });
    assert!(plain.contains("needs what a classifier says"), "{plain}");
    let probabilities = MeasureOptions { classes: Some(Classes::Probabilities), ..logits };
    let none =
        refused(MeasureOptions { wanted: wanted(Measure::ClassifierScore), ..probabilities });
    assert!(none.contains("row 0 is not class probabilities"), "{none}");
}

#[test]
fn what_needs_rows_is_left_out_of_statistics_or_refused_if_asked_for() {
    let gaussian =
        Gaussian::new(vec![0.0; 3], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0].to_vec());
    let file = StatisticsFile { gaussian: gaussian.unwrap(), count: Some(9), digest: None };
    let (set, reference) = (rows(40, 3, 0.0), FeatureSet::from_statistics(file));
    let results = compare(&set, &reference, &MeasureOptions::default()).unwrap();
    assert!(results.frechet_distance.is_some());
    let left: Vec<_> = results.left_out.iter().map(|left| left.measure).collect();
    assert_eq!(left, ["kid", "precision-recall", "density-coverage"]);
    let refusal = compare_only(&set, &reference, &[Measure::Kid]).unwrap_err().to_string();
    assert!(refusal.contains("kid: it needs rows"), "{refusal}");
}

#[test]
fn too_few_rows_and_other_features_are_refused_by_name() {
    let few = rows(4, 3, 0.0);
    let results = compare(&few, &few, &MeasureOptions::default()).unwrap();
    assert!(results.precision_recall.is_some(), "four rows have three neighbours");
    assert_eq!(results.left_out[0].measure, "density-coverage");
    assert!(results.left_out[0].reason.contains("at least 6 rows"), "{:?}", results.left_out);
    let other =
        compare(&few, &rows(4, 5, 0.0), &MeasureOptions::default()).unwrap_err().to_string();
    assert!(other.contains("3 features each, the reference 5"), "{other}");
    let kl = compare_only(&few, &few, &[Measure::Kl]).unwrap_err().to_string();
    assert!(kl.contains("points of the plane, not of 3"), "{kl}");
}

#[test]
fn subsets_have_a_standard_error() {
    let (samples, reference) = (rows(2500, 3, 0.1), rows(2200, 3, 0.0));
    let kid = compare_only(&samples, &reference, &[Measure::Kid]).unwrap().kid.unwrap();
    assert_eq!((kid.subsets, kid.subset_size), (100, 1000));
    assert!((kid.standard_error.unwrap() - kid.stdev.unwrap() / 10.0).abs() < 1e-15);
    assert!(kid.mean > 5.0 * kid.standard_error.unwrap(), "{kid:?}");
    let few = compare_only(&rows(1500, 3, 0.1), &reference, &[Measure::Kid]).unwrap().kid.unwrap();
    assert!(few.stdev.is_some() && few.standard_error.is_none(), "{few:?}");
    let other =
        compare(&samples, &reference, &MeasureOptions { seed: 1, ..MeasureOptions::default() });
    assert_ne!(other.unwrap().kid.unwrap().mean, kid.mean, "other subsets");
}

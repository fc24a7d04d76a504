//! Procedural points.

use super::*;

#[test]
fn centres_and_normalisers_are_the_reference_s() {
    let text = fs::read_to_string(fixture("reference/toy.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_str(&text).unwrap();
    let close = |value: &serde_json::Value, expected: f64| {
        (value.as_f64().unwrap() - expected).abs() < 1e-12
    };

    let stdev = &reference["stdev"];
    assert!(close(&stdev["gaussian8"], ToyKind::Gaussian8.scale()[0]));
    assert!(close(&stdev["gaussian25"], ToyKind::Gaussian25.scale()[0]));
    assert!(
        (0..2).all(|axis| close(&stdev["swissroll"][0][axis], ToyKind::SwissRoll.scale()[axis]))
    );
    let centres = ToyKind::Gaussian8.mode_centres();
    assert_eq!(centres.len(), 8);
    for (mode, centre) in centres.into_iter().enumerate() {
        assert!(
            (0..2).all(|axis| close(&reference["gaussian8_first_means"][mode][axis], centre[axis]))
        );
    }
}

use super::*;

fn plain() -> Preprocessing {
    Preprocessing {
        size: None,
        range: [0.0, 255.0],
        mean: None,
        std: None,
        ..Preset::Vgg16.preprocessing()
    }
}

fn applied(preprocessing: &Preprocessing, shape: [usize; 3], pixels: &[u8]) -> Vec<f32> {
    let tensor = preprocessing.apply(shape, pixels).unwrap();
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

fn assert_close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{got:?}");
    let close = got.iter().zip(want).all(|(got, want)| (got - want).abs() < 1e-4);
    assert!(close, "{got:?} for {want:?}");
}

#[test]
fn a_preset_reads_back_from_its_json_and_only_inception_makes_a_fid() {
    for preset in [Preset::InceptionPool3, Preset::InceptionLogits, Preset::Vgg16, Preset::Dinov2] {
        let preprocessing = preset.preprocessing();
        let text = serde_json::to_string(&preprocessing).unwrap();
        assert_eq!(Preprocessing::parse(&text).unwrap(), preprocessing);
        assert_eq!(preprocessing.is_inception(), preset == Preset::InceptionPool3);
        assert_eq!(preprocessing.is_inception_classifier(), preset == Preset::InceptionLogits);
    }
    let small = Preprocessing { dimension: 64, ..Preset::InceptionPool3.preprocessing() };
    assert!(!small.is_inception(), "FID has 2048 features");
}

#[test]
fn what_is_not_of_the_schema_is_refused_by_name() {
    let with = |change: &str, to: &str| {
        let text = serde_json::to_string(&Preset::Vgg16.preprocessing()).unwrap();
        assert!(text.contains(change), "{text}");
        Preprocessing::parse(&text.replace(change, to)).unwrap_err()
    };
    assert!(with("\"version\":1", "\"version\":2").contains("version is 2"));
    assert!(with("\"filter\":\"bilinear\"", "\"filter\":\"nearest\"").contains("nearest"));
    assert!(with("\"range\"", "\"crop\":1,\"range\"").contains("crop"));
    assert!(with("[224,224]", "[0,224]").contains("size"));
    assert!(with("4096", "0").contains("dimension"));
    assert!(with("[0.0,1.0]", "[1.0,1.0]").contains("range"));
    assert!(with("0.229", "-0.229").contains("std must be above 0"));
}

#[test]
fn pixels_become_the_range_less_mean_over_std() {
    let imagenet = Preprocessing { size: None, ..Preset::Dinov2.preprocessing() };
    let got = applied(&imagenet, [3, 1, 1], &[255, 0, 51]);
    assert_close(&got, &[0.515 / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]);
    let inception = Preprocessing { size: None, ..Preset::InceptionPool3.preprocessing() };
    assert_close(&applied(&inception, [3, 1, 1], &[255, 0, 51]), &[1.0, -1.0, -0.6]);
}

#[test]
fn grey_becomes_three_channels_and_layouts_differ_in_order() {
    assert_eq!(applied(&plain(), [1, 1, 2], &[7, 9]), [7.0, 9.0, 7.0, 9.0, 7.0, 9.0]);
    let last = Preprocessing { layout: Layout::Nhwc, ..plain() };
    assert_eq!(applied(&last, [3, 1, 2], &[1, 2, 3, 4, 5, 6]), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
}

#[test]
fn filters_weigh_neighbours_as_they_say() {
    let shrunk = |filter, antialias| {
        let to = Preprocessing { size: Some([1, 2]), filter, antialias, ..plain() };
        applied(&to, [1, 1, 8], &[0, 0, 0, 240, 0, 0, 0, 0])[..2].to_vec()
    };
    // Without antialiasing two pixels count, at 1.5 and 5.5 of 0..8.
    assert_close(&shrunk(Filter::Bilinear, false), &[0.0, 0.0]);
    // A triangle of half-width 4 around 1.5, cut at the border: 1 − |i − 1.5| / 4 for 0..=5.
    let weights: Vec<f32> = (0..6u8).map(|i| 1.0 - (f32::from(i) - 1.5).abs() / 4.0).collect();
    let left = 240.0 * weights[3] / weights.iter().sum::<f32>();
    // Around 5.5 the same triangle mirrored, for 2..=7.
    let right = 240.0 * (1.0 - 2.5 / 4.0) / weights.iter().sum::<f32>();
    assert_close(&shrunk(Filter::Bilinear, true), &[left, right]);
    // Cubic convolution with a = -0.75, between the pixels at 1 and 2: 0 and 3 weigh −0.09375.
    assert_close(&shrunk(Filter::Bicubic, false), &[0.0, 0.0]);
    let bump = |filter| {
        let to = Preprocessing { size: Some([1, 1]), filter, ..plain() };
        let to = Preprocessing { antialias: false, ..to };
        applied(&to, [1, 1, 4], &[100, 200, 200, 100])[0]
    };
    assert_close(&[bump(Filter::Bilinear)], &[200.0]);
    assert_close(&[bump(Filter::Bicubic)], &[200.0 * 1.1875 - 100.0 * 0.1875]);
}

#[test]
fn another_preprocessing_is_another_digest() {
    assert_eq!(plain().digest(), plain().digest());
    assert_ne!(plain().digest(), Preprocessing { antialias: false, ..plain() }.digest());
}

#[test]
fn a_description_is_written_once_and_never_over_another() {
    let folder = tempfile::tempdir().unwrap();
    let extractor = folder.path().join("features.onnx");
    let message = Preprocessing::read_beside(&extractor).unwrap_err().to_string();
    assert!(message.contains("features.onnx.json") && message.contains("--preset"), "{message}");
    let inception = Preset::InceptionPool3.preprocessing();
    inception.write_beside(&extractor).unwrap();
    inception.write_beside(&extractor).unwrap();
    assert_eq!(Preprocessing::read_beside(&extractor).unwrap(), inception);
    let other = Preset::Vgg16.preprocessing().write_beside(&extractor).unwrap_err();
    assert!(other.to_string().contains("differently"), "{other}");
    assert_eq!(Preprocessing::read_beside(&extractor).unwrap(), inception);
}

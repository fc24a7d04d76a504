//! MNIST's format: real digits, and damaged files.

use super::*;

const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

fn digits() -> Source {
    Source::Idx(fixture("digits"))
}

/// Unpacks the digits into `folder` of a temporary folder.
fn unpacked(folder: &str) -> TempDir {
    let dir = tempdir().unwrap();
    fs::create_dir_all(dir.path().join(folder)).unwrap();
    for file in FILES {
        let packed = fs::File::open(fixture("digits").join(file).with_extension("gz")).unwrap();
        let mut plain = fs::File::create(dir.path().join(folder).join(file)).unwrap();
        std::io::copy(&mut GzDecoder::new(packed), &mut plain).unwrap();
    }
    dir
}

/// Loads unpacked digits after `edit` has changed one file, and checks that the message names it.
fn refusal_after(file: &str, edit: impl FnOnce(&mut Vec<u8>)) -> String {
    let dir = unpacked("");
    let path = dir.path().join(file);
    let mut bytes = fs::read(&path).unwrap();
    edit(&mut bytes);
    fs::write(&path, bytes).unwrap();
    let message = refusal(&Source::Idx(dir.path().to_path_buf()), &LoadOptions::default());
    assert!(message.contains(file), "{message}");
    message
}

#[test]
fn sizes_come_from_the_header() {
    let train = load(&digits(), &LoadOptions::default()).unwrap();
    assert_eq!(train.len(), 1500);
    assert_eq!(train.kind(), ItemShape::Images { channels: 1, height: 8, width: 8 });
    assert!(!train.flips(), "a mirrored digit is no digit");
    assert_eq!(load(&digits(), &test_split()).unwrap().len(), 297);
}

#[test]
fn labels_are_those_of_the_1797_digits() {
    let splits =
        [LoadOptions::default(), test_split()].map(|options| load(&digits(), &options).unwrap());
    assert_eq!(
        splits[0].class_names().unwrap(),
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
    );
    let total: Vec<usize> = histogram(&splits[0])
        .into_iter()
        .zip(histogram(&splits[1]))
        .map(|(train, test)| train + test)
        .collect();
    // The class counts stated by the UCI repository and scikit-learn's `load_digits`.
    assert_eq!(total, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
}

#[test]
fn plain_files_equal_gzipped_ones_in_every_layout() {
    let gzipped = load(&digits(), &LoadOptions::default()).unwrap();
    for folder in ["", "raw", "MNIST/raw"] {
        let dir = unpacked(folder);
        let plain = load(&Source::Idx(dir.path().to_path_buf()), &LoadOptions::default()).unwrap();
        let same = |i| plain.pixels(i) == gzipped.pixels(i) && plain.label(i) == gzipped.label(i);
        assert!(plain.len() == 1500 && (0..1500).all(same), "{folder}");
    }
}

#[test]
fn pictures_are_resized_only_when_their_size_differs() {
    let [kept, resized] = [8, 16].map(|size| load(&digits(), &sized(size)).unwrap());
    let raw = load(&digits(), &LoadOptions::default()).unwrap();
    assert_eq!(kept.pixels(3), raw.pixels(3));
    assert_eq!(resized.kind(), ItemShape::Images { channels: 1, height: 16, width: 16 });
}

#[test]
fn a_folder_without_the_files_is_refused() {
    let dir = tempdir().unwrap();
    let message = refusal(&Source::Idx(dir.path().to_path_buf()), &LoadOptions::default());
    assert!(message.contains("train-images-idx3-ubyte.gz"), "{message}");
}

#[test]
fn a_truncated_file_is_refused_by_name() {
    let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes.truncate(5000));
    assert!(message.contains("truncated: 4984 bytes of the 96000"), "{message}");
    let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes.truncate(9));
    assert!(message.contains("header is cut short"), "{message}");
}

#[test]
fn a_file_with_more_than_it_announces_is_refused() {
    let message = refusal_after("train-labels-idx1-ubyte", |bytes| bytes.push(0));
    assert!(message.contains("bytes after the 1500"), "{message}");
}

#[test]
fn a_truncated_gzip_stream_is_refused() {
    let packed = fs::read(fixture("digits/train-images-idx3-ubyte.gz")).unwrap();
    let message =
        refusal_after("train-images-idx3-ubyte", |bytes| *bytes = packed[..20_000].to_vec());
    assert!(message.contains("cannot be unpacked"), "{message}");
}

#[test]
fn a_wrong_magic_number_is_refused() {
    let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes[3] = 1);
    assert!(message.contains("0x00000801") && message.contains("0x00000803"), "{message}");
}

#[test]
fn impossible_sizes_are_refused() {
    let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes[8..16].fill(0xff));
    assert!(message.contains("truncated") || message.contains("impossible"), "{message}");
    let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes[8..12].fill(0));
    assert!(message.contains("impossible sizes"), "{message}");
}

#[test]
fn pictures_and_labels_must_have_equal_counts() {
    let message = refusal_after("train-labels-idx1-ubyte", |bytes| {
        bytes.pop();
        bytes[4..8].copy_from_slice(&1499_u32.to_be_bytes());
    });
    assert!(message.contains("1499 labels for the 1500 pictures"), "{message}");
}

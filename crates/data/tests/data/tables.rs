//! Parquet files written by `pyarrow`, in Hugging Face's layout.

use super::*;

const GREEN: [u8; 3] = [0, 255, 0];
const GREY: [u8; 3] = [80; 3];

fn source(name: &str) -> Source {
    Source::Parquet(fixture("data/parquet").join(name))
}

/// Creates a folder with copies of some tables.
fn tables(names: &[&str]) -> TempDir {
    let pairs: Vec<_> = names.iter().map(|name| (*name, format!("parquet/{name}"))).collect();
    let pairs: Vec<_> = pairs.iter().map(|(name, from)| (*name, from.as_str())).collect();
    folder_of(&pairs)
}

const SHARDS: [&str; 4] = [
    "train-00000-of-00002.parquet",
    "train-00001-of-00002.parquet",
    "test-00000-of-00001.parquet",
    "validation-00000-of-00001.parquet",
];

fn with(split: Split, on_broken: OnBroken) -> LoadOptions {
    LoadOptions { split, on_broken, ..Default::default() }
}

fn colours(set: &Dataset) -> Vec<[u8; 3]> {
    (0..set.len()).map(|i| pixel(set, i, 1, 1)).collect()
}

fn labels(set: &Dataset) -> Vec<usize> {
    (0..set.len()).filter_map(|i| set.label(i)).collect()
}

#[test]
fn shards_of_a_split_are_joined_in_order_with_their_class_names() {
    let dir = tables(&SHARDS);
    let set = load(&Source::Parquet(dir.path().to_path_buf()), &LoadOptions::default()).unwrap();
    assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 4, width: 4 });
    assert_eq!(colours(&set), [RED, GREEN, BLUE, GREY, GREY, RED]);
    assert_eq!(labels(&set), [0, 1, 1, 0, 1, 0]);
    assert_eq!(
        (set.class_names().unwrap(), set.flips()),
        (&["cat".to_owned(), "dog".to_owned()][..], true)
    );
}

#[test]
fn every_codec_that_writers_choose_is_read_from_a_single_file() {
    for (name, codec) in
        [(SHARDS[0], "snappy"), (SHARDS[1], "zstd"), (SHARDS[2], "gzip"), (SHARDS[3], "none")]
    {
        let set = load(&source(name), &with(Split::All, OnBroken::Skip)).unwrap();
        assert!(!set.skipped().iter().any(|(_, reason)| reason.contains("decode")), "{codec}");
    }
}

#[test]
fn a_compression_that_is_not_built_in_is_no_broken_download() {
    for (name, codec) in [("brotli", "Brotli"), ("lz4", "LZ4")] {
        let path = fixture("data/parquet_codecs").join(format!("{name}.parquet"));
        let message = refusal(&Source::Parquet(path), &LoadOptions::default());
        let expected = format!("compressed with {codec}, which is not built in; write it again");
        assert!(message.contains(&expected) && !message.contains("fetch"), "{message}");
    }
}

#[test]
fn rows_without_picture_or_label_are_broken_and_named() {
    let dir = tables(&SHARDS);
    let source = Source::Parquet(dir.path().to_path_buf());
    let message = refusal(&source, &with(Split::Valid, OnBroken::Refuse));
    assert!(
        message.contains("3 of 4 pictures")
            && message.contains("validation-00000-of-00001.parquet/row 1"),
        "{message}"
    );
    let set = load(&source, &with(Split::Valid, OnBroken::Skip)).unwrap();
    let reasons: Vec<_> = set.skipped().iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "it has no picture",
            "it has no label, and other rows have; `--no-labels` uses none",
            "its label is 2, and labels are in 0..2",
        ]
    );
    assert_eq!((colours(&set), labels(&set)), (vec![BLUE], vec![1]));

    let unlabelled =
        LoadOptions { labels: LabelSource::None, ..with(Split::Valid, OnBroken::Skip) };
    let set = load(&source, &unlabelled).unwrap();
    assert_eq!((colours(&set), set.class_names()), (vec![BLUE, RED, GREEN], None));
}

#[test]
fn a_test_set_whose_labels_are_secret_has_none() {
    let set = load(&source(SHARDS[2]), &with(Split::Test, OnBroken::Skip)).unwrap();
    assert_eq!((colours(&set), set.class_names()), (vec![BLUE], None));
}

#[test]
fn other_columns_of_pictures_are_found() {
    let img = load(&source("plain.parquet"), &LoadOptions::default()).unwrap();
    assert_eq!((colours(&img), img.class_names()), (vec![RED, BLUE], None));
    let bytes = load(&source("binary.parquet"), &LoadOptions::default()).unwrap();
    assert_eq!((colours(&bytes), labels(&bytes)), (vec![RED, BLUE, RED], vec![2, 0, 2]));
    assert_eq!(bytes.class_names().unwrap(), ["0", "1", "2"]);
}

#[test]
fn labels_that_are_words_are_the_names_of_their_classes() {
    let set = load(&source("words.parquet"), &LoadOptions::default()).unwrap();
    assert_eq!((colours(&set), labels(&set)), (vec![RED, BLUE], vec![0, 1]));
    assert_eq!(set.class_names().unwrap(), ["cat", "dog"]);
    let unlabelled = LoadOptions { labels: LabelSource::None, ..Default::default() };
    assert_eq!(load(&source("words.parquet"), &unlabelled).unwrap().class_names(), None);
}

#[test]
fn shards_that_disagree_on_labels_are_refused() {
    for other in ["plain.parquet", "binary.parquet"] {
        let dir = tables(&[SHARDS[0], other]);
        let message =
            refusal(&Source::Parquet(dir.path().to_path_buf()), &with(Split::All, OnBroken::Skip));
        assert!(message.contains("other files") && message.contains("--no-labels"), "{message}");
    }
}

#[test]
fn a_file_cut_anywhere_is_refused_by_name() {
    let whole = fs::read(fixture("data/parquet").join(SHARDS[0])).unwrap();
    for share in [0, 1, 3, 5, 7] {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("train.parquet"), &whole[..whole.len() * share / 8]).unwrap();
        let message = refusal(&Source::Parquet(dir.path().to_path_buf()), &LoadOptions::default());
        assert!(message.contains("train.parquet") && message.contains("as Parquet"), "{message}");
    }
}

#[test]
fn a_file_damaged_anywhere_is_refused_or_read_and_ends_nothing_else() {
    let whole = fs::read(fixture("data/parquet").join(SHARDS[0])).unwrap();
    let dir = tables(&[SHARDS[1]]);
    let (good, path) = (2, dir.path().join("train-00000-of-00002.parquet"));
    // The directory of the file, where each byte decides about others.
    for at in whole.len() - 600..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] = 0xff;
        fs::write(&path, bytes).unwrap();
        // Labels that disagree are refused, whatever the reason.
        let options = LoadOptions { labels: LabelSource::None, ..with(Split::All, OnBroken::Skip) };
        let set = load(&Source::Parquet(dir.path().to_path_buf()), &options).unwrap();
        assert!(set.len() >= good, "{at}: {:?}", set.skipped());
    }
}

#[test]
fn a_split_without_files_is_refused() {
    let dir = tables(&SHARDS[..2]);
    let folder = Source::Parquet(dir.path().to_path_buf());
    let message = refusal(&folder, &test_split());
    assert!(message.contains("of this split"), "{message}");
    let message = refusal(&source(SHARDS[0]), &test_split());
    assert!(message.contains("of another split"), "{message}");
    let absent = refusal(&Source::Parquet("does/not/exist".into()), &test_split());
    assert!(absent.contains("no such folder"), "{absent}");
    let nothing = tempdir().unwrap();
    let message = refusal(&Source::Parquet(nothing.path().to_path_buf()), &test_split());
    assert!(message.contains("no .parquet file"), "{message}");
}

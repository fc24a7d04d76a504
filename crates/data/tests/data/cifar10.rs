//! CIFAR-10 in both versions: records made here, pickles written by Python 2.

use super::*;

/// Byte `at` of picture `number`, in file order.
fn byte(number: usize, at: usize) -> u8 {
    ((number * 31 + at * 7) % 256) as u8
}

/// Creates five train batches and a test batch of two records each; record r has label r mod 10.
fn batches(folder: &str) -> TempDir {
    let dir = tempdir().unwrap();
    let folder = dir.path().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let files = (1..=5).map(|i| format!("data_batch_{i}.bin")).chain(["test_batch.bin".to_owned()]);
    for (file, name) in files.enumerate() {
        let record = |r: usize| {
            let pixels = (0..3072).map(move |at| byte(r, at));
            std::iter::once((r % 10) as u8).chain(pixels)
        };
        fs::write(
            folder.join(name),
            (2 * file..2 * file + 2).flat_map(record).collect::<Vec<u8>>(),
        )
        .unwrap();
    }
    dir
}

fn source(dir: &TempDir) -> Source {
    Source::Cifar10(dir.path().to_path_buf())
}

#[test]
fn records_are_one_label_and_a_chw_picture() {
    for folder in ["", "cifar-10-batches-bin"] {
        let set = load(&source(&batches(folder)), &LoadOptions::default()).unwrap();
        assert_eq!((set.len(), set.flips()), (10, true));
        assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 32, width: 32 });
        for i in 0..10 {
            assert_eq!(set.label(i), Some(i));
            assert!(
                set.pixels(i).unwrap().iter().enumerate().all(|(at, &value)| value == byte(i, at))
            );
        }
    }
}

#[test]
fn the_test_split_is_the_test_batch() {
    let set = load(&source(&batches("")), &test_split()).unwrap();
    assert_eq!((set.len(), set.pixels(0).unwrap()[0]), (2, byte(10, 0)));
}

#[test]
fn class_names_come_from_the_meta_file_if_it_exists() {
    let dir = batches("");
    assert_eq!(load(&source(&dir), &test_split()).unwrap().class_names().unwrap()[9], "truck");
    let names = dir.path().join("batches.meta.txt");
    fs::write(&names, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
    assert_eq!(load(&source(&dir), &test_split()).unwrap().class_names().unwrap()[9], "j");
    fs::write(&names, "a\nb\n").unwrap();
    assert!(refusal(&source(&dir), &test_split()).contains("names 2 classes"));
}

#[test]
fn a_file_that_the_system_fails_to_read_is_refused_with_its_reason() {
    let dir = batches("");
    fs::create_dir(dir.path().join("batches.meta.txt")).unwrap();
    let message = refusal(&source(&dir), &test_split());
    assert!(message.contains("cannot read") && message.contains("batches.meta.txt: "), "{message}");
}

#[test]
fn flips_can_be_switched_off() {
    let options = LoadOptions { flips: Some(false), ..Default::default() };
    assert!(!load(&source(&batches("")), &options).unwrap().flips());
}

#[test]
fn an_incomplete_record_is_refused_by_file() {
    let dir = batches("");
    fs::write(dir.path().join("data_batch_4.bin"), vec![0; 3073 + 1]).unwrap();
    let message = refusal(&source(&dir), &LoadOptions::default());
    assert!(message.contains("data_batch_4.bin") && message.contains("3074 bytes"), "{message}");
}

#[test]
fn a_label_above_nine_is_refused() {
    let dir = batches("");
    fs::write(dir.path().join("test_batch.bin"), [vec![0; 3073], vec![10; 3073]].concat()).unwrap();
    let message = refusal(&source(&dir), &test_split());
    assert!(message.contains("record 1 has label 10"), "{message}");
}

#[test]
fn a_missing_batch_is_refused_by_name() {
    let dir = batches("");
    fs::remove_file(dir.path().join("data_batch_3.bin")).unwrap();
    assert!(refusal(&source(&dir), &LoadOptions::default()).contains("data_batch_3.bin"));
    let empty = tempdir().unwrap();
    assert!(refusal(&source(&empty), &LoadOptions::default()).contains("its .tar.gz"));
}

/// The Python version, as the archive to download.
fn python_archive() -> PathBuf {
    fixture("data/cifar-10-python.tar.gz")
}

/// Unpacks the archive into a folder, after `edit` has changed one file.
fn unpacked(file: &str, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> TempDir {
    let dir = tempdir().unwrap();
    let packed = fs::File::open(python_archive()).unwrap();
    tar::Archive::new(GzDecoder::new(packed)).unpack(dir.path()).unwrap();
    let path = dir.path().join("cifar-10-batches-py").join(file);
    fs::write(&path, edit(fs::read(&path).unwrap())).unwrap();
    dir
}

/// Loads the Python version after an edit of its first batch, and checks that the message names it.
fn refusal_of_batch(edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    let message = refusal(&source(&unpacked("data_batch_1", edit)), &LoadOptions::default());
    assert!(message.contains("data_batch_1"), "{message}");
    message
}

/// Replaces the only occurrence of `from`.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<_> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from)).collect();
    let [at] = places[..] else { panic!("{from:?} occurs at {places:?}") };
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

fn same_pictures(one: &Dataset, other: &Dataset) -> bool {
    one.len() == other.len()
        && one.class_names() == other.class_names()
        && (0..one.len())
            .all(|i| one.pixels(i) == other.pixels(i) && one.label(i) == other.label(i))
}

#[test]
fn the_python_version_equals_the_binary_one_from_folder_and_archive() {
    let dir = unpacked("data_batch_1", |same| same);
    let download = tempdir().unwrap();
    fs::copy(python_archive(), download.path().join("cifar-10-python.tar.gz")).unwrap();
    for options in [LoadOptions::default(), test_split()] {
        let binary = load(&source(&batches("")), &options).unwrap();
        for path in [
            dir.path().to_path_buf(),
            dir.path().join("cifar-10-batches-py"),
            download.path().to_path_buf(),
            python_archive(),
        ] {
            let python = load(&Source::Cifar10(path.clone()), &options).unwrap();
            assert!(same_pictures(&binary, &python), "{}", path.display());
        }
    }
}

#[test]
fn the_binary_archive_is_read_in_place_whatever_it_is_called() {
    let dir = batches("cifar-10-batches-bin");
    let archive = tempdir().unwrap();
    let path = archive.path().join("download");
    let mut tar = tar::Builder::new(fs::File::create(&path).unwrap());
    tar.append_dir_all("cifar-10-batches-bin", dir.path().join("cifar-10-batches-bin")).unwrap();
    tar.finish().unwrap();
    let read = load(&Source::Cifar10(path), &LoadOptions::default()).unwrap();
    assert!(same_pictures(&read, &load(&source(&dir), &LoadOptions::default()).unwrap()));
}

#[test]
fn class_names_of_the_python_version_come_from_its_meta_file() {
    let renamed = unpacked("batches.meta", |bytes| replaced(&bytes, b"truck", b"lorry"));
    let set = load(&source(&renamed), &test_split()).unwrap();
    assert_eq!(set.class_names().unwrap()[9], "lorry");
    let broken = unpacked("batches.meta", |bytes| replaced(&bytes, b"label_names", b"label_nomes"));
    assert!(refusal(&source(&broken), &test_split()).contains("label_names"));
}

#[test]
fn a_pickle_is_read_as_data_and_runs_no_code() {
    // `pickle.loads` would run this as a command; here, objects become plain tuples.
    let command = b"cos\nsystem\n(U\x04exittR.".to_vec();
    let message = refusal_of_batch(|_| command);
    assert!(message.contains("it has no `data`"), "{message}");
}

#[test]
fn a_damaged_pickle_is_refused_by_name() {
    let cut = refusal_of_batch(|bytes| bytes[..3000].to_vec());
    assert!(cut.contains("not a pickle of plain data"), "{cut}");
    let empty = refusal_of_batch(|_| Vec::new());
    assert!(empty.contains("not a pickle of plain data"), "{empty}");
    // The shape (2, 3072) becomes (3, 3072), which does not fit the bytes.
    let shape = |rows| [b'K', 1, b'K', rows, b'M', 0, 12];
    let short = refusal_of_batch(|bytes| replaced(&bytes, &shape(2), &shape(3)));
    assert!(short.contains("array of N rows of 3072 bytes"), "{short}");
    let labels = |label| [b'(', b'K', 0, b'K', label, b'e'];
    let large = refusal_of_batch(|bytes| replaced(&bytes, &labels(1), &labels(10)));
    assert!(large.contains("record 1 has label 10"), "{large}");
    let fewer = refusal_of_batch(|bytes| replaced(&bytes, &labels(1), b"(K\x00e"));
    assert!(fewer.contains("1 labels for 2 pictures"), "{fewer}");
}

#[test]
fn a_damaged_archive_is_refused() {
    let whole = fs::read(python_archive()).unwrap();
    let dir = tempdir().unwrap();
    let path = dir.path().join("cut.tar.gz");
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let message = refusal(&Source::Cifar10(path.clone()), &LoadOptions::default());
    assert!(message.contains("not a complete tar archive"), "{message}");
    fs::write(&path, b"a page that says 404").unwrap();
    let message = refusal(&Source::Cifar10(path), &LoadOptions::default());
    assert!(
        message.contains("not a complete tar archive") || message.contains("in it, nor in"),
        "{message}"
    );
}

#[test]
fn a_file_far_larger_than_any_batch_is_refused_unread() {
    let dir = batches("");
    let huge = fs::File::create(dir.path().join("data_batch_2.bin")).unwrap();
    huge.set_len((64 << 20) + 1).unwrap();
    let message = refusal(&source(&dir), &LoadOptions::default());
    assert!(message.contains("data_batch_2.bin") && message.contains("64 MiB"), "{message}");
}

#[test]
fn there_is_no_validation_split() {
    let options = LoadOptions { split: Split::Valid, ..Default::default() };
    let message = refusal(&source(&batches("")), &options);
    assert!(message.contains("no split valid, only train, test"), "{message}");
}

//! Data is found under the names that other tools give it; else a message lists what is there.

use std::io::Write;

use super::*;

/// Copies a fixture to a path below a new folder.
fn placed(files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    for (place, original) in files {
        let path = dir.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(fixture(original), path).unwrap();
    }
    dir
}

fn digits(dir: &TempDir) -> Source {
    Source::Idx(dir.path().to_path_buf())
}

const IMAGES: &str = "digits/train-images-idx3-ubyte.gz";
const LABELS: &str = "digits/train-labels-idx1-ubyte.gz";

#[test]
fn digits_are_found_under_the_names_of_torchvision_and_kaggle() {
    for [images, labels] in [
        ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
        ["train-images.idx3-ubyte", "train-labels.idx1-ubyte"],
        ["MNIST/raw/train-images-idx3-ubyte.gz", "MNIST/raw/train-labels-idx1-ubyte"],
        ["FashionMNIST/raw/train-images-idx3-ubyte", "FashionMNIST/raw/train-labels-idx1-ubyte"],
        ["KMNIST/raw/train-images-idx3-ubyte.gz", "KMNIST/raw/train-labels-idx1-ubyte.gz"],
        [
            "train-images-idx3-ubyte/train-images-idx3-ubyte",
            "train-labels-idx1-ubyte/train-labels-idx1-ubyte",
        ],
    ] {
        let dir = placed(&[(images, IMAGES), (labels, LABELS)]);
        assert_eq!(load(&digits(&dir), &LoadOptions::default()).unwrap().len(), 1500, "{images}");
    }
}

#[test]
fn mnist_is_preferred_to_its_relatives_and_two_relatives_are_refused() {
    let relative = |name: &str| {
        let images = format!("{name}/raw/train-images-idx3-ubyte.gz");
        [images.clone(), images.replace("images-idx3", "labels-idx1")]
    };
    let sets = ["FashionMNIST", "KMNIST"].map(relative).concat();
    let files: Vec<(&str, &str)> = sets
        .iter()
        .map(|name| (&**name, if name.contains("images") { IMAGES } else { LABELS }))
        .collect();
    let dir = placed(&files);
    let message = refusal(&digits(&dir), &LoadOptions::default());
    assert!(message.contains("several data sets") && message.contains("KMNIST/raw"), "{message}");
    let [images, labels] = relative("MNIST");
    fs::create_dir_all(dir.path().join("MNIST/raw")).unwrap();
    fs::copy(fixture(IMAGES), dir.path().join(images)).unwrap();
    fs::copy(fixture(LABELS), dir.path().join(labels)).unwrap();
    assert_eq!(load(&digits(&dir), &LoadOptions::default()).unwrap().len(), 1500);
}

#[test]
fn pictures_and_labels_come_from_one_folder() {
    let dir = placed(&[
        ("train-images-idx3-ubyte.gz", IMAGES),
        ("MNIST/raw/train-labels-idx1-ubyte.gz", LABELS),
    ]);
    let message = refusal(&digits(&dir), &LoadOptions::default());
    assert!(message.contains("no train-labels-idx1-ubyte"), "{message}");
}

#[test]
fn an_error_lists_what_was_looked_for_and_what_is_there() {
    let dir = placed(&[("mnist.csv", IMAGES), ("train-00000.parquet", IMAGES)]);
    let message = refusal(&digits(&dir), &LoadOptions::default());
    for part in
        ["train-images.idx3-ubyte", "FashionMNIST/raw", "it holds mnist.csv", "parquet:PATH"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    let file = refusal(&Source::Idx(dir.path().join("mnist.csv")), &LoadOptions::default());
    assert!(file.contains("it is a file, not a folder; unpack it"), "{file}");
    let nowhere = refusal(&Source::Idx("does/not/exist".into()), &LoadOptions::default());
    assert!(nowhere.contains("no such folder"), "{nowhere}");

    let batches = refusal(&Source::Cifar10(dir.path().to_path_buf()), &LoadOptions::default());
    assert!(batches.contains("data_batch_1") && batches.contains("mnist.csv"), "{batches}");
    let faces = refusal(&Source::CelebA(tempdir().unwrap().path().to_path_buf()), &test_split());
    assert!(faces.contains("celeba/img_align_celeba") && faces.contains("is empty"), "{faces}");
    let scenes = refusal(&Source::Lsun(dir.path().to_path_buf()), &LoadOptions::default());
    assert!(scenes.contains("no data.mdb") && scenes.contains("mnist.csv"), "{scenes}");
}

#[test]
fn cifar_10_is_found_under_the_names_of_keras_and_in_a_plain_tar() {
    let archive = "data/cifar-10-python.tar.gz";
    let official = placed(&[("cifar-10-python.tar.gz", archive)]);
    let source = |dir: &TempDir| Source::Cifar10(dir.path().to_path_buf());
    let expected = load(&source(&official), &LoadOptions::default()).unwrap().digest();
    let keras = placed(&[("cifar-10-batches-py.tar.gz", archive)]);
    let plain = tempdir().unwrap();
    let mut unpacked = Vec::new();
    let packed = fs::File::open(fixture(archive)).unwrap();
    std::io::Read::read_to_end(&mut GzDecoder::new(packed), &mut unpacked).unwrap();
    fs::write(plain.path().join("cifar-10-python.tar"), &unpacked).unwrap();
    let deeper = tempdir().unwrap();
    tar::Archive::new(&unpacked[..]).unpack(deeper.path().join("cifar-10-python")).unwrap();
    for dir in [keras, plain, deeper] {
        let set = load(&source(&dir), &LoadOptions::default()).unwrap();
        assert_eq!(set.digest(), expected);
    }
    let xz = tempdir().unwrap();
    fs::write(xz.path().join("cifar-10-python.tar.gz"), b"\xfd7zXZ\0\0").unwrap();
    let message = refusal(&source(&xz), &LoadOptions::default());
    assert!(message.contains("compressed with xz, which is not built in"), "{message}");
}

#[test]
fn celeba_is_found_in_kaggle_s_zip_and_in_the_folders_of_its_authors() {
    let table = "\u{feff}image_id,partition\r\n000001.jpg,0\r\n000002.jpg,1\r\n";
    let kaggle = tempdir().unwrap();
    let path = kaggle.path().join("archive.zip");
    let mut zip = ::zip::ZipWriter::new(fs::File::create(&path).unwrap());
    let options = ::zip::write::SimpleFileOptions::default();
    let picture = fs::read(fixture("data/aligned.jpg")).unwrap();
    for (name, content) in [
        ("img_align_celeba/img_align_celeba/000001.jpg", &picture[..]),
        ("img_align_celeba/img_align_celeba/000002.jpg", &picture),
        ("list_attr_celeba.csv", b"image_id,Smiling"),
        ("list_eval_partition.csv", table.as_bytes()),
    ] {
        zip.start_file(name, options).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
    let authors = tempdir().unwrap();
    for folder in ["CelebA/Img/img_align_celeba", "CelebA/Eval"] {
        fs::create_dir_all(authors.path().join(folder)).unwrap();
    }
    for name in ["000001.jpg", "000002.jpg", "readme.txt"] {
        let place = authors.path().join("CelebA/Img/img_align_celeba").join(name);
        fs::write(place, if name.ends_with("jpg") { &picture[..] } else { b"text" }).unwrap();
    }
    let lines = "000001.jpg 0\n000002.jpg 1\n";
    fs::write(authors.path().join("CelebA/Eval/list_eval_partition.txt"), lines).unwrap();
    for place in [&path, kaggle.path(), authors.path()] {
        let options = LoadOptions { split: Split::Valid, ..Default::default() };
        let set = load(&Source::CelebA(place.to_path_buf()), &options).unwrap();
        assert_eq!((set.len(), set.skipped().len()), (1, 0));
        assert!(set.item_name(0).ends_with("000002.jpg"));
        assert!(!set.ignored().is_empty());
    }
}

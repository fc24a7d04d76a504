//! Data sets from files: real digits, records made here, and folders of pictures that other programs wrote.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as the tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use ddpm_exporter::data::{
    DataError, Dataset, FolderLabels, Kind, LoadOptions, OnBroken, Source, Split, ToyKind, load,
};
use flate2::read::GzDecoder;
use image::{ImageReader, RgbImage};
use tempfile::{TempDir, tempdir};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name)
}

fn test_split() -> LoadOptions {
    LoadOptions { split: Split::Test, ..Default::default() }
}

fn sized(size: usize) -> LoadOptions {
    LoadOptions { image_size: Some(size), ..Default::default() }
}

/// The error's whole chain, as a user sees it.
fn refusal(source: &Source, options: &LoadOptions) -> String {
    let error = load(source, options).expect_err("this data set should be refused");
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    error.to_string() + &cause.unwrap_or_default()
}

fn histogram(set: &Dataset) -> Vec<usize> {
    let mut counts = vec![0; set.class_names().unwrap().len()];
    (0..set.len()).for_each(|i| counts[set.label(i).unwrap()] += 1);
    counts
}

mod toy {
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
            (0..2)
                .all(|axis| close(&stdev["swissroll"][0][axis], ToyKind::SwissRoll.scale()[axis]))
        );
        let centres = ToyKind::Gaussian8.mode_centres();
        assert_eq!(centres.len(), 8);
        for (mode, centre) in centres.into_iter().enumerate() {
            assert!(
                (0..2).all(|axis| close(
                    &reference["gaussian8_first_means"][mode][axis],
                    centre[axis]
                ))
            );
        }
    }
}

mod idx {
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

    /// The digits unpacked into `folder` of a temporary folder.
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

    /// Loads unpacked digits after `edit` has changed one of their files; the message names that file.
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
        assert_eq!(train.kind(), Kind::Images { channels: 1, height: 8, width: 8 });
        assert!(!train.flips(), "a mirrored digit is no digit");
        assert_eq!(load(&digits(), &test_split()).unwrap().len(), 297);
    }

    #[test]
    fn labels_are_those_of_the_1797_digits() {
        let splits = [LoadOptions::default(), test_split()]
            .map(|options| load(&digits(), &options).unwrap());
        assert_eq!(
            splits[0].class_names().unwrap(),
            ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
        );
        let total: Vec<usize> = histogram(&splits[0])
            .into_iter()
            .zip(histogram(&splits[1]))
            .map(|(train, test)| train + test)
            .collect();
        // The class counts that the UCI repository and scikit-learn's `load_digits` state.
        assert_eq!(total, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    }

    #[test]
    fn plain_files_equal_gzipped_ones_in_every_layout() {
        let gzipped = load(&digits(), &LoadOptions::default()).unwrap();
        for folder in ["", "raw", "MNIST/raw"] {
            let dir = unpacked(folder);
            let plain =
                load(&Source::Idx(dir.path().to_path_buf()), &LoadOptions::default()).unwrap();
            let same =
                |i| plain.pixels(i) == gzipped.pixels(i) && plain.label(i) == gzipped.label(i);
            assert!(plain.len() == 1500 && (0..1500).all(same), "{folder}");
        }
    }

    #[test]
    fn pictures_are_resized_only_when_their_size_differs() {
        let [kept, resized] = [8, 16].map(|size| load(&digits(), &sized(size)).unwrap());
        let raw = load(&digits(), &LoadOptions::default()).unwrap();
        assert_eq!(kept.pixels(3), raw.pixels(3));
        assert_eq!(resized.kind(), Kind::Images { channels: 1, height: 16, width: 16 });
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
    fn sizes_that_nothing_can_have_are_refused() {
        let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes[8..16].fill(0xff));
        assert!(message.contains("truncated") || message.contains("impossible"), "{message}");
        let message = refusal_after("train-images-idx3-ubyte", |bytes| bytes[8..12].fill(0));
        assert!(message.contains("impossible sizes"), "{message}");
    }

    #[test]
    fn pictures_and_labels_must_be_equally_many() {
        let message = refusal_after("train-labels-idx1-ubyte", |bytes| {
            bytes.pop();
            bytes[4..8].copy_from_slice(&1499_u32.to_be_bytes());
        });
        assert!(message.contains("1499 labels for the 1500 pictures"), "{message}");
    }
}

mod cifar10 {
    use super::*;

    /// Byte `at` of picture `number`, in file order.
    fn byte(number: usize, at: usize) -> u8 {
        ((number * 31 + at * 7) % 256) as u8
    }

    /// Five train batches and a test batch of two records each; record r has label r mod 10.
    fn batches(folder: &str) -> TempDir {
        let dir = tempdir().unwrap();
        let folder = dir.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        let files =
            (1..=5).map(|i| format!("data_batch_{i}.bin")).chain(["test_batch.bin".to_owned()]);
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
            assert_eq!(set.kind(), Kind::Images { channels: 3, height: 32, width: 32 });
            for i in 0..10 {
                assert_eq!(set.label(i), Some(i));
                assert!(
                    set.pixels(i)
                        .unwrap()
                        .iter()
                        .enumerate()
                        .all(|(at, &value)| value == byte(i, at))
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
    fn class_names_come_from_the_file_if_it_is_there() {
        let dir = batches("");
        assert_eq!(load(&source(&dir), &test_split()).unwrap().class_names().unwrap()[9], "truck");
        let names = dir.path().join("batches.meta.txt");
        fs::write(&names, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
        assert_eq!(load(&source(&dir), &test_split()).unwrap().class_names().unwrap()[9], "j");
        fs::write(&names, "a\nb\n").unwrap();
        assert!(refusal(&source(&dir), &test_split()).contains("names 2 classes"));
    }

    #[test]
    fn a_file_that_the_system_does_not_let_us_read_is_refused_with_its_reason() {
        let dir = batches("");
        fs::create_dir(dir.path().join("batches.meta.txt")).unwrap();
        let message = refusal(&source(&dir), &test_split());
        assert!(
            message.contains("cannot read") && message.contains("batches.meta.txt: "),
            "{message}"
        );
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
        assert!(
            message.contains("data_batch_4.bin") && message.contains("3074 bytes"),
            "{message}"
        );
    }

    #[test]
    fn a_label_above_nine_is_refused() {
        let dir = batches("");
        fs::write(dir.path().join("test_batch.bin"), [vec![0; 3073], vec![10; 3073]].concat())
            .unwrap();
        let message = refusal(&source(&dir), &test_split());
        assert!(message.contains("record 1 has label 10"), "{message}");
    }

    #[test]
    fn a_missing_batch_is_refused_by_name() {
        let dir = batches("");
        fs::remove_file(dir.path().join("data_batch_3.bin")).unwrap();
        assert!(refusal(&source(&dir), &LoadOptions::default()).contains("data_batch_3.bin"));
        let empty = tempdir().unwrap();
        assert!(refusal(&source(&empty), &LoadOptions::default()).contains("binary version"));
    }
}

mod folder {
    use super::*;

    const RED: [u8; 3] = [255, 0, 0];
    const BLUE: [u8; 3] = [0, 0, 255];

    /// A folder with copies of fixtures: (name there, fixture).
    fn folder_of(files: &[(&str, &str)]) -> TempDir {
        let dir = tempdir().unwrap();
        for (name, original) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(fixture("data").join(original), path).unwrap();
        }
        dir
    }

    fn source(dir: &TempDir) -> Source {
        Source::Folder(dir.path().to_path_buf())
    }

    fn skipping(size: usize) -> LoadOptions {
        LoadOptions { on_broken: OnBroken::Skip, ..sized(size) }
    }

    fn grey(size: usize) -> LoadOptions {
        LoadOptions { greyscale: true, ..sized(size) }
    }

    /// RGB of one pixel of picture `i`.
    fn pixel(set: &Dataset, i: usize, x: usize, y: usize) -> [u8; 3] {
        let Kind::Images { height, width, .. } = set.kind() else { panic!("these are pictures") };
        let pixels = set.pixels(i).unwrap();
        [0, 1, 2].map(|channel| pixels[(channel * height + y) * width + x])
    }

    fn is_close(got: [u8; 3], expected: [u8; 3]) -> bool {
        got.iter().zip(expected).all(|(&got, expected)| got.abs_diff(expected) <= 4)
    }

    #[test]
    fn every_format_is_read_and_cropped_to_its_centre() {
        let dir = folder_of(&[
            ("a.BMP", "halves.bmp"),
            ("deep/er/b.webp", "halves.webp"),
            ("deep/c.gif", "two_frames.gif"),
            ("notes.txt", "make.py"),
            (".hidden.png", "bomb.png"),
        ]);
        let set = load(&source(&dir), &sized(16)).unwrap();
        assert_eq!((set.len(), set.flips(), set.class_names()), (3, true, None));
        assert_eq!(set.kind(), Kind::Images { channels: 3, height: 16, width: 16 });
        for i in 0..3 {
            // 32×16, left half red, right half blue: the middle 16 columns are half and half.
            for (x, colour) in [(0, RED), (7, RED), (8, BLUE), (15, BLUE)] {
                assert!(is_close(pixel(&set, i, x, 5), colour), "picture {i} at {x}");
            }
        }
    }

    #[test]
    fn a_photo_is_turned_upright() {
        let set = load(&source(&folder_of(&[("a.jpeg", "turned.jpg")])), &sized(16)).unwrap();
        assert!(is_close(pixel(&set, 0, 8, 2), RED), "{:?}", pixel(&set, 0, 8, 2));
        assert!(is_close(pixel(&set, 0, 8, 13), BLUE), "{:?}", pixel(&set, 0, 8, 13));
    }

    #[test]
    fn transparency_lies_over_black() {
        let set = load(&source(&folder_of(&[("a.png", "transparent.png")])), &sized(16)).unwrap();
        assert_eq!((pixel(&set, 0, 0, 0), pixel(&set, 0, 15, 0)), (RED, [0, 0, 128]));
    }

    #[test]
    fn resizing_agrees_with_pillow_to_one_grey_level() {
        for (name, size) in [("upsample_28_to_32", 32), ("downsample_40_to_16", 16)] {
            let set = load(&source(&folder_of(&[("a.png", &format!("{name}.png"))])), &grey(size))
                .unwrap();
            let expected =
                ImageReader::open(fixture("data").join(format!("{name}_resized.png"))).unwrap();
            let expected = expected.decode().unwrap().to_luma8().into_raw();
            let got = set.pixels(0).unwrap();
            assert_eq!(got.len(), expected.len());
            assert!(
                got.iter().zip(expected).all(|(&got, expected)| got.abs_diff(expected) <= 1),
                "{name}"
            );
        }
    }

    #[test]
    fn greyscale_has_one_channel_of_luma() {
        let set = load(&source(&folder_of(&[("a.bmp", "halves.bmp")])), &grey(16)).unwrap();
        assert_eq!(set.kind(), Kind::Images { channels: 1, height: 16, width: 16 });
        // Rec. 709: 0.2126 · 255 and 0.0722 · 255.
        assert_eq!((set.pixels(0).unwrap()[0], set.pixels(0).unwrap()[15]), (54, 18));
    }

    #[test]
    fn sub_folders_become_labels_when_every_picture_lies_in_one() {
        let files =
            [("dog/1.bmp", "halves.bmp"), ("cat/2.bmp", "halves.bmp"), ("cat/1.bmp", "halves.bmp")];
        let dir = folder_of(&files);
        let set = load(&source(&dir), &sized(4)).unwrap();
        assert_eq!(set.class_names().unwrap(), ["cat", "dog"]);
        assert_eq!((set.label(0), set.label(1), set.label(2)), (Some(0), Some(0), Some(1)));

        let unlabelled = LoadOptions { folder_labels: FolderLabels::None, ..sized(4) };
        assert_eq!(load(&source(&dir), &unlabelled).unwrap().label(0), None);
        fs::copy(fixture("data/halves.bmp"), dir.path().join("stray.bmp")).unwrap();
        assert_eq!(load(&source(&dir), &sized(4)).unwrap().class_names(), None);
    }

    #[test]
    fn without_a_size_pictures_must_be_equal_squares() {
        let dir =
            folder_of(&[("a.png", "upsample_28_to_32.png"), ("b.png", "upsample_28_to_32.png")]);
        let set = load(&source(&dir), &LoadOptions::default()).unwrap();
        assert_eq!(set.kind(), Kind::Images { channels: 3, height: 28, width: 28 });

        for odd in ["downsample_40_to_16.png", "halves.bmp"] {
            fs::copy(fixture("data").join(odd), dir.path().join("c.png")).unwrap();
            let message = refusal(&source(&dir), &LoadOptions::default());
            assert!(message.contains("c.png") && message.contains("--image-size"), "{message}");
        }
    }

    #[test]
    fn a_broken_picture_is_refused_by_name_with_advice() {
        let good = ("a.bmp", "halves.bmp");
        for (broken, reason) in
            [("truncated.jpg", "truncated"), ("bomb.png", "decode"), ("make.py", "decode")]
        {
            let message = refusal(&source(&folder_of(&[good, ("b.png", broken)])), &sized(8));
            assert!(message.contains("1 of 2 pictures") && message.contains("b.png"), "{message}");
            assert!(message.contains(reason) && message.contains("--on-broken skip"), "{message}");
        }
    }

    #[test]
    fn a_broken_picture_can_be_skipped_and_is_listed() {
        let dir = folder_of(&[
            ("a.jpg", "truncated.jpg"),
            ("b.bmp", "halves.bmp"),
            ("c.png", "bomb.png"),
        ]);
        let set = load(&source(&dir), &skipping(8)).unwrap();
        let names: Vec<_> =
            set.skipped().iter().map(|(path, _)| path.file_name().unwrap()).collect();
        assert_eq!((set.len(), names), (1, vec!["a.jpg".as_ref(), "c.png".as_ref()]));
        assert!(set.summary().contains("2 broken left out"), "{}", set.summary());
    }

    #[test]
    fn a_picture_cut_anywhere_is_refused_in_every_format() {
        for whole in ["turned.jpg", "transparent.png", "halves.bmp", "halves.webp"] {
            let bytes = fs::read(fixture("data").join(whole)).unwrap();
            for share in [1, 3, 5, 7] {
                let dir = folder_of(&[("a.bmp", "halves.bmp")]);
                fs::write(dir.path().join("cut.png"), &bytes[..bytes.len() * share / 8]).unwrap();
                assert!(
                    matches!(load(&source(&dir), &sized(8)), Err(DataError::Broken { .. })),
                    "{whole} {share}/8"
                );
            }
        }
    }

    #[test]
    fn a_folder_without_usable_pictures_is_refused() {
        let missing = refusal(&Source::Folder("does/not/exist".into()), &sized(8));
        assert!(missing.contains("no such folder"), "{missing}");
        let empty = refusal(&source(&tempdir().unwrap()), &sized(8));
        assert!(empty.contains("no picture"), "{empty}");
        let broken = refusal(&source(&folder_of(&[("a.jpg", "truncated.jpg")])), &skipping(8));
        assert!(broken.contains("none of its 1 pictures") && broken.contains("a.jpg"), "{broken}");
    }

    #[test]
    fn pictures_come_in_the_order_of_their_paths() {
        let dir = tempdir().unwrap();
        for (name, value) in [("b", 2), ("a", 1), ("d", 4), ("c", 3)] {
            let picture = RgbImage::from_pixel(2, 2, image::Rgb([value; 3]));
            picture.save(dir.path().join(name).with_extension("png")).unwrap();
        }
        let set = load(&source(&dir), &LoadOptions::default()).unwrap();
        assert!((0..4).all(|i| set.pixels(i).unwrap()[0] == i as u8 + 1));
    }
}

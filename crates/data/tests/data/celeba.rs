//! CelebA and CelebA-HQ in the layouts of their downloads.

use super::*;

/// Creates `img_align_celeba` below `folder` with copies of the aligned picture, and the partition
/// if given.
fn faces(folder: &str, names: &[&str], partition: Option<&str>) -> TempDir {
    let dir = tempdir().unwrap();
    let folder = dir.path().join(folder);
    fs::create_dir_all(folder.join("img_align_celeba")).unwrap();
    for name in names {
        fs::copy(fixture("data/aligned.jpg"), folder.join("img_align_celeba").join(name)).unwrap();
    }
    if let Some(text) = partition {
        fs::write(folder.join("list_eval_partition.txt"), text).unwrap();
    }
    dir
}

fn source(dir: &TempDir) -> Source {
    Source::CelebA(dir.path().to_path_buf())
}

fn with_split(split: Split) -> LoadOptions {
    LoadOptions { split, ..Default::default() }
}

fn names(set: &Dataset) -> Vec<String> {
    let name = |i| set.item_name(i).rsplit('/').next().unwrap().to_owned();
    (0..set.len()).map(name).collect()
}

const THREE: [&str; 3] = ["000001.jpg", "000002.jpg", "000003.jpg"];
const PARTITION: &str = "000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n";

/// The reference's result for the aligned picture, `[3, 64, 64]`.
fn expected(name: &str) -> Vec<u8> {
    let picture =
        ImageReader::open(fixture("data").join(name)).unwrap().decode().unwrap().to_rgb8();
    (0..3)
        .flat_map(|channel| picture.pixels().map(move |pixel| pixel.0[channel]))
        .collect::<Vec<_>>()
}

#[test]
fn crop_and_resize_are_the_reference_s_to_the_bit() {
    let dir = faces("", &[], None);
    // The file named .jpg is a PNG, which all decoders read alike.
    fs::copy(fixture("data/aligned.png"), dir.path().join("img_align_celeba/000001.jpg")).unwrap();
    let set = load(&source(&dir), &with_split(Split::All)).unwrap();
    assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 64, width: 64 });
    assert!(set.flips());
    assert_eq!(set.pixels(0).unwrap(), expected("aligned_64.png"));
}

#[test]
fn a_jpeg_differs_from_the_reference_no_more_than_jpeg_decoders_do() {
    let set = load(&source(&faces("", &THREE, None)), &with_split(Split::All)).unwrap();
    let expected = expected("aligned_jpg_64.png");
    let differences: Vec<u8> =
        set.pixels(2).unwrap().iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).collect();
    let mean = differences.iter().map(|&d| f64::from(d)).sum::<f64>() / differences.len() as f64;
    // The standard allows an error of one level per sample; chroma conversion adds to it.
    let worst = differences.iter().max().unwrap();
    assert!(*worst <= 3 && mean < 0.5, "largest {worst}, mean {mean}");
}

#[test]
fn the_partition_says_what_belongs_to_a_split() {
    for folder in ["", "celeba"] {
        let dir = faces(folder, &THREE, Some(PARTITION));
        for (split, expected) in [
            (Split::Train, &THREE[..1]),
            (Split::Valid, &THREE[1..2]),
            (Split::Test, &THREE[2..]),
            (Split::All, &THREE[..]),
        ] {
            assert_eq!(
                names(&load(&source(&dir), &with_split(split)).unwrap()),
                expected,
                "{split:?}"
            );
        }
    }
}

#[test]
fn kaggles_layout_is_found_from_each_of_its_folders() {
    let dir = tempdir().unwrap();
    let inner = dir.path().join("img_align_celeba/img_align_celeba");
    fs::create_dir_all(&inner).unwrap();
    for name in THREE {
        fs::copy(fixture("data/aligned.jpg"), inner.join(name)).unwrap();
    }
    let table = "image_id,partition\r\n000001.jpg,0\r\n000002.jpg,1\r\n000003.jpg,2\r\n";
    fs::write(dir.path().join("list_eval_partition.csv"), table).unwrap();
    fs::write(dir.path().join("list_attr_celeba.csv"), "image_id,Smiling\n000001.jpg,1\n").unwrap();
    for place in [dir.path(), inner.parent().unwrap(), &inner] {
        for (split, expected) in [(Split::Valid, &THREE[1..2]), (Split::All, &THREE[..])] {
            let set = load(&Source::CelebA(place.to_path_buf()), &with_split(split)).unwrap();
            assert_eq!(names(&set), expected, "{} {split:?}", place.display());
        }
    }
}

#[test]
fn training_uses_all_faces_by_default() {
    assert_eq!("celeba:x".parse::<Source>().unwrap().default_split(), Split::All);
    assert_eq!("celebahq:x".parse::<Source>().unwrap().default_split(), Split::Train);
}

#[test]
fn the_archive_equals_the_folder_with_the_partition_beside_it() {
    let dir = faces("", &THREE, Some(PARTITION));
    let packed = tempdir().unwrap();
    let path = packed.path().join("img_align_celeba.zip");
    let mut zip = ::zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for name in THREE {
        let options = ::zip::write::SimpleFileOptions::default();
        zip.start_file(format!("img_align_celeba/{name}"), options).unwrap();
        std::io::Write::write_all(&mut zip, &fs::read(fixture("data/aligned.jpg")).unwrap())
            .unwrap();
    }
    zip.finish().unwrap();
    fs::write(packed.path().join("list_eval_partition.txt"), PARTITION).unwrap();
    let plain = load(&source(&dir), &with_split(Split::Valid)).unwrap();
    for place in [packed.path(), &path] {
        let set = load(&Source::CelebA(place.to_path_buf()), &with_split(Split::Valid)).unwrap();
        assert_eq!((names(&set), set.pixels(0)), (names(&plain), plain.pixels(0)));
    }
}

#[test]
fn a_split_without_the_partition_is_refused_and_all_is_not() {
    let dir = faces("", &THREE, None);
    let message = refusal(&source(&dir), &with_split(Split::Train));
    assert!(
        message.contains("list_eval_partition.txt") && message.contains("use all"),
        "{message}"
    );
    assert_eq!(load(&source(&dir), &with_split(Split::All)).unwrap().len(), 3);
}

#[test]
fn an_invalid_line_is_refused_by_number() {
    for text in [
        "000001.jpg 0\n\n000002.jpg 3\n",
        "000001.jpg 0\n\n000002.jpg\n",
        "000001.jpg 0\n\na b 1\n",
    ] {
        let message = refusal(&source(&faces("", &THREE, Some(text))), &with_split(Split::All));
        assert!(message.contains("line 3 is `"), "{message}");
    }
}

#[test]
fn disagreements_of_pictures_and_partition_are_broken_pictures() {
    let dir = faces("", &["000001.jpg", "stray.jpg"], Some(PARTITION));
    let message = refusal(&source(&dir), &with_split(Split::All));
    assert!(message.contains("3 of 4 pictures"), "{message}");
    let set =
        load(&source(&dir), &LoadOptions { on_broken: OnBroken::Skip, ..with_split(Split::All) })
            .unwrap();
    let left_out: Vec<_> = set
        .skipped()
        .iter()
        .map(|(path, reason)| {
            (path.file_name().unwrap().to_str().unwrap(), reason.contains("not there"))
        })
        .collect();
    assert_eq!(left_out, [("000002.jpg", true), ("000003.jpg", true), ("stray.jpg", false)]);
    assert_eq!(names(&set), ["000001.jpg"]);
}

#[test]
fn a_face_that_is_not_aligned_is_broken() {
    let dir = faces("", &THREE, None);
    fs::copy(fixture("data/turned.jpg"), dir.path().join("img_align_celeba/000002.jpg")).unwrap();
    let message = refusal(&source(&dir), &with_split(Split::All));
    assert!(message.contains("000002.jpg") && message.contains("178x218"), "{message}");
}

#[test]
fn another_size_is_resized_from_the_same_square() {
    let dir = faces("", &THREE, None);
    let whole =
        load(&source(&dir), &LoadOptions { image_size: Some(148), ..with_split(Split::All) })
            .unwrap();
    let decoded =
        ImageReader::open(fixture("data/aligned.jpg")).unwrap().decode().unwrap().to_rgb8();
    for (x, y) in [(0, 0), (147, 0), (70, 147)] {
        assert_eq!(pixel(&whole, 0, x, y), decoded.get_pixel(x as u32 + 15, y as u32 + 40).0);
    }
}

#[test]
fn celeba_hq_comes_in_the_order_of_its_numbers_at_its_own_size() {
    for folder in ["img_celeba_hq", "celeba_hq/img_celeba_hq", ""] {
        let dir = tempdir().unwrap();
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        for number in [2, 10, 0, 1] {
            let picture = RgbImage::from_pixel(4, 4, image::Rgb([number; 3]));
            picture.save(dir.path().join(folder).join(format!("{number}.png"))).unwrap();
        }
        let set =
            load(&Source::CelebAHq(dir.path().to_path_buf()), &LoadOptions::default()).unwrap();
        assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 4, width: 4 });
        let order: Vec<u8> = (0..4).map(|i| set.pixels(i).unwrap()[0]).collect();
        assert_eq!((order, set.class_names(), set.flips()), (vec![0, 1, 2, 10], None, true));
    }
}

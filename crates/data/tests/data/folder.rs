//! Folders of pictures: formats, labels, and broken files.

use super::*;

fn source(dir: &TempDir) -> Source {
    Source::Folder(dir.path().to_path_buf())
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
    assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 16, width: 16 });
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
fn resizing_is_pillow_s_to_the_bit() {
    for (name, size) in [("upsample_28_to_32", 32), ("downsample_40_to_16", 16)] {
        let set =
            load(&source(&folder_of(&[("a.png", &format!("{name}.png"))])), &grey(size)).unwrap();
        let expected =
            ImageReader::open(fixture("data").join(format!("{name}_resized.png"))).unwrap();
        let expected = expected.decode().unwrap().to_luma8().into_raw();
        assert_eq!(set.pixels(0).unwrap(), expected, "{name}");
    }
}

#[test]
fn greyscale_has_one_channel_of_luma() {
    let set = load(&source(&folder_of(&[("a.bmp", "halves.bmp")])), &grey(16)).unwrap();
    assert_eq!(set.kind(), ItemShape::Images { channels: 1, height: 16, width: 16 });
    // Rec. 709: 0.2126 · 255 and 0.0722 · 255.
    assert_eq!((set.pixels(0).unwrap()[0], set.pixels(0).unwrap()[15]), (54, 18));
}

#[test]
fn without_a_size_pictures_must_be_equal_squares() {
    let dir = folder_of(&[("a.png", "upsample_28_to_32.png"), ("b.png", "upsample_28_to_32.png")]);
    let set = load(&source(&dir), &LoadOptions::default()).unwrap();
    assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 28, width: 28 });

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
    let dir =
        folder_of(&[("a.jpg", "truncated.jpg"), ("b.bmp", "halves.bmp"), ("c.png", "bomb.png")]);
    let set = load(&source(&dir), &skipping(8)).unwrap();
    let names: Vec<_> = set.skipped().iter().map(|(path, _)| path.file_name().unwrap()).collect();
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

//! Pictures are known by their content, whatever they are called.

use ddpm_data::Background;

use super::tiff::Tiff;
use super::*;

/// Makes a folder of files with this content.
fn files(files: &[(&str, &[u8])]) -> TempDir {
    let dir = tempdir().unwrap();
    for (name, content) in files {
        fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

fn source(dir: &TempDir) -> Source {
    Source::Folder(dir.path().to_path_buf())
}

/// Loads one file of 2 by 2 pixels as a folder.
fn only(content: &[u8]) -> Dataset {
    load(&source(&files(&[("picture", content)])), &LoadOptions::default()).unwrap()
}

/// Says why one file named as a picture is left out.
fn reason(name: &str, content: &[u8]) -> String {
    let dir = files(&[(name, content)]);
    fs::copy(fixture("data/halves.bmp"), dir.path().join("good")).unwrap();
    let set = load(&source(&dir), &skipping(8)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 1), "{name}");
    set.skipped()[0].1.clone()
}

fn greys(set: &Dataset) -> [u8; 4] {
    [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(x, y)| pixel(set, 0, x, y)[0])
}

#[test]
fn a_picture_is_read_whatever_its_extension() {
    let names = ["a.jfif", "b.jpe", "c.jpeg", "d", "e.txt", "f.heic", "g.png", "h.bak"];
    let dir = folder_of(&names.map(|name| (name, "turned.jpg")));
    let set = load(&source(&dir), &LoadOptions { image_size: Some(8), ..Default::default() });
    let set = set.unwrap();
    assert_eq!((set.len(), set.skipped().len()), (names.len(), 0));
    assert!((1..names.len()).all(|i| set.pixels(i) == set.pixels(0)));
}

#[test]
fn other_files_are_counted_and_not_listed() {
    let dir = folder_of(&[("a.bmp", "halves.bmp")]);
    for name in ["notes.txt", "labels.csv", "README", ".DS_Store", "Thumbs.db", "b.txt"] {
        fs::write(dir.path().join(name), "BMW is no bitmap").unwrap();
    }
    fs::create_dir(dir.path().join("__MACOSX")).unwrap();
    let set = load(&source(&dir), &sized(8)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 0));
    let counts: Vec<_> = set.ignored().iter().map(|(kind, n)| (kind.as_str(), *n)).collect();
    let expected = [(".csv", 1), (".txt", 2), ("hidden", 3), ("without a known extension", 1)];
    assert_eq!(counts, expected);
    assert!(set.summary().contains("7 other files ignored (3 hidden, 2 .txt"), "{}", set.summary());

    let texts = files(&[("a.txt", b"text"), ("b.txt", b"text")]);
    let message = refusal(&source(&texts), &sized(8));
    assert!(message.contains("no picture; 2 other files ignored (2 .txt)"), "{message}");
}

#[test]
fn what_claims_to_be_a_picture_and_is_none_is_named_with_the_reason() {
    for (name, content, expected) in [
        ("a.png", &b""[..], "it is empty"),
        ("a.jpg", b"<!DOCTYPE html><html>404</html>", "a web page"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("a.webp", &[0; 5000], "begins with zeros"),
        ("a.png", b"no picture", "cannot decode it"),
        ("a.heic", b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC files are not read here"),
        ("a", b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF files are not read here"),
        ("a.svg", b"<?xml version='1.0'?><svg></svg>", "SVG files are not read here"),
        ("a.dds", b"DDS of another kind", "dds files are not read here"),
        ("a.pgm", b"P5 0 2 255\n", "it is 0x2 pixels"),
        ("a.gif", b"GIF89a\0\0\x01\0\0\0\0;", "cannot decode it"),
        ("a.dng", &Tiff::grey(2, 2, 8, vec![1; 4]).bytes(), "camera's raw format"),
    ] {
        let reason = reason(name, content);
        assert!(reason.contains(expected), "{name}: {reason}");
    }
}

#[test]
fn every_netpbm_format_is_read() {
    // In PBM, 1 is black.
    for (content, expected) in [
        (&b"P1 2 2\n1 0 0 1\n"[..], [0, 255, 255, 0]),
        (b"P2\n# a comment\n2 2\n15\n0 5 10 15\n", [0, 85, 170, 255]),
        (b"P3 2 2 255 1 1 1 2 2 2 3 3 3 4 4 4\n", [1, 2, 3, 4]),
        (b"P4\n2 2\n\x80\x40", [0, 255, 255, 0]),
        (b"P5 2 2 255\n\x01\x02\x03\x04", [1, 2, 3, 4]),
        (b"P5 2 2 1023\n\0\0\x01\x55\x02\xaa\x03\xff", [0, 85, 170, 255]),
        (b"P6 2 2 255\n\x01\x01\x01\x02\x02\x02\x03\x03\x03\x04\x04\x04", [1, 2, 3, 4]),
    ] {
        assert_eq!(greys(&only(content)), expected, "{:?}", content.escape_ascii().to_string());
    }
}

#[test]
fn tiff_is_read_in_odd_layouts() {
    let grey = |bits, pixels: &[u8]| Tiff::grey(2, 2, bits, pixels.to_vec());
    let rgb = |pixels: &[u8]| Tiff::rgb(2, 2, pixels.to_vec());
    let channels = [[1, 2, 3, 4].to_vec(), [5; 4].to_vec(), [6; 4].to_vec()];
    let cmyk = [[0, 0, 0, 254], [0, 0, 0, 253], [0, 0, 0, 252], [0, 0, 0, 251]].concat();
    for (tiff, expected, form) in [
        (grey(8, &[1, 2, 3, 4]), [1, 2, 3, 4], "grey"),
        (Tiff { photometric: 0, ..grey(8, &[254, 253, 252, 251]) }, [1, 2, 3, 4], "grey"),
        (grey(1, &[0x40, 0x80]), [0, 255, 255, 0], "grey"),
        (
            Tiff { big_endian: true, ..grey(16, &[0, 0, 0x55, 0x55, 0xaa, 0xaa, 255, 255]) },
            [0, 85, 170, 255],
            "grey 16 bit",
        ),
        (rgb(&[1, 5, 6, 2, 5, 6, 3, 5, 6, 4, 5, 6]), [1, 2, 3, 4], "RGB"),
        (Tiff { planar: true, strips: channels.to_vec(), ..rgb(&[]) }, [1, 2, 3, 4], "RGB"),
        // The decoder cuts where others round.
        (Tiff { bits: vec![8; 4], photometric: 5, ..rgb(&cmyk) }, [0, 1, 2, 3], "CMYK"),
    ] {
        let set = only(&tiff.bytes());
        assert_eq!(greys(&set), expected, "{form}");
        let forms: Vec<_> = set.forms().keys().map(|form| form.colour).collect();
        assert_eq!(forms, [form]);
    }
}

#[test]
fn a_tiff_that_is_not_read_is_named_and_none_takes_endless_time_or_memory() {
    let grey = || Tiff::grey(2, 2, 8, vec![1, 2, 3, 4]);
    let float = [0.0_f32, 0.5, 1.0, 2.0].iter().flat_map(|value| [value.to_le_bytes(); 3]);
    let float: Vec<u8> = float.flatten().collect();
    for (tiff, expected) in [
        (Tiff { photometric: 3, ..grey() }, "cannot decode it"),
        (Tiff { bits: vec![32; 3], sample_format: 3, ..Tiff::rgb(2, 2, float) }, "floating point"),
        (Tiff { width: 100_000, height: 100_000, ..grey() }, "cannot decode it"),
        (Tiff { width: 16_384, height: 16_384, bits: vec![16], ..grey() }, "cannot decode it"),
    ] {
        let reason = reason("a.tif", &tiff.bytes());
        assert!(reason.contains(expected), "{reason}");
    }
    let directory_at = 12;
    let endless = Tiff { next: directory_at, ..grey() }.bytes();
    assert!(reason("a.tif", &endless).contains("cycle"));
}

#[test]
fn the_first_page_of_a_tiff_is_used() {
    let one = Tiff::grey(2, 2, 8, vec![1, 2, 3, 4]);
    let (directory_at, whole) = (12, one.bytes());
    let first = Tiff { next: whole.len() as u32, ..one }.bytes();
    let set = only(&[&first, &whole[directory_at..]].concat());
    assert_eq!((greys(&set), set.first_frames()), ([1, 2, 3, 4], 1));
    assert!(set.summary().contains("1 with more frames or pages"), "{}", set.summary());
    let animation = load(&source(&folder_of(&[("a", "two_frames.gif")])), &sized(8)).unwrap();
    assert_eq!(animation.first_frames(), 1);
    assert_eq!(only(&whole).first_frames(), 0);
}

#[test]
fn tiff_and_netpbm_cut_anywhere_are_broken() {
    let tiff = Tiff::rgb(2, 2, (0..12).collect()).bytes();
    let pnm = b"P6 2 2 255\n\x01\x01\x01\x02\x02\x02\x03\x03\x03\x04\x04\x04".to_vec();
    for whole in [tiff, pnm] {
        for length in 0..whole.len() - 1 {
            reason("a.tif", &whole[..length]);
        }
    }
}

#[test]
fn transparent_pictures_are_counted_and_lie_over_the_colour_of_choice() {
    let dir = folder_of(&[("a.png", "transparent.png"), ("b.bmp", "halves.bmp")]);
    let [black, white] = [Background::Black, Background::White]
        .map(|background| load(&source(&dir), &LoadOptions { background, ..sized(16) }).unwrap());
    assert_eq!((pixel(&black, 0, 0, 0), pixel(&black, 0, 15, 0)), (RED, [0, 0, 128]));
    assert_eq!((pixel(&white, 0, 0, 0), pixel(&white, 0, 15, 0)), (RED, [127, 127, 255]));
    assert_eq!(white.pixels(1), black.pixels(1));
    assert_eq!(black.transparent(), (1, Background::Black));
    assert!(white.summary().contains("1 transparent on white"), "{}", white.summary());
    assert_ne!(black.digest(), white.digest());
    // Alpha that is 255 everywhere changes nothing, so it is not counted.
    let opaque = Tiff {
        bits: vec![8; 4],
        extra_samples: vec![2],
        ..Tiff::rgb(2, 2, [[9, 9, 9, 255]; 4].concat())
    };
    assert_eq!(only(&opaque.bytes()).transparent().0, 0);
}

#[test]
fn a_file_far_too_large_is_named_and_not_read() {
    let dir = files(&[("large.png", b"\x89PNG\r\n\x1a\n"), ("zeros.png", b"")]);
    for name in ["large.png", "zeros.png"] {
        let file = fs::File::options().write(true).open(dir.path().join(name)).unwrap();
        file.set_len(5 << 30).unwrap();
    }
    fs::copy(fixture("data/halves.bmp"), dir.path().join("good")).unwrap();
    let set = load(&source(&dir), &skipping(8)).unwrap();
    let reasons: Vec<_> = set.skipped().iter().map(|(_, reason)| reason.as_str()).collect();
    assert!(reasons[0].contains("more than 512 MiB"), "{reasons:?}");
    assert!(reasons[1].contains("begins with zeros"), "{reasons:?}");
}

//! Pixel modes, compared with Pillow's results for the same files.

use super::*;

/// Loads one fixture as the only picture of a folder, at 16 by 16: the centre of 32 by 16.
fn only(name: &str) -> Dataset {
    let dir = folder_of(&[(name, name)]);
    load(&Source::Folder(dir.path().to_path_buf()), &sized(16)).unwrap()
}

fn form(set: &Dataset) -> String {
    let forms: Vec<_> = set.forms().keys().map(ToString::to_string).collect();
    forms.join(", ")
}

/// Returns the largest difference from a picture that Pillow decoded to RGB, over the left and
/// right half of the centre.
fn difference(set: &Dataset, decoded_by_pillow: &str) -> u8 {
    let path = fixture("data").join(decoded_by_pillow);
    let expected = ImageReader::open(path).unwrap().decode().unwrap().to_rgb8();
    let at = |x: usize| {
        let got = pixel(set, 0, x, 8);
        let expected = expected.get_pixel(x as u32 + 8, 8).0;
        got.iter().zip(expected).map(|(got, expected)| got.abs_diff(expected)).max()
    };
    (0..16).filter_map(at).max().unwrap()
}

#[test]
fn a_palette_becomes_colours_and_its_transparent_entry_black() {
    let set = only("palette.png");
    assert_eq!((pixel(&set, 0, 0, 0), pixel(&set, 0, 15, 0)), ([0, 0, 0], BLUE));
}

#[test]
fn grey_with_alpha_lies_over_black() {
    let set = only("grey_alpha.png");
    assert_eq!((pixel(&set, 0, 0, 0), pixel(&set, 0, 15, 0)), ([200; 3], [40; 3]));
    assert_eq!(form(&set), "32x16 grey and alpha");
}

#[test]
fn sixteen_bits_are_scaled_to_eight_not_cut() {
    let set = only("grey_16.png");
    // 0x1234 / 257 = 18.1 and 0xfedc / 257 = 253.9.
    assert_eq!((pixel(&set, 0, 0, 0), pixel(&set, 0, 15, 0)), ([18; 3], [254; 3]));
    assert_eq!(form(&set), "32x16 grey 16 bit");
}

#[test]
fn adobe_s_inks_become_the_colours_that_pillow_gives() {
    for name in ["inks", "inks_ycck"] {
        let set = only(&format!("{name}.jpg"));
        // JPEG decoders may round differently, by a few levels where chroma is converted.
        let difference = difference(&set, &format!("{name}_rgb.png"));
        assert!(difference <= 4, "{name}: {difference}");
        assert_eq!(form(&set), "32x16 CMYK");
    }
}

#[test]
fn inks_without_a_description_are_refused_by_name() {
    let dir = folder_of(&[("a.bmp", "halves.bmp"), ("b.jpg", "inks_unknown.jpg")]);
    let message = refusal(&Source::Folder(dir.path().to_path_buf()), &sized(16));
    assert!(message.contains("b.jpg") && message.contains("CMYK JPEG without"), "{message}");
}

#[test]
fn a_picture_of_an_unsupported_format_is_named_not_ignored() {
    let files = [("a.bmp", "halves.bmp"), ("b.TGA", "make.py"), ("c.nef", "halves.bmp")];
    let set = only_skipping(&folder_of(&files));
    let reasons: Vec<_> = set.skipped().iter().map(|(_, reason)| reason.as_str()).collect();
    assert!(reasons[0].contains("tga files are not read"), "{reasons:?}");
    assert!(reasons[1].contains("nef is a camera's raw format"), "{reasons:?}");
    assert_eq!((set.len(), reasons.len()), (1, 2));
}

fn only_skipping(dir: &TempDir) -> Dataset {
    load(&Source::Folder(dir.path().to_path_buf()), &skipping(16)).unwrap()
}

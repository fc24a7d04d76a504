use ddpm_diffusion::pixels;

use super::*;

/// Makes a manifest of pictures of 2 × 2 pixels.
fn pictures(channels: usize) -> Manifest {
    let json = include_bytes!("../../../../models/glyphs/ddpm.json");
    let manifest = Manifest::parse("glyphs".as_ref(), json).unwrap();
    Manifest { sample_shape: vec![channels, 2, 2], ..manifest }
}

fn points() -> Manifest {
    let json = include_bytes!("../../../../models/toy/ddpm.json");
    Manifest::parse("toy".as_ref(), json).unwrap()
}

fn tensor(format: Format, data: &[u8]) -> v1::Tensor {
    v1::Tensor { format: format.into(), data: data.to_vec().into() }
}

fn f32s(elements: &[f32]) -> v1::Tensor {
    let bytes: Vec<u8> = elements.iter().flat_map(|element| element.to_le_bytes()).collect();
    tensor(Format::RawF32, &bytes)
}

fn png(color: png::ColorType, width: u32, data: &[u8]) -> v1::Tensor {
    let mut bytes = Vec::new();
    let height = (data.len() / color.samples()) as u32 / width;
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    tensor(Format::Png, &bytes)
}

#[test]
fn a_picture_is_the_same_in_every_format() {
    let rgb = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 255];
    let raw = elements(&pictures(3), &tensor(Format::RawU8, &rgb), Formats::Any).unwrap();
    assert_eq!(raw[..4], [0, 30, 60, 90].map(pixels::from_pixel));
    let from_png =
        elements(&pictures(3), &png(png::ColorType::Rgb, 2, &rgb), Formats::Any).unwrap();
    assert_eq!(from_png, raw);
    assert_eq!(elements(&pictures(3), &f32s(&raw), Formats::Any).unwrap(), raw);
}

#[test]
fn tensors_that_do_not_fit_the_model_are_refused_with_the_reason() {
    let refused = |manifest: Manifest, tensor: v1::Tensor, formats| {
        elements(&manifest, &tensor, formats).unwrap_err()
    };
    let any = Formats::Any;
    assert!(refused(pictures(1), tensor(Format::RawU8, &[0; 5]), any).contains("got 5 bytes"));
    assert!(refused(pictures(1), f32s(&[0.0; 3]), any).contains("16 bytes, got 12"));
    assert!(refused(pictures(1), f32s(&[0.0, 1.0, f32::NAN, 0.0]), any).contains("element 2"));
    assert!(refused(pictures(1), tensor(Format::Unspecified, &[]), any).contains("required"));
    assert!(
        refused(pictures(1), tensor(Format::RawU8, &[0; 4]), Formats::RawF32).contains("RAW_F32")
    );
    assert!(refused(points(), tensor(Format::RawU8, &[0; 2]), any).contains("no pixels"));
    let wide = png(png::ColorType::Grayscale, 3, &[0; 6]);
    assert!(refused(pictures(1), wide, any).contains("3×2 pixels"));
    let rgba = png(png::ColorType::Rgba, 2, &[0; 16]);
    assert!(refused(pictures(3), rgba, any).contains("4 channels"));
    assert!(
        refused(pictures(3), tensor(Format::Png, b"GIF89a"), any).contains("not a readable PNG")
    );
}

/// A PNG of 2 × 2 pixels in colours of a palette.
fn indexed(palette: Vec<u8>) -> v1::Tensor {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 2);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(palette);
    encoder.write_header().unwrap().write_image_data(&[0, 1, 0, 1]).unwrap();
    tensor(Format::Png, &bytes)
}

#[test]
fn a_palette_holds_whole_colours_and_at_most_256() {
    let read = |bytes: usize| elements(&pictures(3), &indexed(vec![255; bytes]), Formats::Any);
    for bytes in [6, 768] {
        assert_eq!(read(bytes), Ok(vec![1.0; 12]), "{bytes} bytes");
    }
    for bytes in [4, 5, 749] {
        let refused = read(bytes).unwrap_err();
        assert!(refused.contains("is not a readable PNG"), "{bytes} bytes: {refused}");
    }
    assert!(read(771).unwrap_err().contains("not a readable PNG"));
}

#[test]
fn a_profile_that_would_become_megabytes_is_read_over() {
    let profile = vec![0; 8 << 20];
    let mut info = png::Info::with_size(2, 2);
    info.color_type = png::ColorType::Rgb;
    info.bit_depth = png::BitDepth::Eight;
    info.icc_profile = Some(profile.into());
    let mut bytes = Vec::new();
    let encoder = png::Encoder::with_info(&mut bytes, info).unwrap();
    encoder.write_header().unwrap().write_image_data(&[255; 12]).unwrap();
    let file = tensor(Format::Png, &bytes);
    let read = || elements(&pictures(3), &file, Formats::Any);
    let (read, taken) = crate::fuzz::heap::peak_of(read);
    assert_eq!(read, Ok(vec![1.0; 12]));
    assert!(taken <= png_bytes(bytes.len()) as u64, "{taken} bytes for {}", bytes.len());
}

#[test]
fn a_mask_of_one_channel_applies_to_all() {
    let manifest = pictures(3);
    let mask = |tensor: &v1::Tensor| mask_elements(&manifest, tensor).unwrap();
    let want: Vec<f32> = [1.0, 0.0, 0.0, 1.0].repeat(3);
    assert_eq!(mask(&f32s(&want[..4])), want);
    assert_eq!(mask(&f32s(&want)), want);
    assert_eq!(mask(&tensor(Format::RawU8, &[1, 0, 0, 1])), want);
    assert_eq!(mask(&tensor(Format::RawU8, &[255, 0, 0, 255])), want);
    assert_eq!(mask(&png(png::ColorType::Grayscale, 2, &[255, 0, 0, 255])), want);
    let rgb = [255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255];
    assert_eq!(mask(&png(png::ColorType::Rgb, 2, &rgb)), want);
    let outside = mask_elements(&manifest, &f32s(&[0.0, 1.5, 0.0, 0.0])).unwrap_err();
    assert!(outside.contains("1.5"), "{outside}");
    assert_eq!(mask_elements(&points(), &f32s(&[1.0, 0.0])), Ok(vec![1.0, 0.0]));
}

#[test]
fn the_digest_depends_on_every_input() {
    let given = |x: f32| Initial::States(vec![vec![x, 0.0]]);
    let known = |x: f32| KnownImage { image: vec![x], mask: vec![1.0] };
    assert_eq!(digest(&Initial::Noise, None), "");
    assert_eq!(digest(&given(1.0), None), digest(&given(1.0), None));
    assert_ne!(digest(&given(1.0), None), digest(&given(2.0), None));
    assert_ne!(digest(&given(1.0), None), digest(&given(1.0), Some(&known(0.0))));
    assert_ne!(
        digest(&Initial::Noise, Some(&known(0.0))),
        digest(&Initial::Noise, Some(&known(1.0)))
    );
}

#[test]
fn a_list_is_read_only_until_no_more_faults_are_reported() {
    let bad = tensor(Format::RawU8, &[]);
    let good = f32s(&[0.5, -0.5]);
    let images = [vec![bad; 1000], vec![good; 5]].concat();
    let images = v1::InitialImages { images, strength: Some(0.5) };
    let initial = v1::Initial { kind: Some(initial::Kind::Images(images)) };
    let mut faults = Faults::default();
    let read = read(&mut faults, &points(), Some(initial), None, 10_000);
    assert_eq!(faults.left(), 0);
    assert_eq!(*read.initial, Initial::States(vec![]));
}

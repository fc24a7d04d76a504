//! Zip archives of pictures, read in place.

use std::io::Write;

use ::zip::write::SimpleFileOptions;
use ::zip::{CompressionMethod, ZipWriter};

use super::*;

/// Creates an archive of fixtures: (name there, fixture), alternately stored and deflated.
pub(crate) fn zip_of(files: &[(&str, &str)]) -> TempDir {
    let dir = tempdir().unwrap();
    let mut zip = ZipWriter::new(fs::File::create(dir.path().join("pictures.zip")).unwrap());
    for (i, (name, original)) in files.iter().enumerate() {
        let method = [CompressionMethod::Stored, CompressionMethod::Deflated][i % 2];
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(&fs::read(fixture("data").join(original)).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    dir
}

fn source(dir: &TempDir) -> Source {
    Source::Folder(dir.path().join("pictures.zip"))
}

const PICTURES: [(&str, &str); 6] = [
    ("dog/1.webp", "halves.webp"),
    ("cat/2.JPG", "turned.jpg"),
    ("cat/1.bmp", "halves.bmp"),
    ("dog/3.png", "downsample_40_to_16.png"),
    ("notes.txt", "make.py"),
    ("__MACOSX/cat/._1.bmp", "make.py"),
];

#[test]
fn an_archive_equals_the_folder_that_was_packed() {
    let (zip, folder) = (zip_of(&PICTURES), folder_of(&PICTURES));
    let packed = load(&source(&zip), &sized(16)).unwrap();
    let plain = load(&Source::Folder(folder.path().to_path_buf()), &sized(16)).unwrap();
    assert_eq!(
        (packed.len(), packed.class_names().unwrap()),
        (4, &["cat".to_owned(), "dog".to_owned()][..])
    );
    assert_eq!(packed.class_names(), plain.class_names());
    assert!(
        (0..4).all(|i| packed.pixels(i) == plain.pixels(i) && packed.label(i) == plain.label(i))
    );
    assert_eq!(packed.forms(), plain.forms());
}

#[test]
fn the_folder_that_holds_everything_is_no_class() {
    let zip = zip_of(&[("all/of/b/1.bmp", "halves.bmp"), ("all/of/a/2.bmp", "halves.bmp")]);
    let set = load(&source(&zip), &sized(8)).unwrap();
    assert_eq!(set.class_names().unwrap(), ["a", "b"]);
    let one = zip_of(&[("all/1.bmp", "halves.bmp"), ("all/2.bmp", "halves.bmp")]);
    assert_eq!(load(&source(&one), &sized(8)).unwrap().class_names(), None);
}

#[test]
fn a_broken_picture_in_an_archive_is_named_or_skipped() {
    let zip =
        zip_of(&[("a/b.jpg", "truncated.jpg"), ("c.bmp", "halves.bmp"), ("d.png", "bomb.png")]);
    let message = refusal(&source(&zip), &sized(8));
    assert!(
        message.contains("2 of 3 pictures") && message.contains("pictures.zip/a/b.jpg"),
        "{message}"
    );
    let set = load(&source(&zip), &skipping(8)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 2));
}

#[test]
fn a_damaged_entry_is_broken_and_the_others_are_kept() {
    let dir = zip_of(&[("a.bmp", "halves.bmp"), ("b.bmp", "halves.bmp")]);
    let path = dir.path().join("pictures.zip");
    let mut bytes = fs::read(&path).unwrap();
    // In the middle of the first entry, which is stored: breaks its checksum.
    bytes[800] ^= 1;
    fs::write(&path, bytes).unwrap();
    let set = load(&source(&dir), &skipping(8)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 1));
    assert!(set.skipped()[0].0.ends_with("a.bmp"), "{:?}", set.skipped());
}

#[test]
fn a_name_that_leaves_the_archive_is_refused() {
    // Rename in the bytes, because archivers do not write such names.
    for hostile in ["../../b.png", "a/../../../"] {
        let dir = zip_of(&[("harmless.bm", "halves.bmp"), ("a.bmp", "halves.bmp")]);
        let path = dir.path().join("pictures.zip");
        let mut bytes = fs::read(&path).unwrap();
        for at in 0..bytes.len() - hostile.len() {
            if bytes[at..].starts_with(b"harmless.bm") {
                bytes[at..at + hostile.len()].copy_from_slice(hostile.as_bytes());
            }
        }
        fs::write(&path, bytes).unwrap();
        let message = refusal(&source(&dir), &sized(8));
        assert!(message.contains("outside of it"), "{message}");
    }
}

#[test]
fn a_truncated_archive_and_one_without_pictures_are_refused() {
    let dir = zip_of(&[("a.bmp", "halves.bmp")]);
    let path = dir.path().join("pictures.zip");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let message = refusal(&source(&dir), &sized(8));
    assert!(message.contains("not a complete zip archive"), "{message}");
    let empty = refusal(&source(&zip_of(&[("notes.txt", "make.py")])), &sized(8));
    assert!(empty.contains("no picture"), "{empty}");
}

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

/// Replaces `old` by `new`, of the same length, wherever it occurs in the bytes of an archive:
/// archivers do not write what is bad.
fn replace(dir: &TempDir, old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let path = dir.path().join("pictures.zip");
    let mut bytes = fs::read(&path).unwrap();
    for at in 0..bytes.len() - old.len() {
        if bytes[at..].starts_with(old) {
            bytes[at..at + new.len()].copy_from_slice(new);
        }
    }
    fs::write(&path, bytes).unwrap();
}

/// Sets two bytes of the entry `name`: of its local header and of the archive's directory.
fn set_field(dir: &TempDir, name: &str, local_at: usize, central_at: usize, value: u16) {
    let path = dir.path().join("pictures.zip");
    let mut bytes = fs::read(&path).unwrap();
    for (signature, header_len, at) in
        [(b"PK\x03\x04", 30, local_at), (b"PK\x01\x02", 46, central_at)]
    {
        let is_header = |&start: &usize| {
            bytes[start..].starts_with(signature)
                && bytes[start + header_len..].starts_with(name.as_bytes())
        };
        let start = (0..bytes.len() - header_len - name.len()).find(is_header).unwrap();
        bytes[start + at..start + at + 2].copy_from_slice(&value.to_le_bytes());
    }
    fs::write(&path, bytes).unwrap();
}

/// Checks that an entry is refused by its name, and that the other is loaded without it.
fn check(dir: &TempDir, name: &str, reason: &str) {
    let message = refusal(&source(dir), &sized(8));
    assert!(message.contains(name) && message.contains(reason), "{message}");
    let set = load(&source(dir), &skipping(8)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 1), "{:?}", set.skipped());
}

#[test]
fn a_name_that_leaves_the_archive_is_refused() {
    for hostile in ["../../b.png", "a/../../../", "/etc/passwd", r"..\..\x.png", "C:/auto.bat"] {
        let dir = zip_of(&[("harmless.bm", "halves.bmp"), ("a.bmp", "halves.bmp")]);
        replace(&dir, b"harmless.bm", hostile.as_bytes());
        check(&dir, hostile, "outside of it");
    }
}

#[test]
fn entries_that_cannot_be_unpacked_are_named_with_what_to_do() {
    let two = || zip_of(&[("bad.bmp", "halves.bmp"), ("good.bmp", "halves.bmp")]);
    let dir = two();
    set_field(&dir, "bad.bmp", 6, 8, 1);
    check(&dir, "bad.bmp", "it is encrypted; unpack the archive with its password");
    for (method, name) in [(14, "Lzma"), (9, "Deflate64"), (12, "Bzip2"), (93, "Zstd")] {
        let dir = two();
        set_field(&dir, "bad.bmp", 8, 10, method);
        check(&dir, "bad.bmp", &format!("compressed with {name}, which is not built in"));
    }
    let dir = two();
    replace(&dir, b"PK\x03\x04", b"PK\x03\x05");
    let message = refusal(&source(&dir), &sized(8));
    assert!(message.contains("none of its 2 pictures") || message.contains("zip"), "{message}");
}

#[test]
fn two_entries_of_one_name_are_named() {
    let dir = zip_of(&[("one.bmp", "halves.bmp"), ("two.bmp", "halves.bmp")]);
    replace(&dir, b"two.bmp", b"one.bmp");
    check(&dir, "one.bmp", "several entries have this name");
}

#[test]
fn a_link_in_an_archive_is_named() {
    let dir = tempdir().unwrap();
    let mut zip = ZipWriter::new(fs::File::create(dir.path().join("pictures.zip")).unwrap());
    zip.start_file("a.bmp", SimpleFileOptions::default()).unwrap();
    zip.write_all(&fs::read(fixture("data/halves.bmp")).unwrap()).unwrap();
    zip.add_symlink("b.bmp", "a.bmp", SimpleFileOptions::default()).unwrap();
    zip.finish().unwrap();
    check(&dir, "b.bmp", "it is a link");
}

#[test]
fn entries_that_share_their_data_are_refused_as_a_bomb() {
    let dir = zip_of(&[("a.bmp", "halves.bmp"), ("b.bmp", "halves.bmp")]);
    let path = dir.path().join("pictures.zip");
    let mut bytes = fs::read(&path).unwrap();
    let directory = (0..bytes.len()).rfind(|&at| bytes[at..].starts_with(b"PK\x01\x02")).unwrap();
    // Where the last entry begins: where the first does.
    bytes[directory + 42..directory + 46].fill(0);
    fs::write(&path, bytes).unwrap();
    let message = refusal(&source(&dir), &skipping(8));
    assert!(message.contains("share their data"), "{message}");
}

#[test]
fn a_picture_that_unpacks_to_gigabytes_is_named_and_not_unpacked() {
    let dir = zip_of(&[("bomb.png", "transparent.png"), ("good.bmp", "halves.bmp")]);
    // The upper half of the unpacked length.
    set_field(&dir, "bomb.png", 24, 26, 0x7fff);
    check(&dir, "bomb.png", "more than 512 MiB");
}

#[test]
fn names_in_older_encodings_keep_their_classes() {
    let files =
        [("AA/1.bmp", "halves.bmp"), ("AB/2.bmp", "halves.bmp"), ("cat/3.bmp", "halves.bmp")];
    let dir = zip_of(&files);
    // Shift JIS; the second byte of both is that of a backslash.
    replace(&dir, b"AA/", b"\x83\x5c/");
    replace(&dir, b"AB/", b"\x95\x5c/");
    let set = load(&source(&dir), &sized(8)).unwrap();
    // In CP437, as archives name nothing else.
    assert_eq!(set.class_names().unwrap(), ["cat", r"â\", r"ò\"]);
    let labels: Vec<_> = (0..3).filter_map(|i| set.label(i)).collect();
    assert_eq!(labels, [0, 1, 2]);
}

#[test]
fn one_picture_is_no_data_set() {
    let message = refusal(&Source::Folder(fixture("data/halves.bmp")), &sized(8));
    assert!(message.contains("it is one picture; name the folder"), "{message}");
}

#[test]
fn other_archives_are_named_with_what_to_do() {
    for (content, expected) in [
        (&b"\x1f\x8b\x08\0"[..], "compressed with gzip"),
        (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
    ] {
        let dir = tempdir().unwrap();
        fs::write(dir.path().join("pictures.zip"), content).unwrap();
        let message = refusal(&source(&dir), &sized(8));
        assert!(message.contains(expected) && message.contains("unpack it"), "{message}");
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

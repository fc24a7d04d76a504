//! One bad entry does not stop a folder: each is named, and left out or refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, mkfifoat, openat};

use super::*;

fn source(dir: &TempDir) -> Source {
    Source::Folder(dir.path().to_path_buf())
}

/// Makes a folder with one good picture.
fn good() -> TempDir {
    folder_of(&[("good.bmp", "halves.bmp")])
}

fn fifo(path: &Path) {
    mkfifoat(CWD, path, Mode::RWXU).unwrap();
}

/// Checks that a bad entry is refused by its name, and that the rest can be loaded without it.
fn check(dir: &TempDir, name: &str, reason: &str) {
    let message = refusal(&source(dir), &sized(8));
    assert!(message.contains(name) && message.contains(reason), "{message}");
    assert!(message.contains("--on-broken skip"), "{message}");
    let set = load(&source(dir), &skipping(8)).unwrap();
    assert_eq!((set.len(), set.skipped().len()), (1, 1), "{:?}", set.skipped());
}

#[test]
fn links_that_lead_nowhere_or_back_are_named() {
    let dir = good();
    symlink("not/there", dir.path().join("a.png")).unwrap();
    check(&dir, "a.png", "leads to not/there, which is not there");
    let dir = good();
    fs::create_dir(dir.path().join("sub")).unwrap();
    symlink("..", dir.path().join("sub/up")).unwrap();
    check(&dir, "sub/up", "leads back to");
    // Out of the folder, to one that holds it.
    let dir = good();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::rename(dir.path().join("good.bmp"), inner.join("good.bmp")).unwrap();
    symlink("..", inner.join("up")).unwrap();
    let set = load(&Source::Folder(inner), &skipping(8)).unwrap();
    assert!(set.skipped()[0].1.contains("which holds this data"), "{:?}", set.skipped());
    assert_eq!((set.len(), set.skipped().len()), (1, 1));
    let dir = good();
    symlink("self", dir.path().join("self")).unwrap();
    check(&dir, "self", "cannot follow the link");
}

#[test]
fn fifos_sockets_and_devices_are_named_and_never_opened() {
    let dir = good();
    fifo(&dir.path().join("a.png"));
    check(&dir, "a.png", "it is a FIFO");
    let dir = good();
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    check(&dir, "socket", "it is a socket");
    let dir = good();
    symlink("/dev/zero", dir.path().join("zero.png")).unwrap();
    check(&dir, "zero.png", "it is a device");
}

#[test]
fn what_may_not_be_read_is_named() {
    for name in ["file.png", "folder"] {
        let dir = good();
        let path = dir.path().join(name);
        match name {
            "folder" => fs::create_dir(&path).unwrap(),
            _ => fs::write(&path, b"secret").unwrap(),
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        // Root reads everything.
        if fs::read(&path).is_err_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
        {
            check(&dir, name, "ermission denied");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn folders_nested_too_deep_for_a_path_are_named() {
    let dir = good();
    let part = "d".repeat(200);
    // Step by step, as no path is long enough.
    let mut parent = openat(CWD, dir.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..30 {
        mkdirat(&parent, &part, Mode::RWXU).unwrap();
        parent = openat(&parent, &part, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    check(&dir, &part, "cannot read it");
}

#[test]
fn folders_that_link_to_each_other_end() {
    let dir = good();
    // Each of 30 folders links twice to the next: 2^30 paths without a loop.
    for i in 0..30 {
        let folder = dir.path().join(format!("{i}"));
        fs::create_dir(&folder).unwrap();
        for name in ["a", "b"] {
            symlink(format!("../{}", i + 1), folder.join(name)).unwrap();
        }
    }
    fs::create_dir(dir.path().join("30")).unwrap();
    let set = load(&source(&dir), &skipping(8)).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.skipped()[0].1.contains("over and over"), "{:?}", set.skipped()[0]);
}

#[test]
fn odd_names_are_read_and_shown_without_harm() {
    let dir = tempdir().unwrap();
    for name in [&b"\xff\xfe.bmp"[..], b"\xfe\xff.bmp", b"a\x1b[2J\n.bmp", "ünï 1.bmp".as_bytes()]
    {
        fs::copy(fixture("data/halves.bmp"), dir.path().join(OsStr::from_bytes(name))).unwrap();
    }
    let set = load(&source(&dir), &sized(8)).unwrap();
    let name = |i| set.item_name(i).rsplit('/').next().unwrap().to_owned();
    let names: Vec<String> = (0..set.len()).map(name).collect();
    assert_eq!(names, [r"a\u{1b}[2J\n.bmp", "ünï 1.bmp", r"\xfe\xff.bmp", r"\xff\xfe.bmp"]);

    fs::write(dir.path().join(OsStr::from_bytes(b"\xfd\x07.png")), b"").unwrap();
    let message = refusal(&source(&dir), &sized(8));
    assert!(message.contains(r"\xfd\u{7}.png: it is empty"), "{message}");
}

#[test]
fn a_bad_shard_or_environment_does_not_stop_the_others() {
    let dir = tempdir().unwrap();
    let tables = fixture("data/parquet");
    let shard = |i: usize| format!("train-{i:05}-of-00002.parquet");
    for name in [shard(0), shard(1)] {
        fs::copy(tables.join(&name), dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("a.parquet"), b"version https://git-lfs").unwrap();
    symlink("nowhere", dir.path().join("b.parquet")).unwrap();
    fifo(&dir.path().join("c.parquet"));
    let parquet = Source::Parquet(dir.path().to_path_buf());
    let message = refusal(&parquet, &LoadOptions::default());
    assert!(message.contains("a.parquet"), "{message}");
    let skip = LoadOptions { on_broken: OnBroken::Skip, ..Default::default() };
    let set = load(&parquet, &skip).unwrap();
    assert_eq!((set.len(), names_of(&set)), (6, vec!["a.parquet", "b.parquet", "c.parquet"]));

    let dir = tempdir().unwrap();
    let environment = fs::read(fixture("data/lsun/cat_train_lmdb/data.mdb")).unwrap();
    for name in ["bird_train_lmdb", "cat_train_lmdb", "dog_train_lmdb", "eel_train_lmdb"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("bird_train_lmdb/data.mdb"), &environment[..9000]).unwrap();
    fs::write(dir.path().join("cat_train_lmdb/data.mdb"), &environment).unwrap();
    fifo(&dir.path().join("dog_train_lmdb/data.mdb"));
    symlink("nowhere", dir.path().join("eel_train_lmdb/data.mdb")).unwrap();
    let lsun = Source::Lsun(dir.path().to_path_buf());
    assert!(refusal(&lsun, &sized(8)).contains("bird_train_lmdb"));
    let set = load(&lsun, &skipping(8)).unwrap();
    let expected = vec!["bird_train_lmdb", "dog_train_lmdb", "eel_train_lmdb"];
    assert_eq!((set.len(), names_of(&set)), (3, expected));
}

#[test]
fn a_fifo_in_the_place_of_a_file_is_never_waited_for() {
    let faces = tempdir().unwrap();
    fs::create_dir(faces.path().join("img_align_celeba")).unwrap();
    let face = faces.path().join("img_align_celeba/000001.jpg");
    fs::copy(fixture("data/aligned.jpg"), face).unwrap();
    fifo(&faces.path().join("list_eval_partition.txt"));
    let all = LoadOptions { split: Split::All, ..Default::default() };
    let message = refusal(&Source::CelebA(faces.path().to_path_buf()), &all);
    assert!(message.contains("list_eval_partition.txt") && message.contains("a FIFO"), "{message}");

    let digits = tempdir().unwrap();
    fifo(&digits.path().join("train-images-idx3-ubyte"));
    let message = refusal(&Source::Idx(digits.path().to_path_buf()), &LoadOptions::default());
    assert!(message.contains("train-images-idx3-ubyte"), "{message}");
    let batches = tempdir().unwrap();
    fifo(&batches.path().join("data_batch_1.bin"));
    let message = refusal(&Source::Cifar10(batches.path().to_path_buf()), &LoadOptions::default());
    assert!(message.contains("data_batch_1.bin"), "{message}");
}

/// The names of what was left out: of a shard, or of the folder of an environment.
fn names_of(set: &Dataset) -> Vec<&str> {
    set.skipped().iter().map(|(path, _)| known_part(path)).collect()
}

fn known_part(path: &Path) -> &str {
    let is_known = |part: &&str| part.ends_with(".parquet") || part.ends_with("_lmdb");
    path.to_str().unwrap().rsplit('/').find(is_known).unwrap()
}

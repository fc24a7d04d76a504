//! LSUN's LMDB folders, written by the reference implementation of LMDB.

use super::*;

const GREEN: [u8; 3] = [0, 255, 0];
const GREY: [u8; 3] = [80; 3];

fn lsun() -> PathBuf {
    fixture("data/lsun")
}

fn split_at_size(split: Split, size: usize) -> LoadOptions {
    LoadOptions { split, ..sized(size) }
}

fn names(set: &Dataset) -> Vec<String> {
    let name = |i| set.item_name(i).rsplit('/').next().unwrap().to_owned();
    (0..set.len()).map(name).collect()
}

/// Creates a folder `name` with `content` as its `data.mdb`, in another folder.
fn environment(name: &str, content: &[u8]) -> TempDir {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join(name)).unwrap();
    fs::write(dir.path().join(name).join("data.mdb"), content).unwrap();
    dir
}

#[test]
fn the_values_of_a_folder_are_its_pictures_in_the_order_of_their_keys() {
    let set = load(&Source::Lsun(lsun().join("cat_train_lmdb")), &sized(8)).unwrap();
    assert_eq!(set.kind(), ItemShape::Images { channels: 3, height: 8, width: 8 });
    assert_eq!((names(&set), set.flips()), (vec!["a1".into(), "b2".into(), "c3".into()], true));
    assert!(is_close(pixel(&set, 0, 4, 4), RED) && is_close(pixel(&set, 1, 4, 4), BLUE));
    assert_eq!(set.class_names(), None);
    // The third value is larger than a page of LMDB, and is read whole.
    assert_eq!(set.forms().keys().map(|form| form.width).collect::<Vec<_>>(), [32, 48]);
}

#[test]
fn categories_are_classes_and_folder_names_tell_the_split() {
    let set = load(&Source::Lsun(lsun()), &sized(8)).unwrap();
    assert_eq!(set.class_names().unwrap(), ["cat", "church_outdoor"]);
    assert_eq!((0..5).map(|i| set.label(i).unwrap()).collect::<Vec<_>>(), [0, 0, 0, 1, 1]);
    assert!(is_close(pixel(&set, 3, 1, 1), GREEN) && is_close(pixel(&set, 4, 1, 1), GREY));

    let unlabelled = LoadOptions { labels: LabelSource::None, ..sized(8) };
    assert_eq!(load(&Source::Lsun(lsun()), &unlabelled).unwrap().class_names(), None);

    let message = refusal(&Source::Lsun(lsun()), &split_at_size(Split::Test, 8));
    assert!(message.contains("of this split"), "{message}");
}

#[test]
fn values_that_are_no_pictures_are_broken_and_named_by_their_keys() {
    let message = refusal(&Source::Lsun(lsun()), &split_at_size(Split::Valid, 8));
    assert!(message.contains("2 of 3 pictures") && message.contains("lmdb/torn"), "{message}");

    let set = load(&Source::Lsun(lsun()), &LoadOptions { split: Split::All, ..skipping(8) });
    let set = set.unwrap();
    let left_out: Vec<_> =
        set.skipped().iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(left_out, ["torn", "words"]);
    // Labels are those of the remaining pictures.
    assert_eq!((0..6).map(|i| set.label(i).unwrap()).collect::<Vec<_>>(), [0, 0, 0, 0, 1, 1]);
    assert_eq!(names(&set)[3], "good");
}

#[test]
fn nothing_is_written_beside_the_data() {
    let whole = fs::read(lsun().join("cat_train_lmdb/data.mdb")).unwrap();
    let dir = environment("cat", &whole);
    load(&Source::Lsun(dir.path().to_path_buf()), &sized(8)).unwrap();
    let left: Vec<_> = fs::read_dir(dir.path().join("cat"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["data.mdb"]);
    assert_eq!(fs::read(dir.path().join("cat/data.mdb")).unwrap(), whole);
}

#[test]
fn a_file_cut_anywhere_is_refused_by_name() {
    let whole = fs::read(lsun().join("cat_train_lmdb/data.mdb")).unwrap();
    for length in [0, 100, 4096, 8191, 8192, 3 * 4096, whole.len() - 1] {
        let dir = environment("cat", &whole[..length]);
        let message = refusal(&Source::Lsun(dir.path().to_path_buf()), &sized(8));
        assert!(message.contains("data.mdb"), "{length} bytes: {message}");
    }
    let dir = environment("cat", &[7; 20_000]);
    let message = refusal(&Source::Lsun(dir.path().to_path_buf()), &sized(8));
    assert!(message.contains("as LMDB") && message.contains("fetch it again"), "{message}");
}

#[test]
fn a_place_without_lmdb_is_refused_with_advice() {
    let absent = refusal(&Source::Lsun("bedroom_train_lmdb.zip".into()), &sized(8));
    assert!(absent.contains("unpacked first"), "{absent}");
    let nothing = tempdir().unwrap();
    let message = refusal(&Source::Lsun(nothing.path().to_path_buf()), &sized(8));
    assert!(message.contains("no data.mdb"), "{message}");
}

#[test]
fn one_data_set_can_be_loaded_by_several_threads_at_once() {
    let path = fixture("data/lsun/cat_train_lmdb");
    let source = Source::Lsun(path);
    std::thread::scope(|scope| {
        let loads: Vec<_> = (0..8).map(|_| scope.spawn(|| load(&source, &skipping(8)))).collect();
        for loaded in loads {
            assert!(loaded.join().unwrap().unwrap().len() > 0);
        }
    });
}

#[test]
fn a_folder_without_a_category_is_no_class() {
    let data = fs::read(lsun().join("cat_train_lmdb/data.mdb")).unwrap();
    let dir = environment("cat_train_lmdb", &data);
    fs::create_dir(dir.path().join("train_lmdb")).unwrap();
    fs::write(dir.path().join("train_lmdb/data.mdb"), &data).unwrap();
    let source = Source::Lsun(dir.path().to_path_buf());
    let message = refusal(&source, &sized(8));
    assert!(message.contains("train_lmdb has no category"), "{message}");
    assert!(message.contains("cat_train_lmdb") && message.contains("--no-labels"), "{message}");
    let unlabelled = LoadOptions { labels: LabelSource::None, ..sized(8) };
    assert_eq!(load(&source, &unlabelled).unwrap().len(), 6);
    fs::remove_dir_all(dir.path().join("train_lmdb")).unwrap();
    let set = load(&source, &sized(8)).unwrap();
    assert!(set.label_summary().contains("`cat` is the only category"), "{}", set.label_summary());
}

//! Labels of folders and archives: what they come from, and what is said when they are unclear.

use super::*;
use crate::archive::zip_of;

const CAT: &str = "halves.bmp";

/// Creates a folder of pictures with these names, and of text files.
fn pictures(names: &[&str], texts: &[(&str, &str)]) -> TempDir {
    let files: Vec<_> = names.iter().map(|name| (*name, CAT)).collect();
    let dir = folder_of(&files);
    for (name, text) in texts {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn from(labels: &str) -> LoadOptions {
    LoadOptions { labels: labels.parse().unwrap(), ..sized(4) }
}

fn loaded(dir: &TempDir, options: &LoadOptions) -> Dataset {
    load(&Source::Folder(dir.path().to_path_buf()), options).unwrap()
}

fn refused(dir: &TempDir, options: &LoadOptions) -> String {
    refusal(&Source::Folder(dir.path().to_path_buf()), options)
}

/// Returns the class of each picture, by name.
fn classes(set: &Dataset) -> Vec<String> {
    let names = set.class_names().unwrap();
    (0..set.len()).map(|i| names[set.label(i).unwrap()].clone()).collect()
}

#[test]
fn sub_folders_are_classes_unless_none_are_wanted() {
    let dir = pictures(&["dog/1.bmp", "cat/2.bmp", "cat/1.bmp"], &[]);
    let set = loaded(&dir, &sized(4));
    assert_eq!(classes(&set), ["cat", "cat", "dog"]);
    assert_eq!(set.label_summary(), "from folders: 2 classes");
    let set = loaded(&dir, &from("none"));
    assert_eq!((set.class_names(), set.label(0)), (None, None));
    assert!(set.label_summary().starts_with("none: `--labels none`"), "{}", set.label_summary());
}

#[test]
fn a_deeper_picture_is_of_its_top_folder() {
    let set = loaded(&pictures(&["cat/1.bmp", "cat/kittens/a/1.bmp", "dog/1.bmp"], &[]), &sized(4));
    assert_eq!(classes(&set), ["cat", "cat", "dog"]);
}

#[test]
fn numbered_classes_are_in_the_order_of_their_numbers() {
    let names: Vec<String> =
        (0..12).flat_map(|class| [0, 1].map(|i| format!("{class}/{i}.bmp"))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let set = loaded(&pictures(&names, &[]), &sized(4));
    let expected: Vec<String> = (0..12).map(|class| class.to_string()).collect();
    assert_eq!(set.class_names().unwrap(), expected);
    // Pictures still come in the order of their paths.
    assert_eq!(classes(&set)[..6], ["0", "0", "1", "1", "10", "10"]);
}

#[test]
fn a_picture_beside_class_folders_is_refused_until_a_flag_decides() {
    for stray in ["cover.bmp", "all/cover.bmp"] {
        let dir = pictures(&["all/cat/1.bmp", "all/dog/1.bmp", stray], &[]);
        let message = refused(&dir, &sized(4));
        for part in [
            "no label for 1 of 3 pictures",
            &format!("first is {stray}"),
            "class folders cat, dog",
            "`--labels folders`",
            "`--no-labels`",
        ] {
            assert!(message.contains(part), "{part}: {message}");
        }
        let set = loaded(&dir, &from("folders"));
        assert_eq!(classes(&set), ["cat", "dog"]);
        assert_eq!(set.unlabelled(), [dir.path().join(stray)]);
        let line = "from folders in `all`: 2 classes; left out without a label: 1";
        assert!(stray == "cover.bmp" || set.label_summary() == line, "{}", set.label_summary());
        assert_eq!(loaded(&dir, &from("none")).len(), 3);
    }
}

#[test]
fn without_class_folders_the_line_says_why_and_what_could_give_labels() {
    let set = loaded(&pictures(&["a.bmp", "b.bmp"], &[]), &sized(4));
    let line = "none: the pictures lie in no sub-folders; `--labels` can name another source";
    assert_eq!(set.label_summary(), line);
    let set = loaded(&pictures(&["a.bmp", "deep/er/b.bmp"], &[]), &sized(4));
    assert!(set.label_summary().contains("`deep/er` is the only sub-folder"));
    let set = loaded(&pictures(&["cat.1.bmp", "dog.1.bmp"], &[]), &sized(4));
    assert!(set.label_summary().contains("`--labels file-names`"), "{}", set.label_summary());
    let message = refused(&pictures(&["a.bmp", "b.bmp"], &[]), &from("folders"));
    assert!(message.contains("no two sub-folders can be classes"), "{message}");
}

#[test]
fn test_pictures_are_never_among_those_of_training() {
    let names = ["test/cat/9.bmp", "train/cat/1.bmp", "train/dog/1.bmp", "val/dog/8.bmp"];
    for dir in [
        pictures(&names, &[]),
        pictures(&names.map(str::to_uppercase).each_ref().map(String::as_str), &[]),
    ] {
        let set = loaded(&dir, &sized(4));
        assert_eq!((set.len(), set.class_names().unwrap().len()), (2, 2));
        assert_eq!(set.notes().len(), 2, "{:?}", set.notes());
        let of = |split| loaded(&dir, &LoadOptions { split, ..sized(4) });
        assert_eq!([Split::Test, Split::Valid, Split::All].map(|split| of(split).len()), [1, 1, 4]);
        assert_eq!(of(Split::All).class_names().unwrap().len(), 2);
        // Pictures of other splits are not trained on without labels either.
        assert_eq!(loaded(&dir, &from("none")).len(), 2);
    }
    let unclear = pictures(&["cat/1.bmp", "dog/1.bmp", "test/1.bmp"], &[]);
    let message = refused(&unclear, &from("none"));
    assert!(message.contains("`test` is named like a split"), "{message}");
    let missing = refused(&pictures(&["cat/1.bmp", "dog/1.bmp"], &[]), &test_split());
    assert!(missing.contains("no split test, only train and all"), "{missing}");
}

#[test]
fn parts_of_a_numbered_set_are_no_classes() {
    let parts = ["00000/00000.bmp", "00000/00001.bmp", "01000/01000.bmp"];
    let dir = pictures(&parts, &[]);
    let set = loaded(&dir, &sized(4));
    assert_eq!((set.len(), set.class_names()), (3, None));
    assert!(set.label_summary().contains("parts of a numbered set"), "{}", set.label_summary());
    assert_eq!(loaded(&dir, &from("folders")).class_names().unwrap(), ["00000", "01000"]);
    let message = refused(&pictures(&["part-1/a.bmp", "part-2/b.bmp"], &[]), &sized(4));
    assert!(message.contains("may be classes, or parts of one set"), "{message}");
}

const DATASET_JSON: &str = r#"{"labels": [["00000/img00000000.bmp", 2],
    ["00000/img00000001.bmp", 0], ["00001\\img00000002.bmp", 2], ["gone.bmp", 3]]}"#;
const EDM: [&str; 3] = ["00000/img00000000.bmp", "00000/img00000001.bmp", "00001/img00000002.bmp"];

#[test]
fn the_labels_of_dataset_json_are_used_in_folders_and_archives() {
    let dir = pictures(&EDM, &[("dataset.json", DATASET_JSON)]);
    let set = loaded(&dir, &sized(4));
    assert_eq!(classes(&set), ["2", "0", "2"]);
    assert_eq!(set.label_summary(), "from dataset.json: 4 classes");
    let packed: Vec<_> = EDM.iter().map(|name| (format!("faces/{name}"), CAT)).collect();
    let mut packed: Vec<_> = packed.iter().map(|(name, from)| (name.as_str(), *from)).collect();
    fs::write(dir.path().join("labels"), DATASET_JSON).unwrap();
    let labels = dir.path().join("labels");
    packed.push(("faces/dataset.json", labels.to_str().unwrap()));
    let zip = zip_of(&packed);
    let set = load(&Source::Folder(zip.path().join("pictures.zip")), &sized(4)).unwrap();
    assert_eq!(classes(&set), ["2", "0", "2"]);
}

#[test]
fn pictures_that_dataset_json_does_not_name_are_refused_or_left_out() {
    let more = [&EDM[..], &["00001/img00000003.bmp"]].concat();
    let dir = pictures(&more, &[("dataset.json", DATASET_JSON)]);
    let message = refused(&dir, &sized(4));
    assert!(message.contains("no label for 1 of 4 pictures"), "{message}");
    assert!(message.contains("img00000003") && message.contains("`--labels dataset-json`"));
    let set = loaded(&dir, &from("dataset-json"));
    assert_eq!((set.len(), set.unlabelled().len()), (3, 1));

    let without = pictures(&EDM, &[("dataset.json", "{\"labels\": null}")]);
    let set = loaded(&without, &sized(4));
    assert_eq!((set.len(), set.class_names()), (3, None));
    assert!(set.label_summary().contains("dataset.json says so"), "{}", set.label_summary());
    assert!(refused(&without, &from("dataset-json")).contains("no labels"));
    let broken = pictures(&EDM, &[("dataset.json", "{\"labels\": [[1]]}")]);
    let message = refused(&broken, &sized(4));
    assert!(message.contains("dataset.json: it is not as") && message.contains("--no-labels"));
    assert_eq!(loaded(&broken, &from("none")).len(), 3);
    // A file of another program decides nothing.
    let other = pictures(&["cat/1.bmp", "dog/1.bmp"], &[("dataset.json", "{\"images\": []}")]);
    let set = loaded(&other, &sized(4));
    assert_eq!(classes(&set), ["cat", "dog"]);
    assert!(set.notes()[0].contains("dataset.json has no `labels`"), "{:?}", set.notes());
}

#[test]
fn a_column_of_metadata_names_the_classes() {
    let csv = "file_name,label\n1.bmp,10\n2.bmp,9\nsub/3.bmp,10\n";
    let dir = pictures(&["1.bmp", "2.bmp", "sub/3.bmp"], &[("metadata.csv", csv)]);
    let set = loaded(&dir, &sized(4));
    assert_eq!(
        (set.class_names().unwrap(), classes(&set)),
        (&["9".to_owned(), "10".to_owned()][..], vec!["10".into(), "9".into(), "10".into()])
    );
    assert_eq!(set.label_summary(), "from metadata.csv, column `label`: 2 classes");

    let lines = "{\"file_name\": \"1.bmp\", \"breed\": \"pug\", \"label_a\": 1, \"label_b\": 2}";
    let nested = [("train/metadata.jsonl", lines), ("test/metadata.jsonl", lines)];
    let dir = pictures(&["train/1.bmp", "train/2.bmp", "test/1.bmp"], &nested);
    let message = refused(&dir, &sized(4));
    assert!(message.contains("`--labels metadata:label_a`"), "{message}");
    let set = loaded(&dir, &from("metadata:breed"));
    assert_eq!((classes(&set), set.unlabelled().len()), (vec!["pug".to_owned()], 1));
    let message = refused(&dir, &from("metadata:colour"));
    assert!(message.contains("no column colour; its columns are breed, file_name"), "{message}");
}

#[test]
fn a_column_of_metadata_tells_the_split() {
    let csv = "file_name,label,split\n1.bmp,x,train\n2.bmp,y,test\n3.bmp,y,train\n";
    let dir = pictures(&["1.bmp", "2.bmp", "3.bmp"], &[("metadata.csv", csv)]);
    assert_eq!(classes(&loaded(&dir, &sized(4))), ["x", "y"]);
    let without = loaded(&dir, &from("none"));
    assert_eq!((without.len(), without.notes().len()), (2, 1), "{:?}", without.notes());
    let test = loaded(&dir, &LoadOptions { split: Split::Test, ..sized(4) });
    assert_eq!(classes(&test), ["y"]);
    // What may tell splits and cannot be used is never passed over.
    for unusable in [&b"image_id,split\n1.bmp,train\n2.bmp,test\n"[..], b"file_name,split\n\xff"] {
        let dir = pictures(&["a/1.bmp", "b/2.bmp"], &[]);
        std::fs::write(dir.path().join("metadata.csv"), unusable).unwrap();
        let set = loaded(&dir, &from("folders"));
        assert!(
            set.notes()[0].contains("may say which pictures are for testing"),
            "{:?}",
            set.notes()
        );
    }
    let odd = "file_name,label,split\n1.bmp,x,0\n2.bmp,y,1\n3.bmp,y,0\n";
    let dir = pictures(&["1.bmp", "2.bmp", "3.bmp"], &[("metadata.csv", odd)]);
    let set = loaded(&dir, &sized(4));
    assert!(set.notes()[0].contains("other than train, valid and test"), "{:?}", set.notes());
}

#[test]
fn a_file_of_labels_that_cannot_be_read_stops_only_those_who_need_it() {
    for name in ["metadata.csv", "metadata.jsonl", "dataset.json"] {
        let dir = pictures(&["a/1.bmp", "b/2.bmp"], &[]);
        std::os::unix::fs::symlink(name, dir.path().join(name)).unwrap();
        let skipping = |options| LoadOptions { on_broken: OnBroken::Skip, ..options };
        assert_eq!(loaded(&dir, &skipping(from("folders"))).len(), 2, "{name}");
        assert_eq!(loaded(&dir, &skipping(from("none"))).len(), 2, "{name}");
        let message = refused(&dir, &skipping(sized(4)));
        assert!(message.contains(name) && message.contains("--labels folders"), "{message}");
    }
}

#[test]
fn files_with_different_columns_of_labels_are_refused() {
    let files = [
        ("a/metadata.csv", "file_name,label\n1.bmp,x\n"),
        ("b/metadata.csv", "file_name,class\n2.bmp,y\n"),
    ];
    let message = refused(&pictures(&["a/1.bmp", "b/2.bmp"], &files), &sized(4));
    assert!(message.contains("is class") && message.contains("label"), "{message}");
}

#[test]
fn metadata_without_labels_leaves_the_folders_and_is_mentioned() {
    let captions = [("metadata.csv", "file_name,text\ncat/1.bmp,a cat\ndog/1.bmp,a dog\n")];
    let dir = pictures(&["cat/1.bmp", "dog/1.bmp"], &captions);
    let set = loaded(&dir, &sized(4));
    assert_eq!(classes(&set), ["cat", "dog"]);
    assert!(set.notes()[0].contains("metadata.csv gives no labels"), "{:?}", set.notes());
    let message = refused(&dir, &from("metadata"));
    assert!(message.contains("its columns are file_name, text"), "{message}");
    assert_eq!(classes(&loaded(&dir, &from("metadata:text"))), ["a cat", "a dog"]);
    let splits = pictures(&["train/cat/1.bmp", "test/cat/2.bmp"], &[]);
    let message = refused(&splits, &from("metadata"));
    assert!(message.contains("there is no metadata.csv"), "{message}");
    let both = [("metadata.csv", "file_name,label\n"), ("metadata.jsonl", "")];
    let message = refused(&pictures(&["1.bmp"], &both), &sized(4));
    assert!(message.contains("both metadata.csv and metadata.jsonl"), "{message}");
}

#[test]
fn file_names_give_labels_when_they_are_asked_for() {
    let dir = pictures(&["cat.1.bmp", "cat_02.bmp", "dog (3).bmp", "cover.bmp"], &[]);
    let set = loaded(&dir, &from("file-names"));
    assert_eq!(classes(&set), ["cat", "cat", "dog"]);
    assert_eq!(set.unlabelled(), [dir.path().join("cover.bmp")]);
    let message = refused(&pictures(&["a.bmp", "b.bmp"], &[]), &from("file-names"));
    assert!(message.contains("no label for 2 of 2 pictures"), "{message}");
    let message = refused(&dir, &from("column:label"));
    assert!(message.contains("`--labels metadata:label`"), "{message}");
}

#[test]
fn a_class_whose_pictures_are_all_broken_is_mentioned() {
    let files = [("cat/1.bmp", CAT), ("dog/1.bmp", CAT), ("owl/1.jpg", "truncated.jpg")];
    let set = load(&Source::Folder(folder_of(&files).path().to_path_buf()), &skipping(4));
    let set = set.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(set.class_names().unwrap(), ["cat", "dog"]);
    assert!(set.notes()[0].contains("`owl` is no class"), "{:?}", set.notes());
}

#[test]
fn names_that_differ_in_case_only_are_two_classes_and_are_mentioned() {
    let set = loaded(&pictures(&["Cat/1.bmp", "cat/1.bmp"], &[]), &sized(4));
    assert_eq!(classes(&set), ["Cat", "cat"]);
    assert!(set.notes()[0].contains("`Cat` and `cat` are two classes"), "{:?}", set.notes());
}

#[test]
fn names_are_found_whatever_the_unicode_normal_form_of_a_list_is() {
    let csv = "file_name,label\ncaf\u{e9}.bmp,x\ntea.bmp,y\n";
    let dir = pictures(&["cafe\u{301}.bmp", "tea.bmp"], &[("metadata.csv", csv)]);
    assert_eq!(classes(&loaded(&dir, &sized(4))), ["x", "y"]);
}

//! Label columns of Parquet tables that are written here: names, types, and several at once.

use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// Writes a table of two pictures.
///
/// * `columns`: the columns besides that of pictures, in Parquet's language. Labels are 7 and 3,
///   `pug` and `cat`, true and false.
/// * `classes`: the columns that Hugging Face's metadata describe as class labels.
fn table(columns: &[&str], classes: &[&str]) -> TempDir {
    let dir = tempdir().unwrap();
    let schema = format!("message m {{ required binary image; {}; }}", columns.join("; "));
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let names: Vec<String> = (0..8).map(|class| format!("class {class}")).collect();
    let features: serde_json::Map<_, _> = (classes.iter())
        .map(|name| ((*name).into(), serde_json::json!({"_type": "ClassLabel", "names": names})))
        .collect();
    let description = serde_json::json!({"info": {"features": features}}).to_string();
    let pair = KeyValue::new("huggingface".to_owned(), description);
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![pair])).build();
    let file = fs::File::create(dir.path().join("train.parquet")).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let picture = ByteArray::from(fs::read(fixture("data/halves.bmp")).unwrap());
    let words = ["pug", "cat"].map(|word| ByteArray::from(word.as_bytes().to_vec()));
    for written in [&["required binary image"], columns].concat() {
        let mut column = group.next_column().unwrap().unwrap();
        // Each list has one value, and begins a row.
        let list = written.starts_with("repeated");
        let (defined, starts) = (list.then_some(&[1, 1][..]), list.then_some(&[0, 0][..]));
        match written.split(' ').nth(1) {
            Some("int64") => column.typed::<Int64Type>().write_batch(&[7, 3], defined, starts),
            Some("boolean") => {
                column.typed::<BoolType>().write_batch(&[true, false], defined, starts)
            }
            Some("float") => column.typed::<FloatType>().write_batch(&[0.5, 1.5], defined, starts),
            _ => {
                let pictures = [picture.clone(), picture.clone()];
                let values = if written.ends_with("image") { &pictures } else { &words };
                column.typed::<ByteArrayType>().write_batch(values, defined, starts)
            }
        }
        .unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    dir
}

fn options(labels: &str) -> LoadOptions {
    LoadOptions { labels: labels.parse().unwrap(), ..sized(4) }
}

fn loaded(dir: &TempDir, labels: &str) -> Dataset {
    load(&Source::Parquet(dir.path().to_path_buf()), &options(labels)).unwrap()
}

fn refused(dir: &TempDir, labels: &str) -> String {
    refusal(&Source::Parquet(dir.path().to_path_buf()), &options(labels))
}

/// Returns the class of each picture, by name.
fn classes(set: &Dataset) -> [String; 2] {
    let names = set.class_names().unwrap();
    [0, 1].map(|i| names[set.label(i).unwrap()].clone())
}

#[test]
fn the_only_column_that_is_named_like_labels_or_described_as_such_is_used() {
    for (columns, described, from) in [
        (&["required int64 labels"][..], &[][..], "labels"),
        (&["required int64 fine_label"], &[], "fine_label"),
        (&["required int64 width", "required int64 breed"], &["breed"], "breed"),
        (&["required int64 label", "required binary label_name (STRING)"], &["label"], "label"),
    ] {
        let set = loaded(&table(columns, described), "auto");
        let name = |number| match described {
            [] => format!("{number}"),
            _ => format!("class {number}"),
        };
        assert_eq!(classes(&set), [name(7), name(3)], "{columns:?}");
        assert_eq!(set.label_summary(), format!("from column `{from}`: 8 classes"));
    }
}

#[test]
fn words_and_switches_are_names_of_classes() {
    let set = loaded(&table(&["required binary category (STRING)"], &[]), "auto");
    assert_eq!(
        (classes(&set), set.class_names().unwrap()),
        (["pug".into(), "cat".into()], &["cat".to_owned(), "pug".to_owned()][..])
    );
    let set = loaded(&table(&["required boolean class"], &[]), "auto");
    assert_eq!(classes(&set), ["true", "false"]);
}

#[test]
fn several_columns_of_labels_are_refused_until_one_is_chosen() {
    let two = ["required int64 fine_label", "required int64 coarse_label"];
    for described in [&[][..], &["fine_label", "coarse_label"]] {
        let dir = table(&two, described);
        let message = refused(&dir, "auto");
        assert!(message.contains("`--labels column:fine_label`"), "{message}");
        assert!(message.contains("coarse_label may all be labels"), "{message}");
        let set = loaded(&dir, "column:coarse_label");
        assert!(set.label_summary().starts_with("from column `coarse_label`"));
        assert_eq!(loaded(&dir, "none").class_names(), None);
    }
    let rival = table(&["required int64 label", "required int64 breed"], &["breed"]);
    assert!(refused(&rival, "auto").contains("breed, label may all be labels"));
    let message = refused(&rival, "column:colour");
    assert!(message.contains("no column colour; its columns are label, breed"), "{message}");
}

#[test]
fn a_list_of_labels_and_real_numbers_are_refused_clearly() {
    let list = table(&["repeated int64 labels"], &[]);
    let message = refused(&list, "auto");
    assert!(message.contains("labels holds several values in each row"), "{message}");
    assert!(message.contains("--no-labels"), "{message}");
    let both = table(&["repeated int64 labels", "required int64 class"], &[]);
    assert!(loaded(&both, "auto").label_summary().starts_with("from column `class`"));
    let real = refused(&table(&["required float target"], &[]), "auto");
    assert!(real.contains("must be integers or text") && real.contains("column:NAME"), "{real}");
}

#[test]
fn a_table_without_labels_says_which_columns_it_has() {
    let set = loaded(&table(&["required int64 width"], &[]), "auto");
    let line = "none: no column is named like labels, only width; `--labels column:NAME` takes one \
                of them";
    assert_eq!(set.label_summary(), line);
    assert_eq!(
        classes(&loaded(&table(&["required int64 width"], &[]), "column:width")),
        ["7", "3"]
    );
}

//! `dataset.json`, which the `dataset_tool.py` of StyleGAN and EDM writes:
//! `{"labels": [["00000/img00000000.png", 6], …]}`, or `{"labels": null}` for a set without labels.
//!
//! <https://github.com/NVlabs/edm/blob/main/dataset_tool.py>

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::label_table::{Label, LabelTable, MAX_CLASSES};
use super::sidecars::Sidecar;

/// Name of the file.
pub(super) const NAME: &str = "dataset.json";

/// What a file says about labels.
#[derive(Debug)]
pub(super) enum Content {
    Labels(LabelTable),
    /// It says that there are none.
    NoLabels,
    /// It is a file of another program, and says nothing.
    Other,
}

#[derive(Deserialize)]
struct Document {
    /// The outer level is `None` if the key is missing.
    #[serde(default, deserialize_with = "present")]
    labels: Option<Option<Vec<(String, Written)>>>,
}

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// A label as JSON writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Integer(i64),
    Real(f64),
    Text(String),
    Other(Value),
}

/// Reads the files of a data set; those in several folders complement each other.
///
/// # Errors
///
/// The number of the file, and what is wrong with it, as text that follows its name.
pub(super) fn read(files: &[Sidecar]) -> Result<Content, (usize, String)> {
    let (mut table, mut labelled, mut without) = (LabelTable::default(), false, false);
    for (at, file) in files.iter().enumerate() {
        let text = file.text().map_err(|problem| (at, problem))?;
        let document: Document = serde_json::from_str(text)
            .map_err(|cause| (at, format!("it is not as dataset_tool.py writes it: {cause}")))?;
        match document.labels {
            None => {}
            Some(None) => without = true,
            Some(Some(entries)) => {
                labelled = true;
                for (path, written) in entries {
                    let label = label(&path, written).map_err(|problem| (at, problem))?;
                    let added = table.add(file.folder(), &path, label);
                    added.map_err(|problem| (at, problem))?;
                }
            }
        }
    }
    Ok(match (labelled, without) {
        (true, _) => Content::Labels(table),
        (false, true) => Content::NoLabels,
        (false, false) => Content::Other,
    })
}

fn label(path: &str, written: Written) -> Result<Label, String> {
    let limits = || format!("and classes are numbers in 0..{MAX_CLASSES}, or names");
    match written {
        Written::Integer(number) => match u64::try_from(number) {
            Ok(number) if number < MAX_CLASSES => Ok(Label::Number(number)),
            _ => Err(format!("the label of `{path}` is {number}, {}", limits())),
        },
        Written::Real(number) if number.fract() == 0.0 && (0.0..65536.0).contains(&number) => {
            Ok(Label::Number(number as u64))
        }
        Written::Real(number) => Err(format!("the label of `{path}` is {number}, {}", limits())),
        Written::Text(name) => Ok(Label::Name(name)),
        Written::Other(Value::Array(_)) => {
            Err(format!("the label of `{path}` is a list, {}", limits()))
        }
        Written::Other(value) => Err(format!("the label of `{path}` is {value}, {}", limits())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn parse(text: &str) -> Result<Content, String> {
        let file = Sidecar { path: PathBuf::from("all/dataset.json"), content: Ok(text.into()) };
        read(&[file]).map_err(|(_, problem)| problem)
    }

    #[test]
    fn numbers_and_names_are_labels_and_null_is_none() {
        let text = "\u{feff}{\"labels\": [[\"a.png\", 6], [\"b.png\", 2.0]], \"more\": [1]}";
        let Content::Labels(table) = parse(text).unwrap() else { panic!("it has labels") };
        let labels = table.labels(&["all/a.png", "all/b.png"].map(PathBuf::from));
        assert_eq!(labels, [Some(Label::Number(6)), Some(Label::Number(2))]);
        assert_eq!(table.count(), Some(7));
        let Content::Labels(table) = parse(r#"{"labels": [["a.png", "cat"]]}"#).unwrap() else {
            panic!("it has labels")
        };
        assert_eq!(table.count(), None);
        assert!(matches!(parse(r#"{"labels": null}"#), Ok(Content::NoLabels)));
        assert!(matches!(parse(r#"{"images": []}"#), Ok(Content::Other)));
    }

    #[test]
    fn what_is_no_class_is_refused_with_its_path() {
        for (label, reason) in [
            ("-1", "is -1"),
            ("70000", "is 70000"),
            ("0.5", "is 0.5"),
            ("[0.5, 1]", "is a list"),
            ("null", "is null"),
            ("true", "is true"),
        ] {
            let problem = parse(&format!(r#"{{"labels": [["x/a.png", {label}]]}}"#)).unwrap_err();
            assert!(problem.contains("`x/a.png`") && problem.contains(reason), "{problem}");
        }
        assert!(parse("{\"labels\": [").unwrap_err().contains("dataset_tool.py"));
        assert!(parse(r#"{"labels": {"a.png": 1}}"#).unwrap_err().contains("dataset_tool.py"));
    }
}

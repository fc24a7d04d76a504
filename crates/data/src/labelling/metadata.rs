//! `metadata.csv` and `metadata.jsonl`, as Hugging Face's imagefolder has them: a row for each
//! picture, with its path and anything else that is known of it.
//!
//! <https://huggingface.co/docs/datasets/image_dataset#imagefolder>

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::label_columns;
use super::label_table::{Label, LabelTable};
use super::sidecars::Sidecar;
use crate::{Split, split_names};

/// Names of the files.
pub(super) const NAMES: [&str; 2] = ["metadata.csv", "metadata.jsonl"];
/// The column of splits.
const SPLIT: &str = "split";
/// Most columns of a table: JSON can name another one in each of millions of lines.
const MOST_COLUMNS: usize = 1000;
/// Columns that may hold the path; the first is Hugging Face's.
const PATHS: [&str; 5] = ["file_name", "filename", "file", "path", "image"];

/// What a file says about labels.
#[derive(Debug)]
pub(super) enum Content {
    /// Labels, and the column that holds them.
    Labels(LabelTable, String),
    /// No labels, for a reason that follows the name of the file.
    Nothing(String),
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Missing,
    Text(String),
    /// A list or an object.
    Many,
}

/// The rows of a file.
struct Rows {
    columns: Vec<String>,
    cells: Vec<Vec<Cell>>,
}

/// What the files say about splits.
#[derive(Debug)]
pub(super) struct Splits {
    /// The split of each picture, if they tell one.
    pub(super) told: Vec<Option<Split>>,
    /// Whether there are other words than those for splits.
    pub(super) others: bool,
    /// Sentences about files that may tell splits, and cannot be used.
    pub(super) unused: Vec<String>,
}

/// Reads the split of each picture, from a column `split`.
pub(super) fn splits(files: &[Sidecar], pictures: &[PathBuf]) -> Splits {
    let (mut words, mut unused) = (LabelTable::default(), Vec::new());
    for file in files {
        let problem = match read(&[file], Some(SPLIT)) {
            Ok(Content::Labels(table, _)) => {
                words.merge(table);
                continue;
            }
            Ok(Content::Nothing(problem)) | Err((_, problem)) => problem,
        };
        if may_tell_splits(file) {
            unused.push(format!(
                "{} may say which pictures are for testing, and is not used: {problem}; all \
                 pictures beside it count as train",
                file.path.display()
            ));
        }
    }
    let mut others = false;
    let split = |word: Option<Label>| {
        let word = word?.into_name();
        let split = split_names::exact(word.as_ref());
        others |= split.is_none();
        split
    };
    let told = words.labels(pictures).into_iter().map(split).collect();
    Splits { told, others, unused }
}

/// Returns whether a file names the column of splits, or cannot be read at all.
fn may_tell_splits(file: &Sidecar) -> bool {
    let names = |bytes: &Vec<u8>| bytes.windows(SPLIT.len()).any(|part| part == SPLIT.as_bytes());
    file.content.as_ref().map_or(true, |content| {
        // The head of a table, or the first object.
        content.split(|byte| *byte == b'\n').next().is_some_and(|head| names(&head.to_vec()))
    })
}

/// Reads the files of a data set; those in several folders complement each other.
///
/// * `column`: the column of labels; `None` for the only one whose name says so.
///
/// # Errors
///
/// The number of the file, and what is wrong with it, as text that follows its name.
pub(super) fn read(files: &[&Sidecar], column: Option<&str>) -> Result<Content, (usize, String)> {
    let (mut table, mut from, mut nothing) = (LabelTable::default(), None, String::new());
    for (at, file) in files.iter().enumerate() {
        let is_csv = file.path.extension().is_some_and(|extension| extension == "csv");
        let text = file.text().map_err(|problem| (at, problem))?;
        let rows = if is_csv { csv_rows(text) } else { json_rows(text) };
        let rows = rows.map_err(|problem| (at, problem))?;
        match rows.columns(column).map_err(|problem| (at, problem))? {
            Ok((path, label)) => {
                rows.add_to(&mut table, file, path, label).map_err(|problem| (at, problem))?;
                let name = &rows.columns[label];
                let first = from.get_or_insert_with(|| name.clone());
                if first != name {
                    return Err((
                        at,
                        format!(
                            "its column of labels is {name}, and that of another folder's file is \
                             {first}; choose one with `--labels metadata:COLUMN`"
                        ),
                    ));
                }
            }
            Err(reason) => nothing = reason,
        }
    }
    Ok(match from {
        Some(from) => Content::Labels(table, from),
        None => Content::Nothing(nothing),
    })
}

impl Rows {
    /// Finds the columns of paths and of labels; or says, inside, why there are none.
    fn columns(&self, wanted: Option<&str>) -> Result<Result<(usize, usize), String>, String> {
        let at = |name: &str| self.columns.iter().position(|column| column == name);
        let is_path = |column: &String| column.to_lowercase().ends_with("_file_name");
        let path = PATHS.iter().find_map(|name| at(name));
        let path = path.or_else(|| self.columns.iter().position(is_path));
        let known = format!("its columns are {}", self.columns.join(", "));
        let Some(path) = path else {
            return Ok(Err(format!("it has no column file_name; {known}")));
        };
        if let Some(name) = wanted {
            return match at(name) {
                Some(label) => Ok(Ok((path, label))),
                None => Err(format!("it has no column {name}; {known}")),
            };
        }
        let likely = |at: &usize| *at != path && label_columns::is_likely(&self.columns[*at]);
        match (0..self.columns.len()).filter(likely).collect::<Vec<_>>()[..] {
            [] => Ok(Err(format!("it has no column that is named like labels; {known}"))),
            [label] => Ok(Ok((path, label))),
            [first, ..] => {
                let names: Vec<&str> = (0..self.columns.len())
                    .filter(likely)
                    .map(|at| self.columns[at].as_str())
                    .collect();
                Err(format!(
                    "its columns {} may all be labels; choose one, such as `--labels metadata:{}`",
                    names.join(", "),
                    self.columns[first]
                ))
            }
        }
    }

    /// Adds the label of each row that has one.
    fn add_to(
        &self,
        table: &mut LabelTable,
        file: &Sidecar,
        path: usize,
        label: usize,
    ) -> Result<(), String> {
        for (row, cells) in self.cells.iter().enumerate() {
            let cell = |at: usize| cells.get(at).unwrap_or(&Cell::Missing);
            match (cell(path), cell(label)) {
                (Cell::Text(path), Cell::Text(label)) => {
                    table.add(file.folder(), path, Label::Name(label.clone()))?;
                }
                (_, Cell::Many) => {
                    let name = &self.columns[label];
                    return Err(format!(
                        "row {}: {name} is a list, and a picture has one class; choose \
                         another column with `--labels metadata:COLUMN`, or `--labels none`",
                        row + 1
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Parses comma-separated values; semicolons and tabs also separate, if there is no comma.
fn csv_rows(text: &str) -> Result<Rows, String> {
    let head = text.lines().next().unwrap_or_default();
    let separator = [b',', b';', b'\t'].into_iter().find(|byte| head.as_bytes().contains(byte));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator.unwrap_or(b','))
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let fault = |cause: csv::Error| format!("it cannot be read as a table: {cause}");
    let columns = reader.headers().map_err(fault)?.iter().map(str::to_owned).collect();
    let cell = |text: &str| if text.is_empty() { Cell::Missing } else { Cell::Text(text.into()) };
    let cells = reader.records().map(|row| Ok(row?.iter().map(cell).collect()));
    Ok(Rows { columns, cells: cells.collect::<Result<_, _>>().map_err(fault)? })
}

/// Parses one JSON object per line.
fn json_rows(text: &str) -> Result<Rows, String> {
    let (mut columns, mut objects) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let object: Map<String, Value> = serde_json::from_str(line)
            .map_err(|cause| format!("line {} is not a JSON object: {cause}", number + 1))?;
        for key in object.keys().filter(|key| !columns.contains(*key)).collect::<Vec<_>>() {
            columns.push(key.clone());
        }
        if columns.len() > MOST_COLUMNS {
            return Err(format!("it has more than {MOST_COLUMNS} columns"));
        }
        objects.push(object);
    }
    let cell = |value: Option<&Value>| match value {
        None | Some(Value::Null) => Cell::Missing,
        Some(Value::String(text)) if text.trim().is_empty() => Cell::Missing,
        Some(Value::String(text)) => Cell::Text(text.clone()),
        Some(Value::Array(_) | Value::Object(_)) => Cell::Many,
        Some(value @ (Value::Bool(_) | Value::Number(_))) => Cell::Text(value.to_string()),
    };
    let row = |object: &Map<String, Value>| {
        columns.iter().map(|column: &String| cell(object.get(column))).collect()
    };
    let cells = objects.iter().map(row).collect();
    Ok(Rows { columns, cells })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str, text: &str, column: Option<&str>) -> Result<Content, String> {
        let file = Sidecar { path: PathBuf::from(name), content: Ok(text.into()) };
        read(&[&file], column).map_err(|(_, problem)| problem)
    }

    fn labels(name: &str, text: &str, column: Option<&str>) -> (Vec<Option<String>>, String) {
        let Content::Labels(table, from) = parse(name, text, column).unwrap() else {
            panic!("it has labels")
        };
        let labels = table.labels(&["a.png", "b/c.png"].map(PathBuf::from)).into_iter();
        let name = |label: Label| match label {
            Label::Name(name) => name,
            Label::Number(_) => panic!("columns hold names"),
        };
        (labels.map(|label| label.map(name)).collect(), from)
    }

    #[test]
    fn both_forms_give_the_label_of_each_path() {
        let both = (vec![Some("3".to_owned()), Some("a, b".to_owned())], "label".to_owned());
        for text in [
            "\u{feff}file_name,label\na.png,3\nb/c.png,\"a, b\"\n",
            "label;file_name\r\n3;a.png\r\na, b;b/c.png\r\n",
        ] {
            // The second has a comma only in a value.
            assert_eq!(labels("metadata.csv", text, None), both, "{text}");
        }
        let lines = "{\"file_name\": \"a.png\", \"label\": 3}\n\n\
                     {\"label\": \"a, b\", \"file_name\": \"b/c.png\", \"text\": [1]}";
        assert_eq!(labels("metadata.jsonl", lines, None), both);
    }

    #[test]
    fn a_row_without_a_label_gives_none() {
        let expected = (vec![None, Some("x".to_owned())], "class".to_owned());
        let csv = "file_name,class\na.png,\nb/c.png,x\n";
        assert_eq!(labels("metadata.csv", csv, None), expected);
        let lines = "{\"file_name\":\"a.png\",\"class\":null}\n\
                     {\"file_name\":\"b/c.png\",\"class\":\"x\"}";
        assert_eq!(labels("metadata.jsonl", lines, None), expected);
    }

    #[test]
    fn two_columns_of_labels_are_refused_unless_one_is_chosen() {
        let text = "file_name,fine_label,coarse_label\na.png,1,2\nb/c.png,3,4\n";
        let problem = parse("metadata.csv", text, None).unwrap_err();
        assert!(problem.contains("`--labels metadata:fine_label`"), "{problem}");
        let (chosen, _) = labels("metadata.csv", text, Some("coarse_label"));
        assert_eq!(chosen, [Some("2".to_owned()), Some("4".to_owned())]);
        let problem = parse("metadata.csv", text, Some("breed")).unwrap_err();
        assert!(problem.contains("its columns are file_name, fine_label"), "{problem}");
    }

    #[test]
    fn other_tables_and_damaged_ones_are_told_apart() {
        for text in ["file_name,text\na.png,hello\n", "id,label\n7,x\n", ""] {
            assert!(matches!(parse("metadata.csv", text, None), Ok(Content::Nothing(_))), "{text}");
        }
        let list = "{\"file_name\": \"a.png\", \"labels\": [1, 2]}";
        assert!(parse("metadata.jsonl", list, None).unwrap_err().contains("is a list"));
        let short = parse("metadata.csv", "file_name,label\na.png\n", None).unwrap_err();
        assert!(short.contains("as a table") && short.contains("line"), "{short}");
        assert!(parse("metadata.jsonl", "{\n}", None).unwrap_err().contains("line 1"));
    }
}

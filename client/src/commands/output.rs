//! Results on stdout: aligned lines, or one JSON document.

use ddpm_client::Error;
use ddpm_console::note;
use serde::Serialize;

/// Prints `text`. A reader that closes the pipe early, such as `head`, is not an error.
pub(crate) fn print(text: &str) -> Result<(), Error> {
    ddpm_console::print(text).map_err(|source| Error::File {
        action: "write to",
        path: "standard output".into(),
        source,
    })
}

/// Prints a report of files that are written: the work is done, so it does not fail if the report
/// is lost.
pub(crate) fn print_of_written(text: &str) {
    if let Err(error) = print(text) {
        note!("warning: {error}; the files are written");
    }
}

/// Prints `document`, indented.
pub(crate) fn print_json(document: &impl Serialize) -> Result<(), Error> {
    print(&json(document))
}

/// Formats `document`, indented, with the end of the line.
pub(crate) fn json(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document).expect("plain structs always serialise");
    text + "\n"
}

/// Formats one line per pair; the values start in one column.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    table(pairs.iter().map(|(name, value)| vec![(*name).to_owned(), value.clone()]).collect())
}

/// Formats columns as wide as their widest cell, two spaces apart.
pub(crate) fn table(rows: Vec<Vec<String>>) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: Vec<String>| {
        let cells = row.into_iter().zip(&widths);
        let line: String = cells.map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        format!("{}\n", line.trim_end())
    };
    rows.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_start_in_one_column() {
        let text = pairs(&[("seed", "7".to_owned()), ("program", "ab".to_owned())]);

        assert_eq!(text, "seed     7\nprogram  ab\n");
    }
}

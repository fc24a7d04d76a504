//! The notebook docs/denoising.ipynb with the outputs that it was saved with.

use anyhow::Context;
use serde_json::Value;

use crate::studio::Studio;
use crate::terminal::escaped;

/// Cells that the picture shows.
const CELLS: usize = 4;

const STYLE: &str = "
    body { background: #fff; color: #222; font: 15px/1.45 sans-serif }
    body { margin: 0; padding: 16px 24px }
    pre { font: 13px/1.4 monospace; margin: 8px 0; white-space: pre-wrap }
    .code { background: #f5f5f5; border: 1px solid #ddd; padding: 8px 12px }
    img { image-rendering: pixelated }";

/// Draws the first cells as Jupyter shows them.
pub(crate) fn denoising(studio: &Studio) -> anyhow::Result<Vec<u8>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/denoising.ipynb");
    let notebook: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let cells = notebook["cells"].as_array().context("a notebook has cells")?;
    let cells: String = cells.iter().take(CELLS).map(cell).collect();
    studio.sheet(&format!("<!DOCTYPE html><style>{STYLE}</style>{cells}"), 760)
}

fn cell(cell: &Value) -> String {
    let source = escaped(&text(&cell["source"]));
    if cell["cell_type"] == "code" {
        let outputs = cell["outputs"].as_array().map_or(&[][..], Vec::as_slice);
        let outputs: String = outputs.iter().map(output).collect();
        return format!("<pre class=code>{source}</pre>{outputs}");
    }
    let source = without_marks(&source);
    let heading = source.trim_start_matches('#');
    let (title, rest) = heading.split_once('\n').unwrap_or((heading, ""));
    match source.starts_with('#') {
        true => format!("<h2>{title}</h2><p>{rest}</p>"),
        false => format!("<p>{source}</p>"),
    }
}

/// Removes the marks of code, and the addresses of links.
fn without_marks(markdown: &str) -> String {
    let mut words = String::new();
    for (number, part) in markdown.replace('`', "").split("](").enumerate() {
        let after_address = part.split_once(')').map_or(part, |(_, rest)| rest);
        words += if number == 0 { part } else { after_address };
    }
    words.replace('[', "")
}

fn output(output: &Value) -> String {
    let data = &output["data"];
    if let Some(picture) =
        ["image/png", "image/gif"].into_iter().find(|kind| data[kind].is_string())
    {
        let base64 = text(&data[picture]).replace('\n', "");
        return format!("<img src='data:{picture};base64,{base64}'>");
    }
    let plain = if data.is_object() { &data["text/plain"] } else { &output["text"] };
    format!("<pre>{}</pre>", escaped(&text(plain)))
}

/// Joins what a notebook keeps as one string or as a list of lines.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    }
}

//! Tables of the documentation, written by the tests that measure them.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

/// A table in Markdown.
pub(crate) struct Table {
    text: String,
}

impl Table {
    /// * `head`: the columns; one that begins with `:` is text, others are numbers.
    pub(crate) fn new(head: &[&str]) -> Self {
        let rule = head.iter().map(|name| if name.starts_with(':') { "---" } else { "--:" });
        let rule: Vec<String> = rule.map(str::to_owned).collect();
        let names: Vec<String> = head.iter().map(|name| name.replace(':', "")).collect();
        let mut table = Self { text: String::new() };
        table.row(&names);
        table.row(&rule);
        table
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
}

/// Puts a table between `<!-- name -->` and `<!-- /name -->` of a file in
/// `docs/samplers`, if `DDPM_UPDATE_DOCS` is 1.
pub(crate) fn document(file: &str, name: &str, table: &Table) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    if std::env::var("DDPM_UPDATE_DOCS").as_deref() != Ok("1") {
        return;
    }
    let _guard = ONE_AT_A_TIME.lock().expect("no test panics while it writes");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/samplers").join(file);
    let text = fs::read_to_string(&path).expect("the page is committed");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&begin).expect("the page has the table's place");
    let (_, after) = rest.split_once(&end).expect("and its end");
    fs::write(path, format!("{before}{begin}{}{end}{after}", table.text)).expect("writable");
}

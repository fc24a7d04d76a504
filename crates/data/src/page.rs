//! A report as a page to read: a few lines of everything, the most frequent first, however large
//! the data set is.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::{Display, Write};

use crate::names::shown;
use crate::remarks::Ignored;
use crate::{Dataset, Report};

/// Most lines of one kind.
const LINES: usize = 10;
/// Hex digits of the digest that are printed.
const DIGEST_LEN: usize = 16;

impl Report {
    /// Describes the data set in at most a page of lines. The report itself lists everything.
    #[must_use]
    pub fn page(&self) -> String {
        let mut page = Page::default();
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        page.line("data", &self.source);
        page.line("items", format_args!("{} {} of {}", self.count, self.kind, shape.join("x")));
        page.line("digest", &self.digest[..DIGEST_LEN]);
        page.line("memory", format_args!("{:.1} MB", self.memory_bytes as f64 / 1e6));
        page.line("flips", if self.flips { "at random" } else { "none" });
        if self.transparent.count > 0 {
            let (count, background) = (self.transparent.count, self.transparent.background);
            page.line("transparent", format_args!("{count} on {background}; see --background"));
        }
        if self.first_frames > 0 {
            let count = self.first_frames;
            page.line("frames", format_args!("{count} with several, of which the first is used"));
        }
        self.add_forms(&mut page);
        self.add_labels(&mut page);
        self.add_classes(&mut page);
        page.line("duplicates", self.duplicates.len());
        let duplicates = self
            .duplicates
            .iter()
            .map(|duplicate| (duplicate.item.as_str(), format!("equals {}", duplicate.equals)));
        page.groups("duplicate", " ", duplicates);
        page.line("left out", self.left_out.len());
        let left_out = self.left_out.iter().map(|file| (file.path.as_str(), file.reason.clone()));
        page.groups("left out", ": ", left_out);
        if let Some(ignored) = Ignored::from(&self.ignored).summary() {
            page.line("ignored", ignored);
        }
        page.0
    }

    fn add_forms(&self, page: &mut Page) {
        let mut found: Vec<_> = self.found.iter().collect();
        found.sort_by_key(|form| Reverse(form.count));
        for form in found.iter().take(LINES) {
            let size = format_args!("{}x{} {}", form.width, form.height, form.colour);
            page.line("found", format_args!("{size}: {}", form.count));
        }
        page.rest("found", found.len());
    }

    fn add_labels(&self, page: &mut Page) {
        page.line("labels", &self.labels.summary);
        for note in bounded(self.notes.iter().cloned()) {
            page.line("note", note);
        }
        for path in self.labels.left_out.iter().take(LINES) {
            page.line("no label", path);
        }
        page.rest("no label", self.labels.left_out.len());
    }

    /// Lists few classes in their order, and of many the largest.
    fn add_classes(&self, page: &mut Page) {
        let Some(classes) = &self.classes else { return };
        let mut classes: Vec<_> = classes.iter().collect();
        if classes.len() > LINES {
            let counts = || classes.iter().map(|class| class.count);
            let (least, most) = (counts().min().unwrap_or(0), counts().max().unwrap_or(0));
            let count = classes.len();
            page.line("classes", format_args!("{count}, of {least} to {most} items"));
            classes.sort_by_key(|class| Reverse(class.count));
        }
        for class in classes.iter().take(LINES) {
            page.line("class", format_args!("{}: {}", class.name, class.count));
        }
        page.rest("class", classes.len());
    }
}

impl Dataset {
    /// Lists the sentences about splits and labels that a user should read, at most ten.
    #[must_use]
    pub fn note_lines(&self) -> Vec<String> {
        bounded(self.notes().iter().cloned())
    }

    /// Lists the pictures left out because they have no label, at most ten.
    #[must_use]
    pub fn unlabelled_lines(&self) -> Vec<String> {
        bounded(self.unlabelled().iter().map(|path| format!("{}: it has no label", shown(path))))
    }

    /// Lists what was left out, one line a file, and of many files one line a reason, at most ten.
    #[must_use]
    pub fn left_out_lines(&self) -> Vec<String> {
        let files: Vec<_> =
            self.skipped().iter().map(|(path, reason)| (shown(path), reason.clone())).collect();
        let files = files.iter().map(|(path, reason)| (path.as_str(), reason.clone()));
        grouped(": ", files)
    }
}

/// Lines of a name and a value.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name:11} {value}");
    }

    /// Says that not all were listed.
    fn rest(&mut self, name: &str, all: usize) {
        if all > LINES {
            self.line(name, and_more(all - LINES));
        }
    }

    fn groups<'a>(
        &mut self,
        name: &str,
        separator: &str,
        items: impl Iterator<Item = (&'a str, String)>,
    ) {
        for line in grouped(separator, items) {
            self.line(name, line);
        }
    }
}

/// Writes each item and what is said of it, one a line. Of more than [`LINES`], items of which the
/// same is said share a line, the most frequent first.
fn grouped<'a>(separator: &str, items: impl Iterator<Item = (&'a str, String)>) -> Vec<String> {
    let items: Vec<_> = items.collect();
    if items.len() <= LINES {
        return items.iter().map(|(item, said)| format!("{item}{separator}{said}")).collect();
    }
    let mut groups: Vec<(&str, &str, usize)> = Vec::new();
    let mut group_of = HashMap::new();
    for (item, said) in &items {
        let at = *group_of.entry(said.as_str()).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, _, count)) => *count += 1,
            None => groups.push((item, said, 1)),
        }
    }
    groups.sort_by_key(|(_, _, count)| Reverse(*count));
    let text = |(item, said, count): &(&str, &str, usize)| match count {
        1 => format!("{item}{separator}{said}"),
        2 => format!("{item}{separator}{said} (and 1 other)"),
        count => format!("{item}{separator}{said} (and {} others)", count - 1),
    };
    let mut lines: Vec<String> = groups.iter().take(LINES).map(text).collect();
    let listed: usize = groups.iter().take(LINES).map(|(_, _, count)| count).sum();
    if listed < items.len() {
        lines.push(and_more(items.len() - listed));
    }
    lines
}

/// Returns the first of the lines, and how many more there are.
fn bounded(lines: impl ExactSizeIterator<Item = String>) -> Vec<String> {
    let more = lines.len().saturating_sub(LINES);
    lines.take(LINES).chain((more > 0).then(|| and_more(more))).collect()
}

fn and_more(count: usize) -> String {
    format!("and {count} more (`data check --json` lists all)")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Background;
    use crate::report::{Class, Duplicate, Found, Labels, LeftOut, Transparent};

    fn report(count: usize) -> Report {
        let name = |i: usize| format!("{i:06}.png");
        let found =
            |i: usize| Found { width: i as u32 + 1, height: 9, colour: "RGB", count: 1 + i % 50 };
        let duplicate = |i: usize| Duplicate { item: name(i), equals: name(i % 30) };
        let reason = |i: usize| if i.is_multiple_of(3) { "torn" } else { "worn" }.to_owned();
        Report {
            source: "folder:here".to_owned(),
            kind: "pictures",
            digest: "0123456789abcdef0123".to_owned(),
            count,
            shape: vec![3, 8, 8],
            memory_bytes: 192 * count,
            flips: true,
            transparent: Transparent { count: 2, background: Background::White },
            first_frames: 1,
            found: (0..count).map(found).collect(),
            labels: Labels {
                summary: format!("from folders: {count} classes"),
                from: Some("folders".to_owned()),
                why_none: None,
                without_label: count,
                left_out: (0..count).map(name).collect(),
            },
            notes: (0..count).map(|i| format!("class c{i} is lost")).collect(),
            classes: Some((0..count).map(|i| Class { name: format!("c{i}"), count: i }).collect()),
            duplicates: (30..count).map(duplicate).collect(),
            left_out: (0..count).map(|i| LeftOut { path: name(i), reason: reason(i) }).collect(),
            ignored: BTreeMap::from([(".txt".to_owned(), 12)]),
        }
    }

    #[test]
    fn a_page_is_short_whatever_it_describes() {
        let page = report(100_000).page();
        assert!(page.lines().count() <= 80, "{page}");
        for line in [
            "digest      0123456789abcdef",
            "transparent 2 on white; see --background",
            "frames      1 with several, of which the first is used",
            "found       50x9 RGB: 50",
            "labels      from folders: 100000 classes",
            "note        class c0 is lost",
            "note        and 99990 more (`data check --json` lists all)",
            "no label    and 99990 more (`data check --json` lists all)",
            "found       and 99990 more (`data check --json` lists all)",
            "classes     100000, of 0 to 99999 items",
            "class       c99999: 99999",
            "duplicates  99970",
            "left out    100000",
            "left out    000001.png: worn (and 66665 others)",
            "left out    000000.png: torn (and 33333 others)",
            "ignored     12 other files ignored (12 .txt)",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn a_few_are_listed_one_by_one_in_their_order() {
        let page = report(3).page();
        for line in ["class       c0: 0\nclass       c1: 1", "left out    000002.png: worn\n"] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        assert!(!page.contains("more"), "{page}");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let items: Vec<_> =
            (0..40).map(|i| (format!("{i}"), format!("reason {}", i % 20))).collect();
        let lines = grouped(": ", items.iter().map(|(item, said)| (item.as_str(), said.clone())));
        assert_eq!((lines.len(), lines[0].as_str()), (11, "0: reason 0 (and 1 other)"));
        assert_eq!(lines[10], "and 20 more (`data check --json` lists all)");
    }
}

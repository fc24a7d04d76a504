//! The labels of a loaded data set, and what to say about them.

use std::collections::HashMap;
use std::path::PathBuf;

use unicode_normalization::UnicodeNormalization;

use crate::labels::Labels;

/// Where the labels of a data set come from, or why there are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelOrigin {
    /// What they come from: `folders`, `dataset.json`, `column fine_label`, …
    From(String),
    /// Why there are none, and which flag decides.
    None(String),
}

/// The labels of a data set, and what to say about them.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) labels: Option<Labels>,
    pub(crate) origin: LabelOrigin,
    /// Pictures left out because they have no label.
    pub(crate) unlabelled: Vec<PathBuf>,
    /// Sentences that a user should read.
    pub(crate) notes: Vec<String>,
}

impl Labelled {
    /// Labels that come from `origin`.
    pub(crate) fn from(origin: impl Into<String>, labels: Labels) -> Self {
        let notes = remarks(&labels.names);
        let origin = LabelOrigin::From(origin.into());
        Self { labels: Some(labels), origin, unlabelled: Vec::new(), notes }
    }

    /// Adds a note about classes that have no item.
    pub(crate) fn with_empty_classes(mut self) -> Self {
        const LISTED: usize = 5;
        let Some(labels) = &self.labels else { return self };
        let mut has_items = vec![false; labels.names.len()];
        labels.per_item.iter().for_each(|&class| has_items[class] = true);
        let empty = labels.names.iter().zip(has_items).filter(|(_, has_items)| !has_items);
        let empty: Vec<&str> = empty.map(|(name, _)| name.as_str()).collect();
        if !empty.is_empty() {
            let few = empty[..empty.len().min(LISTED)].join(", ");
            let rest = if empty.len() > LISTED { ", …" } else { "" };
            self.notes.push(format!("classes without a picture: {few}{rest}"));
        }
        self
    }

    /// No labels, for a reason that names the flag that decides.
    pub(crate) fn none(why: impl Into<String>) -> Self {
        let origin = LabelOrigin::None(why.into());
        Self { labels: None, origin, unlabelled: Vec::new(), notes: Vec::new() }
    }

    /// No labels, because the user wants none.
    pub(crate) fn unwanted() -> Self {
        Self::none("`--labels none`, or `--no-labels`, ignores any that there are")
    }
}

/// Says which names of classes are easily mistaken for others.
fn remarks(names: &[String]) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut first_like: HashMap<String, &str> = HashMap::new();
    for (label, name) in names.iter().enumerate() {
        if name.trim().is_empty() {
            remarks.push(format!("class {label} has an empty name"));
        }
        // Names that differ in case or Unicode normal form only become equal here.
        let folded: String = name.nfc().flat_map(char::to_lowercase).nfc().collect();
        match first_like.get(&folded) {
            Some(first) if first == name => {
                remarks.push(format!("more than one class is called `{name}`"));
            }
            Some(first) => remarks.push(format!(
                "`{first}` and `{name}` are two classes, although their names differ only in case \
                 or in how accents are encoded"
            )),
            None => {
                first_like.insert(folded, name);
            }
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_without_a_picture_are_pointed_out() {
        let labelled = Labelled::from("here", Labels::numbered(vec![0, 2, 0]));
        assert_eq!(labelled.with_empty_classes().notes, ["classes without a picture: 1"]);
        let labelled = Labelled::from("here", Labels::numbered(vec![0, 1]));
        assert!(labelled.with_empty_classes().notes.is_empty());
    }

    #[test]
    fn names_that_are_easily_mistaken_are_pointed_out() {
        let names = ["Cat", "cat", "é", "e\u{301}", "dog", "dog", ""].map(str::to_owned);
        let remarks = remarks(&names);
        assert_eq!(remarks.len(), 4, "{remarks:?}");
        assert!(remarks[0].contains("`Cat` and `cat` are two classes"), "{remarks:?}");
        assert!(remarks[1].contains("how accents are encoded"), "{remarks:?}");
        assert_eq!(remarks[2], "more than one class is called `dog`");
        assert_eq!(remarks[3], "class 6 has an empty name");
        assert!(super::remarks(&["a".to_owned(), "b".to_owned()]).is_empty());
    }
}

//! Which columns of a table are labels, going by their names.

/// Words that name a label, whole or as a part: `label`, `fine_label`, `class_name`.
const WORDS: [&str; 8] =
    ["label", "labels", "class", "classes", "cls", "category", "categories", "target"];

/// Returns whether a column with this name is likely to hold labels.
pub(crate) fn is_likely(name: &str) -> bool {
    let name = name.to_lowercase();
    name.split(['_', '-', ' ', '.']).any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_labels_are_told_by_a_word_of_their_names() {
        for name in
            ["label", "Labels", "fine_label", "class_name", "Category", "target", "class id"]
        {
            assert!(is_likely(name), "{name}");
        }
        for name in ["image", "text", "file_name", "classification", "width"] {
            assert!(!is_likely(name), "{name}");
        }
    }
}

//! Names of folders and files that say of which split the pictures are.

use std::ffi::OsStr;

use crate::Split;

/// Returns the split that a whole name stands for: `train`, `Validation`, `test2017`.
pub(crate) fn exact(name: &OsStr) -> Option<Split> {
    let name = name.to_str()?.to_lowercase();
    word(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '_' || c == '-'))
}

/// Returns the split that a word of the name stands for, the first if there are several:
/// `train-00000-of-00002.parquet`, `seg_test`.
pub(crate) fn within(name: &OsStr) -> Option<Split> {
    let name = name.to_str()?.to_lowercase();
    name.split(|c: char| c.is_ascii_digit() || "-_. ".contains(c)).find_map(word)
}

/// The words are those that Hugging Face's `datasets` knows.
fn word(word: &str) -> Option<Split> {
    match word {
        "train" | "training" => Some(Split::Train),
        "validation" | "valid" | "val" | "dev" => Some(Split::Valid),
        "test" | "testing" | "eval" | "evaluation" => Some(Split::Test),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_or_a_word_of_it_names_the_split() {
        for (name, whole, part) in [
            ("train", Some(Split::Train), Some(Split::Train)),
            ("Validation", Some(Split::Valid), Some(Split::Valid)),
            ("test2017", Some(Split::Test), Some(Split::Test)),
            ("seg_test", None, Some(Split::Test)),
            ("mnist-eval-0.parquet", None, Some(Split::Test)),
            ("trainer", None, None),
            ("testament.parquet", None, None),
            ("cat", None, None),
        ] {
            assert_eq!((exact(name.as_ref()), within(name.as_ref())), (whole, part), "{name}");
        }
    }
}

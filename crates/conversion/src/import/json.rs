//! JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` are numbers to `json.dumps`, and
//! editors on Windows put a byte-order mark first.

use std::borrow::Cow;
use std::path::Path;

use serde::de::DeserializeOwned;

use super::{ImportError, foreign};

/// Numbers of Python that JSON lacks. The longer comes before the word that it contains.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Reads a file of JSON. Numbers that JSON lacks become the text of their names, so that they are
/// harmless where the key does not matter, and refused by their type where it does.
///
/// # Errors
///
/// [`ImportError::Read`] if the operating system refuses, [`ImportError::Format`] if it is not such
/// a file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ImportError> {
    let bytes = std::fs::read(path).map_err(ImportError::read(path))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        ImportError::format(path, &"it is no JSON: its text is not in UTF-8; save it again as that")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Err(ImportError::format(path, &"it is empty; copy it again from its source"));
    }
    if !text.trim_start().starts_with(['{', '[']) {
        foreign::by_content(path)?;
    }
    serde_json::from_str(&with_quoted_words(text))
        .map_err(|error| ImportError::format(path, &format!("it is no such JSON: {error}")))
}

/// Puts quotes around the numbers that JSON lacks, outside of strings.
fn with_quoted_words(text: &str) -> Cow<'_, str> {
    if !WORDS.iter().any(|word| text.contains(word)) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::with_capacity(text.len() + 64);
    let (mut rest, mut in_string) = (text, false);
    while let Some(character) = rest.chars().next() {
        let word = WORDS.iter().find(|word| !in_string && rest.starts_with(**word));
        let taken = match (word, character) {
            (Some(word), _) => word.len(),
            // The character after a backslash neither opens nor closes a string.
            (None, '\\') if in_string => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, character) => {
                in_string ^= character == '"';
                character.len_utf8()
            }
        };
        let piece = &rest[..taken];
        match word {
            Some(_) => quoted.extend(["\"", piece, "\""]),
            None => quoted.push_str(piece),
        }
        rest = &rest[taken..];
    }
    Cow::Owned(quoted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_are_quoted_outside_of_strings_only() {
        let text = r#"{"a": -Infinity, "NaN": [NaN, Infinity], "b\"NaN": "é Infinity\\"}"#;
        let quoted = r#"{"a": "-Infinity", "NaN": ["NaN", "Infinity"], "b\"NaN": "é Infinity\\"}"#;
        assert_eq!(with_quoted_words(text), quoted);
        assert!(serde_json::from_str::<serde_json::Value>(quoted).is_ok());
        assert_eq!(with_quoted_words("{\"a\\"), "{\"a\\");
        assert_eq!(with_quoted_words("\"NaN\\"), "\"NaN\\");
    }
}

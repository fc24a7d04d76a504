//! Names of files: how messages show them, and which ones are no data.

use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// What macOS, Windows, Synology's disk stations and ext4 leave beside files, in lower case.
const SYSTEM: [&str; 8] = [
    "__macosx",
    "icon\r",
    "thumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "@eadir",
    "lost+found",
];

/// Returns a path as messages show it: control characters and bytes that are not UTF-8 are written
/// as escapes, so that two names never look alike and none changes what a terminal shows.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for symbol in chunk.valid().chars() {
            match symbol {
                _ if symbol.is_control() || is_invisible(symbol) => {
                    text.extend(symbol.escape_default());
                }
                _ => text.push(symbol),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// Returns whether a character only changes how others are shown: marks of direction and of joins.
fn is_invisible(symbol: char) -> bool {
    matches!(symbol, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns the extension of a name in lower case.
pub(crate) fn extension(name: &Path) -> Option<String> {
    name.extension().map(|extension| extension.to_string_lossy().to_lowercase())
}

/// Returns whether a path is, or lies in, what systems leave beside files: hidden files and
/// folders, whose names begin with a dot, and those of [`SYSTEM`].
pub(crate) fn is_hidden(name: &Path) -> bool {
    let hidden = |part: Component<'_>| {
        let Component::Normal(part) = part else { return false };
        let part = part.as_bytes();
        let lower = part.to_ascii_lowercase();
        part.starts_with(b".") || SYSTEM.iter().any(|name| *lower == *name.as_bytes())
    };
    name.components().any(hidden)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn names_that_look_alike_are_shown_apart() {
        for (name, expected) in [
            (&b"plain/caf\xc3\xa9 1.png"[..], "plain/café 1.png"),
            (b"\xff.png", "\\xff.png"),
            (b"\xfe.png", "\\xfe.png"),
            (b"a\x1b[2Jb\n", "a\\u{1b}[2Jb\\n"),
            (b"a\xe2\x80\xaegnp.exe", "a\\u{202e}gnp.exe"),
        ] {
            assert_eq!(shown(Path::new(OsStr::from_bytes(name))), expected);
        }
    }

    #[test]
    fn what_systems_add_is_hidden() {
        for name in [".DS_Store", "a/.b/c.png", "__MACOSX/a.png", "a/Thumbs.db", "@eaDir/a.jpg"] {
            assert!(is_hidden(Path::new(name)), "{name}");
        }
        for name in ["a.png", "a/b.c/d", "icons/thumbs.png", "../a.png", "./a.png"] {
            assert!(!is_hidden(Path::new(name)), "{name}");
        }
    }
}

//! Classes from file names: `cat` for `cat.12.jpg`, `cat_12.jpg`, `cat12.jpg` or `cat (12).jpg`.

/// Returns the part of a file's name before its number; `None` if it has no number, or nothing
/// before it.
///
/// * `stem`: the name without its extension.
pub(super) fn class(stem: &str) -> Option<&str> {
    let numbered = stem.strip_suffix(')').and_then(|stem| stem.rsplit_once('('));
    if let Some((name, number)) = numbered
        && is_number(number)
    {
        return some(name);
    }
    let mut class = stem;
    loop {
        let before = class.trim_end_matches(|c: char| c.is_ascii_digit());
        let name = before.trim_end_matches(['.', '_', '-', ' ']);
        let separated = name.len() < before.len();
        if before.len() == class.len() {
            break;
        }
        // Only the first number may touch the name: `n01440764_10026` is of `n01440764`.
        if !separated && class.len() < stem.len() {
            break;
        }
        class = name;
    }
    if class.len() < stem.len() { some(class) } else { None }
}

fn some(name: &str) -> Option<&str> {
    let name = name.trim_end_matches(['.', '_', '-', ' ']);
    (!name.is_empty()).then_some(name)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_the_part_before_the_number() {
        for (stem, expected) in [
            ("cat.12", Some("cat")),
            ("cat_12", Some("cat")),
            ("cat-0012", Some("cat")),
            ("cat12", Some("cat")),
            ("cat (12)", Some("cat")),
            ("cat_12_3", Some("cat")),
            ("n01440764_10026", Some("n01440764")),
            ("polar_bear_7", Some("polar_bear")),
            ("cat", None),
            ("00012", None),
            ("cat_big", None),
            ("", None),
            ("(3)", None),
        ] {
            assert_eq!(class(stem), expected, "{stem}");
        }
    }
}

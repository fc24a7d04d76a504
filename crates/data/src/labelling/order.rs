//! The order of classes: numbers by their value, other names as people sort them.

use std::cmp::Ordering;

/// Sorts names of classes and removes repetitions.
///
/// If all are numbers, their value decides: 0, 1, 2, …, 10, 11. Otherwise runs of digits within
/// names compare by their value, and all else as text: `b2` comes before `b10`.
pub(crate) fn sort(names: &mut Vec<String>) {
    if names.iter().all(|name| number(name).is_some()) {
        let by_value = |a: &String, b: &String| match (number(a), number(b)) {
            (Some(x), Some(y)) => x.total_cmp(&y).then_with(|| natural(a, b)),
            _ => Ordering::Equal,
        };
        names.sort_by(by_value);
    } else {
        names.sort_by(|a, b| natural(a, b));
    }
    names.dedup();
}

/// Parses a plain decimal number, such as `-1` or `0.25`; not `1e5`, `inf` or `nan`.
fn number(name: &str) -> Option<f64> {
    let digits = name.strip_prefix(['-', '+']).unwrap_or(name);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    name.parse().ok().filter(|_| plain)
}

/// Compares names: runs of digits by their value, of any length, all else byte by byte.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    loop {
        let (x, y) = (digits(left), digits(right));
        let order = match (x, y) {
            ([], _) | (_, []) => match (left.split_first(), right.split_first()) {
                (Some((x, rest_of_left)), Some((y, rest_of_right))) => {
                    (left, right) = (rest_of_left, rest_of_right);
                    x.cmp(y)
                }
                // Equal but for zeros in front: `1` and `001` are two names.
                (None, None) => return a.cmp(b),
                (rest, other) => return rest.is_some().cmp(&other.is_some()),
            },
            _ => {
                (left, right) = (&left[x.len()..], &right[y.len()..]);
                let [x, y] = [x, y].map(without_zeros);
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Returns the digits with which the text begins.
fn digits(text: &[u8]) -> &[u8] {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[..count]
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut names = names.iter().map(ToString::to_string).collect();
        sort(&mut names);
        names
    }

    #[test]
    fn numbers_sort_by_their_value() {
        assert_eq!(sorted(&["10", "0", "2", "11", "1"]), ["0", "1", "2", "10", "11"]);
        assert_eq!(sorted(&["010", "001", "9"]), ["001", "9", "010"]);
        assert_eq!(sorted(&["0.5", "-1", "0.25", "1"]), ["-1", "0.25", "0.5", "1"]);
        assert_eq!(sorted(&["1", "01", "1"]), ["01", "1"]);
        let huge = "123456789012345678901234567890";
        assert_eq!(sorted(&[&format!("{huge}1"), huge]), [huge.to_owned(), format!("{huge}1")]);
    }

    #[test]
    fn other_names_sort_as_text_with_their_numbers_by_value() {
        assert_eq!(sorted(&["dog", "Cat", "cat"]), ["Cat", "cat", "dog"]);
        assert_eq!(sorted(&["b10", "b2", "a30", "b"]), ["a30", "b", "b2", "b10"]);
        assert_eq!(sorted(&["star", "10", "9"]), ["9", "10", "star"]);
        assert_eq!(sorted(&["n02", "n010", "n2"]), ["n02", "n2", "n010"]);
    }
}

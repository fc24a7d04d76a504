//! Folders that only divide a large set into parts, and are no classes.
//!
//! FFHQ's `01000/01234.png`, EDM's `00001/img00001234.png`, Danbooru's `0234/1234.png` and hashes
//! such as `ab/abcd….png` are sure signs. Other numbered folders may be either.

use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What the folders are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Classes,
    Shards,
    /// They may be both.
    Unclear,
}

/// Words before the number of a part.
const WORDS: [&str; 9] =
    ["part", "shard", "chunk", "batch", "image", "images", "img", "imgs", "tar"];
/// Sizes of parts.
const SIZES: [u64; 6] = [10, 100, 1000, 10_000, 100_000, 1_000_000];
/// Digits that a hash has at least.
const HASH: usize = 16;

/// Judges folders by their names and those of the files in them.
///
/// * `pictures`: folder, and file name without extension.
pub(super) fn judge(pictures: &[(&str, &str)]) -> Verdict {
    let folders: BTreeSet<&str> = pictures.iter().map(|(folder, _)| *folder).collect();
    if folders.iter().all(|folder| is_word_and_number(folder)) {
        return Verdict::Unclear;
    }
    if pictures.iter().all(|(folder, stem)| is_start_of_hash(folder, stem)) {
        return Verdict::Shards;
    }
    let Some((width, numbers)) = numbers(&folders, pictures) else { return Verdict::Classes };
    let (computed, ordered) = (is_computed(&numbers), is_ordered(&numbers));
    let by_edm = width == 5 && pictures.iter().all(|(_, stem)| is_edm(stem));
    match (computed, ordered) {
        (true, _) if width >= 4 => Verdict::Shards,
        (_, true) if by_edm => Verdict::Shards,
        (false, false) => Verdict::Classes,
        _ => Verdict::Unclear,
    }
}

fn is_word_and_number(folder: &str) -> bool {
    let word = folder.trim_end_matches(|c: char| c.is_ascii_digit());
    word.len() < folder.len()
        && WORDS.contains(&&*word.trim_end_matches(['-', '_', ' ']).to_lowercase())
}

fn is_start_of_hash(folder: &str, stem: &str) -> bool {
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    folder.len() <= 4 && stem.len() >= HASH && stem.starts_with(folder) && is_hex(stem)
}

fn is_edm(stem: &str) -> bool {
    stem.strip_prefix("img").is_some_and(|number| number.len() == 8)
}

/// Parses folders and files as numbers; `None` unless the folders have one width of at least two,
/// with zeros in front, and the files one prefix.
fn numbers(
    folders: &BTreeSet<&str>,
    pictures: &[(&str, &str)],
) -> Option<(usize, Vec<(u64, u64)>)> {
    let width = folders.first()?.len();
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let padded = width >= 2 && folders.first()?.starts_with('0');
    if !padded || !folders.iter().all(|folder| folder.len() == width && is_digits(folder)) {
        return None;
    }
    let prefix = pictures.first()?.1.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = |&(folder, stem): &(&str, &str)| {
        let digits = stem.strip_prefix(prefix).filter(|digits| is_digits(digits))?;
        Some((folder.parse().ok()?, digits.parse().ok()?))
    };
    let numbers = pictures.iter().map(number).collect::<Option<_>>()?;
    Some((width, numbers))
}

/// Returns whether the number of each folder follows from those of its files.
fn is_computed(numbers: &[(u64, u64)]) -> bool {
    let all = |rule: &dyn Fn(u64) -> u64| numbers.iter().all(|&(folder, n)| folder == rule(n));
    let largest = numbers.iter().map(|(_, n)| *n).max().unwrap_or(0);
    SIZES.iter().any(|&size| {
        let divided = || all(&|n| n / size) || all(&|n| n / size * size);
        divided() || (largest >= size && all(&|n| n % size))
    })
}

/// Returns whether the files are numbered across the folders, from each to the next.
fn is_ordered(numbers: &[(u64, u64)]) -> bool {
    let mut seen = HashSet::new();
    let mut ranges: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for &(folder, n) in numbers {
        if !seen.insert(n) {
            return false;
        }
        let (first, last) = ranges.entry(folder).or_insert((n, n));
        (*first, *last) = ((*first).min(n), (*last).max(n));
    }
    let ranges: Vec<_> = ranges.into_values().collect();
    // One picture in each folder shows no order.
    numbers.len() > ranges.len() && ranges.windows(2).all(|pair| pair[0].1 < pair[1].0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(paths: &[&str]) -> Verdict {
        let pictures: Vec<_> = paths.iter().filter_map(|path| path.split_once('/')).collect();
        judge(&pictures)
    }

    #[test]
    fn parts_of_well_known_data_sets_are_no_classes() {
        for paths in [
            &["00000/00000", "00000/00999", "01000/01000", "69000/69999"][..],
            &["00000/img00000000", "00000/img00000999", "00001/img00001000"][..],
            &["00000/img00000000", "00000/img00000009", "00001/img00000010"][..],
            &["0001/1", "0002/1002", "0234/5000234"][..],
            &["3f/3fa94b21c0de77aa", "c0/c0ffee0123456789"][..],
        ] {
            assert_eq!(verdict(paths), Verdict::Shards, "{paths:?}");
        }
    }

    #[test]
    fn numbered_classes_are_classes() {
        for paths in [
            &["001/0", "001/1", "002/0", "002/1"][..],
            &["0/3", "0/17", "1/5", "1/21"][..],
            &["0/1", "0/2", "1/3", "1/4"][..],
            &["00/1", "01/2"][..],
            &["001.ak47/001_0001", "002.flag/002_0001"][..],
            &["00000/zebra", "00001/horse"][..],
            &["bed/bed1", "cab/cab1"][..],
        ] {
            assert_eq!(verdict(paths), Verdict::Classes, "{paths:?}");
        }
    }

    #[test]
    fn other_numbered_parts_may_be_either() {
        for paths in [
            &["000/1", "000/2", "001/3", "001/4"][..],
            &["00/05", "01/15", "02/25"][..],
            &["images_001/a", "images_002/b"][..],
            &["part-0/cat", "part-1/dog"][..],
        ] {
            assert_eq!(verdict(paths), Verdict::Unclear, "{paths:?}");
        }
    }
}

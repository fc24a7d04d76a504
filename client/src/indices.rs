//! Sets of sample indices: `0-63,70`.
//!
//! A set is kept as sorted ranges that neither overlap nor touch, so equal sets are
//! equal values however they were written.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use ddpm_proto::v1;

/// A set of sample indices, at most 2^32 - 1 of them, each below 2^64 - 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indices {
    ranges: Vec<Range<u64>>,
}

/// Why a text is not a set of indices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIndicesError {
    /// A part is neither a number nor a range.
    #[error("`{0}` is neither an index nor a range such as 0-63")]
    Syntax(String),
    /// A range ends before it starts.
    #[error("the range {0}-{1} ends before it starts")]
    Backwards(u64, u64),
    /// An index is named twice.
    #[error("index {0} is named twice")]
    Twice(u64),
    /// 2^64 - 1 is not an index.
    #[error("{0} is above the greatest index, 2^64 - 2")]
    TooLarge(u64),
    /// The set is too large.
    #[error("there are more than 2^32 - 1 indices")]
    TooMany,
}

impl Indices {
    /// Returns the indices 0 to `count` - 1.
    #[must_use]
    pub fn first(count: u32) -> Self {
        let whole = 0..u64::from(count);
        Self { ranges: if whole.is_empty() { Vec::new() } else { vec![whole] } }
    }

    /// Collects the indices of half-open `ranges`, which may be empty and in any order.
    ///
    /// # Errors
    ///
    /// Overlapping ranges, or more than 2^32 - 1 indices.
    pub fn from_ranges(
        ranges: impl IntoIterator<Item = Range<u64>>,
    ) -> Result<Self, ParseIndicesError> {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
        let mut count = 0u64;
        for range in ranges {
            count = count.saturating_add(range.end - range.start);
            match joined.last_mut() {
                Some(last) if range.start < last.end => {
                    return Err(ParseIndicesError::Twice(range.start));
                }
                Some(last) if range.start == last.end => last.end = range.end,
                _ => joined.push(range),
            }
        }
        if count > u64::from(u32::MAX) {
            return Err(ParseIndicesError::TooMany);
        }
        Ok(Self { ranges: joined })
    }

    /// Returns the number of indices.
    #[must_use]
    pub fn count(&self) -> u32 {
        let count: u64 = self.ranges.iter().map(|range| range.end - range.start).sum();
        u32::try_from(count).expect("every constructor refuses larger sets")
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns whether `index` belongs to the set.
    #[must_use]
    pub fn contains(&self, index: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.start <= index);
        after > 0 && self.ranges[after - 1].contains(&index)
    }

    /// Iterates over the indices in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.ranges.iter().cloned().flatten()
    }

    /// Returns the indices that are not in `done`.
    #[must_use]
    pub fn without(&self, done: &BTreeSet<u64>) -> Self {
        let missing = self.iter().filter(|index| !done.contains(index));
        Self::from_ranges(missing.map(|index| index..index + 1))
            .expect("a part of a set is a smaller set")
    }

    /// Splits the set, in order, into sets of at most `size`.
    ///
    /// # Panics
    ///
    /// If `size` is 0.
    #[must_use]
    pub fn chunks(&self, size: u32) -> Vec<Self> {
        assert!(size > 0, "a chunk holds at least one index");
        let (mut chunks, mut chunk, mut room) = (Vec::new(), Self::default(), u64::from(size));
        for range in &self.ranges {
            let mut rest = range.clone();
            while !rest.is_empty() {
                let end = rest.end.min(rest.start.saturating_add(room));
                chunk.ranges.push(rest.start..end);
                room -= end - rest.start;
                rest.start = end;
                if room == 0 {
                    chunks.push(std::mem::take(&mut chunk));
                    room = u64::from(size);
                }
            }
        }
        if !chunk.is_empty() {
            chunks.push(chunk);
        }
        chunks
    }

    /// Returns a count if the set is 0 to n - 1, otherwise ranges.
    pub(crate) fn to_proto(&self) -> v1::generate_request::Samples {
        match self.ranges.as_slice() {
            [] => v1::generate_request::Samples::SampleCount(0),
            [range] if range.start == 0 => v1::generate_request::Samples::SampleCount(self.count()),
            ranges => v1::generate_request::Samples::IndexRanges(v1::IndexRanges {
                ranges: ranges.iter().map(range_to_proto).collect(),
            }),
        }
    }
}

fn range_to_proto(range: &Range<u64>) -> v1::IndexRange {
    let count =
        u32::try_from(range.end - range.start).expect("the whole set has at most 2^32 - 1 indices");
    v1::IndexRange { first: range.start, count }
}

impl FromStr for Indices {
    type Err = ParseIndicesError;

    /// Parses single indices and closed ranges, separated by commas.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_ranges(text.split(',').map(parse_part).collect::<Result<Vec<_>, _>>()?)
    }
}

fn parse_part(part: &str) -> Result<Range<u64>, ParseIndicesError> {
    let number = |text: &str| text.trim().parse::<u64>();
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (Ok(first), Ok(last)) = (number(first), number(last)) else {
        return Err(ParseIndicesError::Syntax(part.trim().to_owned()));
    };
    if last < first {
        return Err(ParseIndicesError::Backwards(first, last));
    }
    let end = last.checked_add(1).ok_or(ParseIndicesError::TooLarge(last))?;
    Ok(first..end)
}

/// Writes the set as it is parsed: `0-63,70`.
impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.ranges.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            let (first, last) = (range.start, range.end - 1);
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_and_single_indices_make_one_sorted_set() {
        let indices: Indices = "70, 0-3,4-5".parse().unwrap();

        assert_eq!(indices.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 70]);
        assert_eq!(indices.to_string(), "0-5,70");
        assert_eq!(indices.count(), 7);
        assert!(indices.contains(5) && !indices.contains(6) && indices.contains(70));
    }

    #[test]
    fn an_invalid_text_is_refused_with_the_wrong_part() {
        let parse = |text: &str| text.parse::<Indices>().unwrap_err();

        assert_eq!(parse("0-3,x"), ParseIndicesError::Syntax("x".to_owned()));
        assert_eq!(parse(""), ParseIndicesError::Syntax(String::new()));
        assert_eq!(parse("-3"), ParseIndicesError::Syntax("-3".to_owned()));
        assert_eq!(parse("9-3"), ParseIndicesError::Backwards(9, 3));
        assert_eq!(parse("0-3,2"), ParseIndicesError::Twice(2));
        assert_eq!(parse("18446744073709551615"), ParseIndicesError::TooLarge(u64::MAX));
        assert_eq!(parse("0-4294967295"), ParseIndicesError::TooMany);
        assert_eq!(parse("0-18446744073709551614"), ParseIndicesError::TooMany);
    }

    #[test]
    fn a_set_from_zero_is_sent_as_a_count_and_any_other_as_ranges() {
        let ranges = |text: &str| text.parse::<Indices>().unwrap().to_proto();

        assert_eq!(ranges("0-2"), v1::generate_request::Samples::SampleCount(3));
        let expected =
            vec![v1::IndexRange { first: 1, count: 2 }, v1::IndexRange { first: 9, count: 1 }];
        assert_eq!(
            ranges("1-2,9"),
            v1::generate_request::Samples::IndexRanges(v1::IndexRanges { ranges: expected })
        );
    }

    #[test]
    fn chunks_split_ranges_where_a_set_is_full() {
        let chunks = |text: &str, size| -> Vec<String> {
            let indices: Indices = text.parse().unwrap();
            indices.chunks(size).iter().map(ToString::to_string).collect()
        };

        assert_eq!(chunks("0-9", 4), ["0-3", "4-7", "8-9"]);
        assert_eq!(chunks("0-1,5-8,11", 3), ["0-1,5", "6-8", "11"]);
        assert_eq!(chunks("0-1,5-8,11", 7), ["0-1,5-8,11"]);
    }

    proptest! {
        #[test]
        fn every_set_reads_back_from_its_text(
            set in prop::collection::btree_set(0u64..200, 1..60)
        ) {
            let singles = set.iter().map(|&index| index..index + 1);
            let indices = Indices::from_ranges(singles).unwrap();

            prop_assert_eq!(indices.to_string().parse::<Indices>().unwrap(), indices.clone());
            prop_assert!(indices.iter().eq(set.iter().copied()));
            prop_assert!(indices.without(&set).is_empty());
        }
    }
}

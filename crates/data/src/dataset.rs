//! A data set in memory, from which the training loop draws x_0.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Background;
use crate::labelling::Labelled;
use crate::names::shown;
use crate::picture::Form;
use crate::pictures::Pictures;
use crate::remarks::Remarks;

/// Kind and shape of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemShape {
    /// Pictures `[channels, height, width]`.
    Images {
        /// 1 (grey) or 3 (RGB).
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Points `[2]` in the plane.
    Points2d,
}

impl ItemShape {
    /// Values per item: the length of [`Dataset::x_0`]'s output.
    #[must_use]
    pub fn num_elements(&self) -> usize {
        match self {
            Self::Images { channels, height, width } => channels * height * width,
            Self::Points2d => 2,
        }
    }
}

/// Storage of the items.
#[derive(Debug)]
pub(crate) enum Items {
    Points(Vec<[f32; 2]>),
    Pictures(Pictures),
}

/// All items of one split in memory: pictures as one byte per value, points as two f32.
#[derive(Debug)]
pub struct Dataset {
    pub(crate) name: String,
    pub(crate) items: Items,
    pub(crate) labelled: Labelled,
    pub(crate) flips: bool,
    pub(crate) skipped: Vec<(PathBuf, String)>,
    pub(crate) forms: BTreeMap<Form, usize>,
    /// Where each item comes from; empty if items have no file or row of their own.
    pub(crate) paths: Vec<PathBuf>,
    pub(crate) remarks: Remarks,
}

impl Dataset {
    /// Number of items, at least one.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "loading nothing is an error, so no data set is empty"
    )]
    pub fn len(&self) -> usize {
        match &self.items {
            Items::Points(points) => points.len(),
            Items::Pictures(pictures) => pictures.len(),
        }
    }

    /// Returns the data set as the user named it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of item `i` in messages: its path, or its number from 0.
    #[must_use]
    pub fn item_name(&self, i: usize) -> String {
        self.paths.get(i).map_or_else(|| format!("item {i}"), |path| shown(path))
    }

    /// Returns kind and shape of every item.
    #[must_use]
    pub fn kind(&self) -> ItemShape {
        match &self.items {
            Items::Points(_) => ItemShape::Points2d,
            Items::Pictures(Pictures { channels, height, width, .. }) => {
                ItemShape::Images { channels: *channels, height: *height, width: *width }
            }
        }
    }

    /// Returns whether a picture mirrored left to right is as good as the original.
    #[must_use]
    pub fn flips(&self) -> bool {
        self.flips
    }

    /// Lists the pictures left out because broken ones are to be skipped, each with the reason.
    #[must_use]
    pub fn skipped(&self) -> &[(PathBuf, String)] {
        &self.skipped
    }

    /// Counts files beside the pictures that are none and do not claim to be, by kind: extension,
    /// `hidden`, …
    #[must_use]
    pub fn ignored(&self) -> &BTreeMap<String, usize> {
        self.remarks.ignored.kinds()
    }

    /// Returns the number of transparent pictures, and what was put behind them.
    #[must_use]
    pub fn transparent(&self) -> (usize, Background) {
        (self.remarks.transparent, self.remarks.background)
    }

    /// Returns the number of pictures that are the first frame of an animation or the first page of
    /// several; the others are not used.
    #[must_use]
    pub fn first_frames(&self) -> usize {
        self.remarks.first_frames
    }

    /// Returns sizes and colours of the pictures before cropping and resizing, with counts; empty
    /// for points.
    #[must_use]
    pub fn forms(&self) -> &BTreeMap<Form, usize> {
        &self.forms
    }

    /// Returns picture `i` as stored: u8 in [0, 255], `[channels, height, width]`; `None` for
    /// points.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn pixels(&self, i: usize) -> Option<&[u8]> {
        match &self.items {
            Items::Points(_) => None,
            Items::Pictures(pictures) => Some(pictures.get(i)),
        }
    }

    /// Returns all pictures as stored, one after another, and their `[channels, height, width]`;
    /// `None` for points.
    #[must_use]
    pub fn all_pixels(&self) -> Option<(&[u8], [usize; 3])> {
        match &self.items {
            Items::Points(_) => None,
            Items::Pictures(Pictures { channels, height, width, pixels }) => {
                Some((pixels, [*channels, *height, *width]))
            }
        }
    }

    /// Writes item `i` at model scale: pixels in [-1, 1] as `(v / 255 - 0.5) / 0.5`, points as they
    /// are.
    ///
    /// * `flip`: mirrors a picture left to right; points have no mirror image and ignore it.
    /// * `out`: one item, [`ItemShape::num_elements`] values in CHW order.
    ///
    /// # Panics
    ///
    /// If `i` is not below [`len`](Self::len) or `out` has another length.
    pub fn x_0(&self, i: usize, flip: bool, out: &mut [f32]) {
        match &self.items {
            Items::Points(points) => out.copy_from_slice(&points[i]),
            Items::Pictures(pictures) => {
                assert_eq!(out.len(), pictures.picture_len(), "x_0 writes exactly one picture");
                let rows = pictures.get(i).chunks_exact(pictures.width);
                for (row, out) in rows.zip(out.chunks_exact_mut(pictures.width)) {
                    write_row(row, flip, out);
                }
            }
        }
    }

    /// Describes the data set in one line: name, count, shape, classes, and what was left out.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = self.len();
        let mut line = match self.kind() {
            ItemShape::Points2d => format!("{}: {count} points", self.name),
            ItemShape::Images { channels, height, width } => {
                format!("{}: {count} pictures of {channels}x{height}x{width}", self.name)
            }
        };
        if let Some(names) = self.class_names() {
            line += &format!(", {} classes", names.len());
        }
        if self.flips {
            line += ", flipped at random";
        }
        if !self.skipped.is_empty() {
            line += &format!(", {} broken left out", self.skipped.len());
        }
        if let (count @ 1.., background) = self.transparent() {
            line += &format!(", {count} transparent on {background}");
        }
        if let count @ 1.. = self.first_frames() {
            line += &format!(", {count} with more frames or pages, which are not used");
        }
        if let Some(others) = self.remarks.ignored.summary() {
            line += &format!(", {others}");
        }
        line
    }
}

fn write_row(row: &[u8], flip: bool, out: &mut [f32]) {
    out.iter_mut().zip(row).for_each(|(out, &pixel)| *out = model_scale(pixel));
    if flip {
        out.reverse();
    }
}

/// Maps [0, 255] to [-1, 1], in the reference's order of operations.
#[must_use]
pub fn model_scale(pixel: u8) -> f32 {
    (f32::from(pixel) / 255.0 - 0.5) / 0.5
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::labels::Labels;

    fn dataset(items: Items) -> Dataset {
        Dataset {
            name: "test".to_owned(),
            items,
            labelled: Labelled::none("they are drawn"),
            flips: false,
            skipped: Vec::new(),
            forms: BTreeMap::new(),
            paths: Vec::new(),
            remarks: Remarks::default(),
        }
    }

    pub(crate) fn two_pictures() -> Dataset {
        let pixels = vec![0, 255, 51, 204, 0, 0, 255, 255];
        dataset(Items::Pictures(Pictures { channels: 1, height: 2, width: 2, pixels }))
    }

    #[test]
    fn pixels_0_and_255_become_minus_one_and_one() {
        let mut x_0 = [0.0; 4];
        two_pictures().x_0(0, false, &mut x_0);
        for (got, expected) in x_0.iter().zip([-1.0, 1.0, -0.6, 0.6]) {
            assert!((got - expected).abs() < 1e-6, "{x_0:?}");
        }
        assert_eq!(x_0[..2], [-1.0, 1.0]);
    }

    #[test]
    fn a_flip_mirrors_each_row() {
        let (mut plain, mut flipped) = ([0.0; 4], [0.0; 4]);
        two_pictures().x_0(0, false, &mut plain);
        two_pictures().x_0(0, true, &mut flipped);
        assert_eq!(flipped, [plain[1], plain[0], plain[3], plain[2]]);
    }

    #[test]
    fn points_are_written_as_they_are() {
        let mut x_0 = [0.0; 2];
        dataset(Items::Points(vec![[9.0, 9.0], [0.5, -1.5]])).x_0(1, true, &mut x_0);
        assert_eq!(x_0, [0.5, -1.5]);
    }

    #[test]
    fn the_summary_says_what_was_left_out() {
        let mut set = two_pictures();
        set.skipped.push((PathBuf::from("a.png"), "truncated".to_owned()));
        set.labelled = Labelled::from("here", Labels::numbered(vec![0, 2]));
        assert_eq!(set.summary(), "test: 2 pictures of 1x2x2, 3 classes, 1 broken left out");
    }
}

//! The digest of a data set: what a model is trained on, whatever it is called and wherever it
//! lies.
//!
//! Chunks of items are digested on all cores. Their digests form a short text with the shape and
//! the names of the classes, and the digest is that of this text.

use std::fmt::Write;

use ddpm_package::Sha256Hex;
use rayon::prelude::*;

use crate::dataset::Items;
use crate::{Dataset, ItemShape};

/// Bytes that one thread digests at a time. Another number changes every digest.
const CHUNK_BYTES: usize = 1 << 20;
/// First line of the text; it changes if what is digested does.
const VERSION: &str = "ddpm data set 1";
/// Stands for an item without a label.
const NO_LABEL: u64 = u64::MAX;

impl Dataset {
    /// Computes the SHA-256, as 64 hex digits, of what training sees: the shape, the bytes of every
    /// item in order, their labels, and the names of the classes.
    ///
    /// Paths, times and the name of the data set do not count, so moved data keeps its digest. One
    /// changed pixel, label or class name gives another. Every item is read, on all cores.
    #[must_use]
    pub fn digest(&self) -> String {
        let shape = match self.kind() {
            ItemShape::Images { channels, height, width } => {
                format!("{channels}x{height}x{width} u8")
            }
            ItemShape::Points2d => "2 f32".to_owned(),
        };
        let mut text = format!("{VERSION}\n{} items of {shape}\n", self.len());
        add(&mut text, &self.item_digests());
        if let Some(names) = self.class_names() {
            let labels: Vec<u64> = (0..self.len()).map(|i| self.label_value(i)).collect();
            text += "labels\n";
            add(&mut text, &chunks(&labels, |label| label.to_le_bytes()));
            for name in names {
                let _ = writeln!(text, "class of {} bytes {name}", name.len());
            }
        }
        Sha256Hex::of(text.as_bytes()).to_string()
    }

    fn item_digests(&self) -> Vec<Sha256Hex> {
        match &self.items {
            Items::Pictures(pictures) => {
                pictures.pixels.par_chunks(CHUNK_BYTES).map(Sha256Hex::of).collect()
            }
            Items::Points(points) => {
                let bits = |value: f32| u64::from(value.to_bits());
                chunks(points, |[x, y]| (bits(*x) | bits(*y) << 32).to_le_bytes())
            }
        }
    }

    fn label_value(&self, i: usize) -> u64 {
        self.label(i).map_or(NO_LABEL, |label| label as u64)
    }
}

/// Digests values of eight bytes each, as [`CHUNK_BYTES`] says.
fn chunks<T: Sync>(values: &[T], bytes: impl Fn(&T) -> [u8; 8] + Sync) -> Vec<Sha256Hex> {
    let digest = |chunk: &[T]| Sha256Hex::of(&chunk.iter().flat_map(&bytes).collect::<Vec<u8>>());
    values.par_chunks(CHUNK_BYTES / 8).map(digest).collect()
}

fn add(text: &mut String, digests: &[Sha256Hex]) {
    for digest in digests {
        *text += digest.as_str();
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};
    use std::path::PathBuf;

    use super::*;
    use crate::labelling::Labelled;
    use crate::labels::Labels;
    use crate::pictures::Pictures;
    use crate::remarks::Remarks;

    fn set(items: Items, labels: Option<Labels>) -> Dataset {
        Dataset {
            name: "here".to_owned(),
            items,
            labelled: match labels {
                Some(labels) => Labelled::from("here", labels),
                None => Labelled::none("there are none"),
            },
            flips: false,
            skipped: Vec::new(),
            forms: BTreeMap::new(),
            paths: Vec::new(),
            remarks: Remarks::default(),
        }
    }

    /// More than two chunks of pictures, each of `[channels, height, width]`.
    fn pictures([channels, height, width]: [usize; 3]) -> Items {
        let pixels = (0..3 * CHUNK_BYTES).map(|i| (i % 251) as u8).collect();
        Items::Pictures(Pictures { channels, height, width, pixels })
    }

    fn labelled(names: [&str; 2], first: usize) -> Option<Labels> {
        let count = 3 * CHUNK_BYTES / (64 * 64);
        let mut per_item = vec![1; count];
        per_item[0] = first;
        Some(Labels { names: names.map(str::to_owned).to_vec(), per_item })
    }

    #[test]
    fn one_changed_pixel_label_name_or_shape_changes_the_digest() {
        let grey = || pictures([1, 64, 64]);
        let mut sets = vec![
            set(grey(), None),
            set(pictures([1, 32, 128]), None),
            set(grey(), labelled(["a", "b"], 0)),
            set(grey(), labelled(["a", "b"], 1)),
            set(grey(), labelled(["a", "c"], 0)),
            set(grey(), labelled(["a\nclass of 1 bytes b", ""], 0)),
            set(Items::Points(vec![[0.0, 1.0]]), None),
            set(Items::Points(vec![[-0.0, 1.0]]), None),
            set(Items::Points(vec![[1.0, 0.0]]), None),
        ];
        for at in [0, CHUNK_BYTES, 3 * CHUNK_BYTES - 1] {
            let mut other = grey();
            let Items::Pictures(pictures) = &mut other else { unreachable!("made above") };
            pictures.pixels[at] ^= 1;
            sets.push(set(other, None));
        }
        let count = sets.len();
        let digests: HashSet<String> = sets.iter().map(Dataset::digest).collect();
        assert_eq!(digests.len(), count);
        assert!(digests.iter().all(|digest| digest.len() == 64));
    }

    #[test]
    fn names_and_places_leave_the_digest_unchanged() {
        let one = set(pictures([1, 64, 64]), labelled(["a", "b"], 0));
        let mut moved = set(pictures([1, 64, 64]), labelled(["a", "b"], 0));
        moved.name = "there".to_owned();
        moved.paths = vec![PathBuf::from("b.png")];
        moved.skipped = vec![(PathBuf::from("c.png"), "broken".to_owned())];
        assert_eq!(one.digest(), moved.digest());
    }

    #[test]
    fn the_digest_of_two_points_is_written_down_so_that_stored_ones_stay_valid() {
        let points = Items::Points(vec![[0.5, -1.5], [2.0, 0.0]]);
        // Computed in Python, from the layout that this module describes.
        let expected = "c3abfdd84b24b6c4e82b229c8ce5de84ea85bf3f86b52d715a49cb10297ed0f8";
        assert_eq!(set(points, None).digest(), expected);
    }
}

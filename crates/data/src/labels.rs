//! Class labels: one name per class, one class per item.

use std::collections::{HashMap, HashSet};

use crate::labelling;

/// `per_item[i]` is the class of item i, an index into `names`.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) names: Vec<String>,
    pub(crate) per_item: Vec<usize>,
}

impl Labels {
    /// Names the classes by their numbers, 0 to the largest that occurs.
    pub(crate) fn numbered(per_item: Vec<usize>) -> Self {
        let count = per_item.iter().max().map_or(0, |largest| largest + 1);
        Self::numbered_to(count, per_item)
    }

    /// Names `count` classes by their numbers, even if some have no item.
    pub(crate) fn numbered_to(count: usize, per_item: Vec<usize>) -> Self {
        Self { names: (0..count).map(|class| class.to_string()).collect(), per_item }
    }

    /// Makes each name that occurs a class, in the order of [`sort`](labelling::sort).
    ///
    /// * `items`: the name of each item's class.
    pub(crate) fn named(items: &[String]) -> Self {
        let distinct: HashSet<&String> = items.iter().collect();
        let mut names: Vec<String> = distinct.into_iter().cloned().collect();
        labelling::sort(&mut names);
        let classes: HashMap<&str, usize> =
            names.iter().enumerate().map(|(class, name)| (name.as_str(), class)).collect();
        let per_item = items.iter().map(|name| classes[name.as_str()]).collect();
        Self { names, per_item }
    }

    /// Brings the classes into another order of the same names.
    ///
    /// Returns whether these are the same names, each once; if not, nothing changes.
    pub(crate) fn reorder(&mut self, names: &[String]) -> bool {
        let at: HashMap<&str, usize> =
            names.iter().enumerate().map(|(class, name)| (name.as_str(), class)).collect();
        let moved: Option<Vec<usize>> =
            self.names.iter().map(|name| at.get(name.as_str()).copied()).collect();
        let distinct: HashSet<&String> = self.names.iter().collect();
        let [ours, theirs] = [self.names.len(), names.len()];
        let Some(moved) = moved.filter(|_| ours == theirs && distinct.len() == ours) else {
            return false;
        };
        self.per_item.iter_mut().for_each(|class| *class = moved[*class]);
        self.names = names.to_vec();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn named_classes_are_sorted_and_found_again() {
        let labels = Labels::named(&names(&["10", "2", "10", "1"]));
        assert_eq!((labels.names, labels.per_item), (names(&["1", "2", "10"]), vec![2, 1, 2, 0]));
    }

    #[test]
    fn another_order_moves_the_labels_with_their_names() {
        let mut labels = Labels::named(&names(&["10", "2", "10", "1"]));
        assert!(labels.reorder(&names(&["1", "10", "2"])));
        assert_eq!(labels.per_item, [1, 2, 1, 0]);
        for other in [&["1", "2"][..], &["1", "2", "3"], &["1", "1", "2"], &["1", "10", "2", "3"]] {
            assert!(!labels.reorder(&names(other)), "{other:?}");
        }
        assert_eq!(labels.names, names(&["1", "10", "2"]));
    }
}

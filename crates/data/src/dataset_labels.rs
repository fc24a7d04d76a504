//! The labels of a data set in memory: its classes, and where they come from.

use std::path::PathBuf;

use crate::Dataset;
use crate::labelling::LabelOrigin;

impl Dataset {
    /// Returns the names of the classes, in the order of their numbers; `None` when items have no
    /// labels.
    #[must_use]
    pub fn class_names(&self) -> Option<&[String]> {
        self.labelled.labels.as_ref().map(|labels| labels.names.as_slice())
    }

    /// Class of item `i`, an index into [`class_names`](Self::class_names).
    ///
    /// # Panics
    ///
    /// If the items have labels and `i` is not below [`len`](Self::len).
    #[must_use]
    pub fn label(&self, i: usize) -> Option<usize> {
        self.labelled.labels.as_ref().map(|labels| labels.per_item[i])
    }

    /// Returns where the labels come from, or why there are none.
    #[must_use]
    pub fn label_origin(&self) -> &LabelOrigin {
        &self.labelled.origin
    }

    /// Lists the pictures left out because they have no label.
    #[must_use]
    pub fn unlabelled(&self) -> &[PathBuf] {
        &self.labelled.unlabelled
    }

    /// Lists sentences about splits and labels that a user should read.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.labelled.notes
    }

    /// Describes the labels in one line, to follow the word "labels".
    #[must_use]
    pub fn label_summary(&self) -> String {
        match (&self.labelled.origin, self.class_names()) {
            (LabelOrigin::From(place), Some(names)) => {
                let left_out = match self.unlabelled().len() {
                    0 => String::new(),
                    count => format!("; left out without a label: {count}"),
                };
                format!("from {place}: {} classes{left_out}", names.len())
            }
            (LabelOrigin::None(why) | LabelOrigin::From(why), _) => format!("none: {why}"),
        }
    }

    /// Brings the classes into the order of `names`, such as that of a model trained on them
    /// earlier: the order of names may depend on the version of this program.
    ///
    /// Returns whether these are now the classes. If `names` are other classes, nothing changes.
    pub fn reorder_classes(&mut self, names: &[String]) -> bool {
        self.labelled.labels.as_mut().is_some_and(|labels| labels.reorder(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::two_pictures;
    use crate::labelling::Labelled;
    use crate::labels::Labels;

    #[test]
    fn the_line_of_labels_says_where_they_come_from_or_why_there_are_none() {
        let mut set = two_pictures();
        assert_eq!(set.label_summary(), "none: they are drawn");
        set.labelled = Labelled::from("folders", Labels::numbered(vec![0, 2]));
        set.labelled.unlabelled.push(PathBuf::from("cover.png"));
        let line = "from folders: 3 classes; left out without a label: 1";
        assert_eq!(set.label_summary(), line);
    }

    #[test]
    fn classes_can_be_brought_into_an_earlier_order() {
        let mut set = two_pictures();
        let order = ["b", "a"].map(str::to_owned);
        assert!(!set.reorder_classes(&order));
        let named = ["a", "b"].map(str::to_owned).to_vec();
        set.labelled = Labelled::from("folders", Labels::named(&named));
        assert!(set.reorder_classes(&order));
        assert_eq!((set.class_names(), set.label(0)), (Some(&order[..]), Some(1)));
    }
}

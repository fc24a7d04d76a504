//! Class labels: one name per class, one class per item.

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
        Self { names: (0..count).map(|class| class.to_string()).collect(), per_item }
    }
}

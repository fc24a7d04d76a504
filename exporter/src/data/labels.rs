//! Class labels: one name per class, one class per item.

/// `of[i]` is the class of item i, an index into `names`.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    pub(super) names: Vec<String>,
    pub(super) of: Vec<usize>,
}

impl Labels {
    /// Classes whose names are their numbers: 0 to the largest that occurs.
    pub(super) fn numbered(of: Vec<usize>) -> Self {
        let count = of.iter().max().map_or(0, |largest| largest + 1);
        Self { names: (0..count).map(|class| class.to_string()).collect(), of }
    }
}

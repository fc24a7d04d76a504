//! Items held out of training, to measure the loss on.

/// The items of a data set that are held out: evenly spaced, so that data sorted by class has some
/// of each class among them.
#[derive(Debug, Clone)]
pub(crate) struct HeldOut {
    items: Vec<usize>,
    /// The number of training items before each of them.
    before: Vec<usize>,
}

impl HeldOut {
    /// Holds out `count` of `len` items, `count` below `len`.
    pub(crate) fn new(len: usize, count: usize) -> Self {
        let items: Vec<usize> = (0..count).map(|k| k * len / count).collect();
        let before = items.iter().enumerate().map(|(k, item)| item - k).collect();
        Self { items, before }
    }

    /// Returns the held-out items, in order.
    pub(crate) fn items(&self) -> &[usize] {
        &self.items
    }

    /// Returns the data set's index of the `number`-th training item.
    pub(crate) fn train_item(&self, number: usize) -> usize {
        number + self.before.partition_point(|&before| before <= number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_either_held_out_or_trained_on() {
        for (len, count) in [(1, 0), (10, 0), (10, 1), (10, 3), (10, 9), (1000, 37)] {
            let held_out = HeldOut::new(len, count);
            assert_eq!(held_out.items().len(), count);
            let trained = (0..len - count).map(|number| held_out.train_item(number));
            let mut all: Vec<usize> = trained.chain(held_out.items().iter().copied()).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..len), "{count} of {len}");
        }
    }

    #[test]
    fn held_out_items_are_evenly_spaced() {
        assert_eq!(HeldOut::new(100, 4).items(), [0, 25, 50, 75]);
    }
}

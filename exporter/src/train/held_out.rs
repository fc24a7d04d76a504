//! Items that are kept out of training, to judge it by.

/// Which items of a data set are held out: evenly spaced, so that of data in the order of its
/// classes there is something of each.
#[derive(Debug, Clone)]
pub(super) struct HeldOut {
    items: Vec<usize>,
    /// How many items of training stand before each of them.
    before: Vec<usize>,
}

impl HeldOut {
    /// Holds out `count` of `len` items, `count` below `len`.
    pub(super) fn new(len: usize, count: usize) -> Self {
        let items: Vec<usize> = (0..count).map(|k| k * len / count).collect();
        let before = items.iter().enumerate().map(|(k, item)| item - k).collect();
        Self { items, before }
    }

    /// The items held out, in order.
    pub(super) fn items(&self) -> &[usize] {
        &self.items
    }

    /// The item of the data set that is the `number`-th of training.
    pub(super) fn train_item(&self, number: usize) -> usize {
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
    fn items_held_out_are_evenly_spaced() {
        assert_eq!(HeldOut::new(100, 4).items(), [0, 25, 50, 75]);
    }
}

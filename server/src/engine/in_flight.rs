//! What is in flight, by position.
//!
//! Positions begin in ascending order and end about in that order, so those in flight lie close
//! together: looking one up, as each sample does twice per call, costs no hash.

use std::collections::VecDeque;

/// Values by position.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    /// Position of the first place.
    first: u64,
    /// The first one is not empty.
    places: VecDeque<Option<T>>,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self { first: 0, places: VecDeque::new() }
    }
}

impl<T> InFlight<T> {
    /// Adds a value after all others.
    pub(super) fn begin(&mut self, position: u64, value: T) {
        if self.places.is_empty() {
            self.first = position;
        }
        let end = self.first + self.places.len() as u64;
        let gap = position.checked_sub(end).expect("positions begin in ascending order");
        self.places.extend((0..gap).map(|_| None));
        self.places.push_back(Some(value));
    }

    pub(super) fn get(&self, position: u64) -> Option<&T> {
        self.places.get(self.place(position)?)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, position: u64) -> Option<&mut T> {
        let place = self.place(position)?;
        self.places.get_mut(place)?.as_mut()
    }

    pub(super) fn end(&mut self, position: u64) -> Option<T> {
        let place = self.place(position)?;
        let value = self.places.get_mut(place)?.take();
        while let Some(None) = self.places.front() {
            self.places.pop_front();
            self.first += 1;
        }
        value
    }

    /// Takes all values.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.places.drain(..).flatten()
    }

    fn place(&self, position: u64) -> Option<usize> {
        usize::try_from(position.checked_sub(self.first)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_positions_until_they_end() {
        let mut values = InFlight::default();
        for position in [3, 4, 7] {
            values.begin(position, position * 10);
        }
        let found = |values: &InFlight<u64>| -> Vec<u64> {
            (0..9).filter_map(|at| values.get(at).copied()).collect()
        };
        assert_eq!(found(&values), [30, 40, 70]);
        *values.get_mut(4).unwrap() += 1;
        assert!(values.get_mut(5).is_none() && values.get_mut(2).is_none());
        assert_eq!((values.end(4), values.end(4), values.end(100)), (Some(41), None, None));
        assert_eq!(found(&values), [30, 70]);
        assert_eq!((values.end(3), values.places.len()), (Some(30), 1), "places end with values");
        values.begin(8, 80);
        assert_eq!(values.drain().collect::<Vec<_>>(), [70, 80]);
        values.begin(90, 900);
        assert_eq!((values.get(90), values.places.len()), (Some(&900), 1));
    }
}

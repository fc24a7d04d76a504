//! How large a call of the network is.
//!
//! If only bulk work waits, a call has the smallest size with at least 95 % of the best throughput.
//! If an urgent request is in it, others may join only as long as it would still be done in time
//! with calls of that size: on a GPU, where the eighth sample is almost free, all of them; on a
//! processor, where two take twice as long as one, none. Urgent requests always share a call: if
//! there are more than the device can serve in time, throughput counts.

use super::weight;
use crate::cost::CostCurve;

/// Others may always make a call of urgent requests this much longer.
const FREE: f64 = 1.05;

/// A call that is being put together.
#[derive(Debug)]
pub(super) struct Call<'a> {
    curve: &'a CostCurve,
    evals: u32,
    samples: u32,
    /// Evals of its urgent samples.
    urgent: u32,
    /// Seconds that it may take at most, once it holds urgent samples.
    longest: Option<f64>,
    /// The least stretch of its urgent samples.
    stretch: f64,
}

impl<'a> Call<'a> {
    pub(super) fn new(curve: &'a CostCurve) -> Self {
        Self { curve, evals: 0, samples: 0, urgent: 0, longest: None, stretch: f64::INFINITY }
    }

    /// Puts a sample in if there is room, and returns whether there was; the first always fits.
    ///
    /// * `evals`: those of its row.
    /// * `stretch`: of an urgent request, how much longer than alone its calls may take.
    pub(super) fn put_in(&mut self, evals: u32, stretch: Option<f64>) -> bool {
        let total = self.evals + evals;
        if self.samples > 0 {
            let most = self.curve.bulk();
            let too_large = total > most || self.samples >= most;
            let too_long = stretch.is_none()
                && self.curve.fixed_size().is_none()
                && self.longest.is_some_and(|longest| self.curve.seconds(total) > longest);
            if too_large || too_long {
                return false;
            }
        }
        self.evals = total;
        self.samples += 1;
        if let Some(stretch) = stretch {
            self.stretch = self.stretch.min(stretch);
            self.urgent += evals;
            let alone = self.curve.seconds(self.urgent.max(1));
            self.longest = Some(alone * self.stretch.max(FREE));
        }
        true
    }

    /// Returns the seconds that the call takes.
    pub(super) fn seconds(&self) -> f64 {
        match self.evals {
            0 => self.curve.seconds(1) * weight(0) * f64::from(self.samples),
            evals => self.curve.seconds(evals),
        }
    }
}

//! How large a call of the network is.
//!
//! If only bulk work waits, a call has the smallest size with at least 95 % of the best throughput,
//! or one next to it now and then, see [`CostCurve::call_size`].
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
    /// Most evals, and most samples.
    most: u32,
    evals: u32,
    samples: u32,
    urgent: Option<Urgent>,
}

/// The urgent samples of a call.
#[derive(Debug)]
struct Urgent {
    evals: u32,
    /// The least of them.
    stretch: f64,
    /// Seconds that the call may take at most, once they were asked for.
    longest: Option<f64>,
}

impl<'a> Call<'a> {
    pub(super) fn new(curve: &'a CostCurve) -> Self {
        Self { curve, most: curve.call_size(), evals: 0, samples: 0, urgent: None }
    }

    /// Puts a sample in if there is room, and returns whether there was; the first always fits.
    ///
    /// * `evals`: those of its row.
    /// * `stretch`: of an urgent request, how much longer than alone its calls may take.
    pub(super) fn put_in(&mut self, evals: u32, stretch: Option<f64>) -> bool {
        let total = self.evals + evals;
        if self.samples > 0 {
            let too_large = total > self.most || self.samples >= self.most;
            if too_large || (stretch.is_none() && self.would_delay(total)) {
                return false;
            }
        }
        self.evals = total;
        self.samples += 1;
        if let Some(stretch) = stretch {
            let none = Urgent { evals: 0, stretch: f64::INFINITY, longest: None };
            let urgent = self.urgent.get_or_insert(none);
            *urgent = Urgent {
                evals: urgent.evals + evals,
                stretch: urgent.stretch.min(stretch),
                longest: None,
            };
        }
        true
    }

    /// Returns whether the urgent samples would be late with so many evals in the call.
    fn would_delay(&mut self, evals: u32) -> bool {
        let Some(urgent) = &mut self.urgent else { return false };
        if self.curve.fixed_size().is_some() {
            return false;
        }
        let longest = *urgent.longest.get_or_insert_with(|| {
            self.curve.seconds(urgent.evals.max(1)) * urgent.stretch.max(FREE)
        });
        self.curve.seconds(evals) > longest
    }

    /// Returns the seconds that the call takes.
    pub(super) fn seconds(&self) -> f64 {
        match self.evals {
            0 => self.curve.seconds(1) * weight(0) * f64::from(self.samples),
            evals => self.curve.seconds(evals),
        }
    }
}

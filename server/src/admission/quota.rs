//! What one principal may ask for: a rate of evals, as a bucket that fills over a minute.

use std::time::{Duration, Instant};

/// The evals that a principal asked for lately.
#[derive(Debug, Clone, Copy)]
pub(super) struct EvalRate {
    /// Evals asked for and not yet forgiven.
    spent: f64,
    at: Instant,
}

impl EvalRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { spent: 0.0, at: now }
    }

    /// Spends evals if the quota allows it; a request of more than a whole minute passes if
    /// nothing else was spent.
    ///
    /// # Errors
    ///
    /// The time until it would pass.
    pub(super) fn spend(
        &mut self,
        evals: u64,
        per_minute: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        let (evals, per_minute) = (evals as f64, per_minute as f64);
        self.forgive(per_minute, now);
        let over = (self.spent + evals - per_minute).min(self.spent);
        if over > 0.0 {
            return Err(Duration::from_secs_f64(over / per_minute * 60.0));
        }
        self.spent += evals;
        Ok(())
    }

    /// Returns whether nothing is spent.
    pub(super) fn is_idle(&mut self, per_minute: u64, now: Instant) -> bool {
        self.forgive(per_minute as f64, now);
        self.spent <= 0.0
    }

    fn forgive(&mut self, per_minute: f64, now: Instant) {
        let minutes = now.saturating_duration_since(self.at).as_secs_f64() / 60.0;
        self.spent = (self.spent - minutes * per_minute).max(0.0);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_may_be_spent_at_once_and_comes_back_evenly() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut rate = EvalRate::new(start);
        rate.spend(600, 600, start).unwrap();
        assert_eq!(rate.spend(1, 600, start), Err(Duration::from_millis(100)));
        assert_eq!(rate.spend(300, 600, after(10)), Err(Duration::from_secs(20)));
        rate.spend(300, 600, after(30)).unwrap();
        assert!(!rate.is_idle(600, after(89)));
        assert!(rate.is_idle(600, after(90)));
    }

    #[test]
    fn more_than_a_minute_passes_alone_and_is_paid_for_afterwards() {
        let start = Instant::now();
        let mut rate = EvalRate::new(start);
        rate.spend(1800, 600, start).unwrap();
        assert_eq!(rate.spend(600, 600, start), Err(Duration::from_secs(180)));
        let late = start + Duration::from_secs(180);
        rate.spend(600, 600, late).unwrap();
    }
}

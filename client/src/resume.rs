//! Resuming is asking again: when to, how often, and for which indices.

use std::{collections::BTreeSet, time::Duration};

use crate::{error::Error, events::Interruption, indices::Indices};

/// How often to ask again, and after which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in a row that bring no new sample; then the error is final.
    pub attempts: u32,
    /// Pause before the first of them; each next one is twice as long. A pause
    /// that the server asks for wins, unless it is shorter than this one.
    pub first_pause: Duration,
    /// No pause of our own is longer than this.
    pub longest_pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(15),
        }
    }
}

/// The attempts of one run.
#[derive(Debug)]
pub(crate) struct Resume {
    retry: Retry,
    in_vain: u32,
}

impl Resume {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, in_vain: 0 }
    }

    /// A sample came: the server works, so all attempts are free again.
    pub(crate) fn progressed(&mut self) {
        self.in_vain = 0;
    }

    /// Plans the attempt after `error` for those of `asked` not in `settled`.
    ///
    /// # Errors
    ///
    /// `error` itself if another attempt would not help or none is left.
    pub(crate) fn plan(
        &mut self,
        error: Error,
        asked: &Indices,
        settled: &BTreeSet<u64>,
    ) -> Result<Interruption, Error> {
        if !error.is_transient() || self.in_vain == self.retry.attempts {
            return Err(error);
        }
        let asked_for = error.retry_after().map(|pause| pause.max(self.retry.first_pause));
        let pause = asked_for.unwrap_or_else(|| self.pause());
        self.in_vain += 1;
        Ok(Interruption { error, missing: asked.without(settled), pause })
    }

    fn pause(&self) -> Duration {
        let doubled = self.retry.first_pause.saturating_mul(2u32.saturating_pow(self.in_vain));
        doubled.min(self.retry.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    fn broken() -> Error {
        Error::Interrupted("reset".to_owned())
    }

    fn pauses(resume: &mut Resume, count: usize) -> Vec<u64> {
        let plan = |_| resume.plan(broken(), &Indices::first(4), &BTreeSet::new()).ok();
        (0..count).map_while(plan).map(|plan| plan.pause.as_millis() as u64).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_attempts_run_out() {
        let retry = Retry {
            attempts: 4,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_millis(350),
        };
        let mut resume = Resume::new(retry);

        assert_eq!(pauses(&mut resume, 9), [100, 200, 350, 350]);
        resume.progressed();
        assert_eq!(pauses(&mut resume, 1), [100]);
    }

    #[test]
    fn a_pause_that_the_server_asks_for_wins_but_none_is_no_pause() {
        let mut resume = Resume::new(Retry::default());
        for (asked_for, pause) in [(0, 250), (4000, 4000)] {
            let delay = Some(Duration::from_millis(asked_for));
            let details = ErrorDetails::with_retry_info(delay);
            let status = Status::with_error_details(Code::Unavailable, "later", details);
            let error = Error::from_status(&status);

            let plan = resume.plan(error, &Indices::first(4), &BTreeSet::new()).unwrap();

            assert_eq!(plan.pause, Duration::from_millis(pause));
        }
    }

    #[test]
    fn what_is_missing_is_what_neither_came_nor_failed() {
        let settled = BTreeSet::from([0, 2]);

        let plan = Resume::new(Retry::default()).plan(broken(), &Indices::first(4), &settled);

        assert_eq!(plan.unwrap().missing.to_string(), "1,3");
    }

    #[test]
    fn an_error_that_time_does_not_heal_is_final() {
        let error = Error::Protocol("a gap".to_owned());

        let plan = Resume::new(Retry::default()).plan(error, &Indices::first(1), &BTreeSet::new());

        assert!(matches!(plan, Err(Error::Protocol(_))));
    }
}

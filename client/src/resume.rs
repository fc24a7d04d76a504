//! Resuming a run: when to retry, how often, and which indices to request.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::error::Error;
use crate::events::Interruption;
use crate::indices::Indices;

/// How often to retry, and after which pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Most attempts in a row without a new sample; then the error is final.
    pub attempts: u32,
    /// Pause before the first attempt; each further pause is twice as long. A pause
    /// requested by the server takes precedence, but is never shorter than this.
    pub first_pause: Duration,
    /// Longest pause of our own.
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
    failed_attempts: u32,
}

impl Resume {
    pub(crate) fn new(retry: Retry) -> Self {
        Self { retry, failed_attempts: 0 }
    }

    /// Notes that a sample arrived: the server works, so all attempts are available again.
    pub(crate) fn progressed(&mut self) {
        self.failed_attempts = 0;
    }

    /// Plans the attempt after `error`, for those of `requested` not in `settled`.
    ///
    /// # Errors
    ///
    /// `error` itself if another attempt would not help, or none is left.
    pub(crate) fn plan(
        &mut self,
        error: Error,
        requested: &Indices,
        settled: &BTreeSet<u64>,
    ) -> Result<Interruption, Error> {
        if !error.is_transient() || self.failed_attempts == self.retry.attempts {
            return Err(error);
        }
        let server_pause = error.retry_after().map(|pause| pause.max(self.retry.first_pause));
        let pause = server_pause.unwrap_or_else(|| self.pause());
        self.failed_attempts += 1;
        Ok(Interruption { error, missing: requested.without(settled), pause })
    }

    fn pause(&self) -> Duration {
        let doubled =
            self.retry.first_pause.saturating_mul(2u32.saturating_pow(self.failed_attempts));
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
    fn the_servers_pause_takes_precedence_unless_it_is_shorter() {
        let mut resume = Resume::new(Retry::default());
        for (server_pause, pause) in [(0, 250), (4000, 4000)] {
            let delay = Some(Duration::from_millis(server_pause));
            let details = ErrorDetails::with_retry_info(delay);
            let status = Status::with_error_details(Code::Unavailable, "later", details);
            let error = Error::from_status(&status);

            let plan = resume.plan(error, &Indices::first(4), &BTreeSet::new()).unwrap();

            assert_eq!(plan.pause, Duration::from_millis(pause));
        }
    }

    #[test]
    fn samples_that_neither_arrived_nor_failed_are_missing() {
        let settled = BTreeSet::from([0, 2]);

        let plan = Resume::new(Retry::default()).plan(broken(), &Indices::first(4), &settled);

        assert_eq!(plan.unwrap().missing.to_string(), "1,3");
    }

    #[test]
    fn a_lasting_error_is_final() {
        let error = Error::Protocol("a gap".to_owned());

        let plan = Resume::new(Retry::default()).plan(error, &Indices::first(1), &BTreeSet::new());

        assert!(matches!(plan, Err(Error::Protocol(_))));
    }
}

//! Estimates: what a request would cost, and when it would be done.

use std::time::Duration;

use ddpm_proto::v1;
use serde::Serialize;

use crate::error::Error;
use crate::events::{duration, optional_seconds, scaled, seconds};

/// What a run would cost now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// Network evaluations per sample.
    pub evals_per_sample: u64,
    /// Network evaluations of the whole run.
    pub total_evals: u64,
    /// Time of the device for them, in calls of the best size.
    #[serde(rename = "compute_seconds", serialize_with = "seconds")]
    pub compute_time: Duration,
    /// Samples of other requests that are waiting or in flight.
    pub queue_position: u64,
    /// Time until the run is complete, if it began now and nothing else did; `None` if the server
    /// cannot say.
    #[serde(rename = "eta_seconds", serialize_with = "optional_seconds")]
    pub eta: Option<Duration>,
}

impl Estimate {
    pub(crate) fn from_proto(wire: &v1::EstimateResponse) -> Result<Self, Error> {
        Ok(Self {
            evals_per_sample: wire.evals_per_sample,
            total_evals: wire.total_evals,
            compute_time: duration(wire.compute_time.unwrap_or_default())?,
            queue_position: wire.queue_position,
            eta: wire.eta.map(duration).transpose()?,
        })
    }

    /// Extends the estimate of the first request of a run to all of them. The others find no
    /// queue, but the device computes them one after another.
    ///
    /// * `part`: samples of the first request.
    /// * `whole`: samples of the run.
    pub(crate) fn of_a_part(self, part: u32, whole: u32) -> Self {
        if part == 0 || part >= whole {
            return self;
        }
        let later = scaled(self.compute_time, f64::from(whole - part) / f64::from(part));
        Self {
            total_evals: self.evals_per_sample.saturating_mul(u64::from(whole)),
            compute_time: self.compute_time.saturating_add(later),
            eta: self.eta.map(|eta| eta.saturating_add(later)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_several_requests_waits_once_and_computes_all() {
        let first = Estimate {
            evals_per_sample: 50,
            total_evals: 500,
            compute_time: Duration::from_secs(4),
            queue_position: 7,
            eta: Some(Duration::from_secs(10)),
        };

        let whole = first.of_a_part(10, 25);

        assert_eq!((whole.total_evals, whole.queue_position), (1250, 7));
        assert_eq!(whole.compute_time, Duration::from_secs(10));
        assert_eq!(whole.eta, Some(Duration::from_secs(16)));
        assert_eq!(first.of_a_part(10, 10), first);
    }
}

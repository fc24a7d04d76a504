//! What the events of a stream say and how they are numbered; no clock, no tasks.

use std::sync::Arc;
use std::time::Duration;

use ddpm_proto::v1;
use ddpm_proto::v1::generate_event::Event;

use crate::admission::Forecast;
use crate::api::generate::Checked;
use crate::outbox::Account;

/// The events of one request.
#[derive(Debug)]
pub(crate) struct Script {
    pub(super) checked: Arc<Checked>,
    /// Number of the next event.
    sequence: u64,
    encode_time: Duration,
    /// Samples answered with a `SampleError`.
    failed: u32,
}

impl Script {
    pub(crate) fn new(checked: Checked) -> Self {
        let checked = Arc::new(checked);
        Self { checked, sequence: 0, encode_time: Duration::ZERO, failed: 0 }
    }

    /// Numbers an event that is sent next.
    pub(crate) fn number(&mut self, event: Event) -> v1::GenerateEvent {
        let message = v1::GenerateEvent { sequence: self.sequence, event: Some(event) };
        self.sequence += 1;
        message
    }

    /// Returns the first event.
    pub(crate) fn accepted(&self, forecast: &Forecast) -> Event {
        let eta = Duration::try_from_secs_f64(forecast.eta).ok();
        Event::Accepted(v1::Accepted {
            request_id: self.checked.request.request_id.clone(),
            receipt: Some(self.checked.receipt.clone()),
            evals_per_sample: self.checked.request.program.evals(),
            total_evals: self.checked.request.evals(),
            queue_position: forecast.queue_position,
            eta: eta.and_then(|eta| eta.try_into().ok()),
        })
    }

    /// Returns how far the request is.
    pub(crate) fn progress(&self, account: &Account) -> Event {
        let total = self.checked.request.indices.len();
        Event::Progress(v1::Progress {
            samples_waiting: (total - account.samples_begun) as u32,
            samples_running: (account.samples_begun - account.samples_done) as u32,
            samples_done: account.samples_done as u32,
            evals_done: account.evals,
            eta: account.eta.and_then(|eta| eta.try_into().ok()),
        })
    }

    /// Counts what encoding took and which samples failed.
    pub(crate) fn count(&mut self, events: &[Event], time: Duration) {
        self.encode_time += time;
        let failed = events.iter().filter(|event| matches!(event, Event::SampleError(_)));
        self.failed += failed.count() as u32;
    }

    /// Returns the last event.
    pub(crate) fn completed(&self, account: &Account) -> Event {
        let duration = |time: Duration| time.try_into().ok();
        let total = self.checked.request.indices.len();
        Event::Completed(v1::Completed {
            samples: account.samples_done as u32 - self.failed,
            failed: self.failed,
            ticks: account.ticks,
            evals: account.evals,
            first_tick: account.first_tick,
            last_tick: account.last_tick,
            queue_time: duration(account.queue_time),
            compute_time: duration(account.compute_time),
            encode_time: duration(self.encode_time),
            blocked_time: duration(account.blocked_time),
            unfinished: (total - account.samples_done) as u32,
        })
    }
}

//! A request in flight: its samples, what it has cost, and what it waits for.

use std::time::{Duration, Instant};

use ddpm_diffusion::{Noise, Row};

use super::Submission;
use super::core::last_moment;
use super::in_flight::InFlight;
use crate::admission::Permit;
use crate::outbox::{Account, Finished, Frame, FrameKind, Outbox};
use crate::request::Request;
use crate::runtime::{Outcome, Slot, Work};
use crate::scheduler::Pick;

/// A request in flight.
pub(super) struct Job {
    pub(super) request: Request,
    pub(super) noise: Noise,
    pub(super) outbox: Outbox,
    pub(super) permit: Permit,
    pub(super) account: Account,
    /// Samples in flight, by their position in the request.
    pub(super) samples: InFlight<Sample>,
    accepted: Instant,
    /// When it ends, done or not.
    ends: Option<Instant>,
    blocked_since: Option<Instant>,
    estimated: Option<Instant>,
}

/// A sample in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) slot: Slot,
    index: u64,
    /// Position of its next row in the program.
    row: usize,
}

/// What one call of the network made of a request.
#[derive(Debug, Default)]
pub(super) struct Parcels {
    pub(super) frames: Vec<Frame>,
    pub(super) finished: Vec<Finished>,
    pub(super) evals: u64,
}

impl Job {
    pub(super) fn new(submission: Submission) -> Self {
        let Submission { request, outbox, permit, accepted, .. } = submission;
        let ends = request.deadline.map(|deadline| match deadline.returns_finished {
            true => last_moment(accepted, deadline.at),
            false => deadline.at,
        });
        Self {
            noise: Noise::new(request.seed),
            request,
            outbox,
            permit,
            account: Account::default(),
            samples: InFlight::default(),
            accepted,
            ends,
            blocked_since: None,
            estimated: None,
        }
    }

    /// Returns whether its time is over.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| now >= ends)
    }

    /// Returns whether it waits for its reader.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since.is_some()
    }

    /// Looks whether its reader is behind; returns whether that has changed.
    ///
    /// * `limit`: bytes that may wait for one reader now.
    pub(super) fn update_readiness(&mut self, limit: u64, now: Instant) -> bool {
        match (self.outbox.is_full(limit), self.blocked_since) {
            (true, None) => self.blocked_since = Some(now),
            (false, Some(since)) => {
                self.account.blocked_time += now.saturating_duration_since(since);
                self.blocked_since = None;
            }
            _ => return false,
        }
        self.permit.set_blocked(self.is_blocked());
        true
    }

    /// Notes that a sample has begun.
    pub(super) fn begun(&mut self, position: u64, slot: Slot, index: u64, now: Instant) {
        self.samples.begin(position, Sample { slot, index, row: 0 });
        if self.account.samples_begun == 0 {
            self.account.queue_time = now.saturating_duration_since(self.accepted);
        }
        self.account.samples_begun += 1;
    }

    fn row(&self, position: usize) -> &Row {
        &self.request.program.rows()[position]
    }

    /// Returns the work of the device for one sample.
    pub(super) fn work(&self, pick: &Pick) -> Work<'_> {
        let sample = *self.samples.get(pick.sample).expect("picked samples are in flight");
        let row = self.row(sample.row);
        let label = row.label;
        let shown = label.ends_step.then_some(self.request.watch.as_ref()).flatten();
        let shown = shown.filter(|watch| watch.shows(sample.index, label.step, label.num_steps));
        // Frames show x_t at the scale of the network's next input.
        let scale = self.request.program.rows().get(sample.row + 1).map_or(1.0, |next| next.c_in);
        Work {
            slot: sample.slot,
            row,
            position: sample.row,
            show_x_0: shown.is_some_and(|watch| watch.x_0),
            show_x_t: shown.filter(|watch| watch.x_t).map(|_| scale),
            last: sample.row + 1 == self.request.program.rows().len(),
        }
    }

    /// Moves a sample past the row that was applied. Returns the evals of its next row,
    /// or `None` if it is done.
    pub(super) fn advance(
        &mut self,
        position: u64,
        outcome: Outcome,
        parcel: &mut Parcels,
    ) -> Option<u32> {
        let sample = self.samples.get_mut(position)?;
        let rows = self.request.program.rows();
        let row = &rows[sample.row];
        let (label, evals) = (row.label, row.evals.count() as u64);
        let mut show = |kind, values: Option<Vec<f32>>| {
            parcel.frames.extend(values.map(|values| Frame {
                index: sample.index,
                kind,
                step: label.step,
                num_steps: label.num_steps,
                noise_level: label.noise_level,
                values,
            }));
        };
        show(FrameKind::X0, outcome.x_0);
        show(FrameKind::XT, outcome.x_t);
        self.account.evals += evals;
        parcel.evals += evals;
        if let Some(values) = outcome.sample {
            let values = values.iter().all(|value| value.is_finite()).then_some(values);
            parcel.finished.push(Finished { index: sample.index, values });
            self.account.samples_done += 1;
            self.samples.end(position);
            return None;
        }
        sample.row += 1;
        Some(rows[sample.row].evals.count() as u32)
    }

    /// Counts a call that it took part in.
    pub(super) fn note_tick(&mut self, tick: u64, network_time: Duration) {
        if self.account.ticks == 0 {
            self.account.first_tick = tick;
        }
        self.account.ticks += 1;
        self.account.last_tick = tick;
        self.account.compute_time += network_time;
    }

    /// Estimates when it will be done, unless that was done less than `pause` ago.
    pub(super) fn estimate(&mut self, now: Instant, pause: Duration) {
        let is_fresh = |then| now.saturating_duration_since(then) < pause;
        if !self.estimated.is_some_and(is_fresh) {
            self.estimated = Some(now);
            self.account.eta = Duration::try_from_secs_f64(self.permit.eta()).ok();
        }
    }
}

//! Runs: events one by one, or all samples at the end.
//!
//! A run may need several requests: after a broken stream, or if it has more samples
//! than one request may have. The reader of its events sees a single run: one
//! `accepted`, unless it was interrupted, and one `completed`, with progress over
//! the whole run in between.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use crate::attempt::Attempt;
use crate::connection::Client;
use crate::error::Error;
use crate::events::{
    Accepted, Completed, Event, Interruption, Progress, Sample, SampleError, scaled,
};
use crate::indices::Indices;
use crate::parts::parts;
use crate::receipt::Receipt;
use crate::request::Request;
use crate::retry::Backoff;
use crate::server_info::Limits;
use crate::settings::OnDeadline;

/// A run in progress. Dropping it ends the run on the server.
#[derive(Debug)]
pub struct Generation {
    client: Client,
    /// The current part, or what is left of it.
    request: Request,
    /// The parts after it; `None` until the limits of the server are known.
    later: Option<VecDeque<Request>>,
    state: State,
    /// `None`: a stream that breaks is an error.
    backoff: Option<Backoff>,
    /// When the run must be over; `None` until it begins, and without a deadline.
    deadline: Option<Instant>,
    /// All indices of the run.
    indices: Indices,
    receipt: Option<Receipt>,
    evals_per_sample: u64,
    /// Samples settled before the open stream.
    settled_before: usize,
    /// Whether the next `accepted` is that of a later part, which is not reported.
    hides_accepted: bool,
    done: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    /// The cost of the finished parts.
    spent: Completed,
}

#[derive(Debug)]
enum State {
    /// The request is sent at this time.
    Waiting(Instant),
    /// Boxed, because it is many times larger than the others.
    Open(Box<Attempt>),
    /// After `completed` or an error.
    Ended,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The finished samples, by index.
    pub samples: Vec<Sample>,
    /// The failed samples, in the order of their failure.
    pub errors: Vec<SampleError>,
    /// Everything needed to reproduce the samples.
    pub receipt: Receipt,
    /// The cost of the run.
    pub completed: Completed,
}

impl Client {
    /// Starts a run and returns its events. A stream that breaks is an error.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] if the server rejects the request, [`Error::Unreachable`], and
    /// [`Error::Request`] for a request that cannot be sent.
    pub async fn generate(&self, request: Request) -> Result<Generation, Error> {
        let mut generation = Generation::new(self.clone(), request, None);
        generation.connect().await?;
        Ok(generation)
    }

    /// Starts a run that survives broken streams and restarts: after one, or when the server says
    /// when to retry, it requests the missing samples again, for as long as
    /// [`Options::retry`](crate::Options::retry) allows. The request goes out when the first
    /// event is read.
    #[must_use]
    pub fn generate_resumable(&self, request: Request) -> Generation {
        Generation::new(self.clone(), request, Some(Backoff::new(self.retry())))
    }
}

impl Generation {
    fn new(client: Client, request: Request, backoff: Option<Backoff>) -> Self {
        Self {
            client,
            indices: request.indices.clone(),
            request,
            later: None,
            state: State::Waiting(Instant::now()),
            backoff,
            deadline: None,
            receipt: None,
            evals_per_sample: 0,
            settled_before: 0,
            hides_accepted: false,
            done: BTreeSet::new(),
            failed: BTreeSet::new(),
            spent: Completed::default(),
        }
    }

    /// Returns the next event; `None` after [`Event::Completed`] and after an error.
    /// Cancel safe: no event is lost if the future is dropped while it waits.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Unreachable`] and [`Error::Interrupted`],
    /// unless the run is resumable and patience is not over; [`Error::DeadlinePassed`]; and
    /// [`Error::Protocol`] and [`Error::Damaged`] if the server violates the protocol. What is
    /// left to request then: [`Generation::missing`].
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.advance().await {
                Ok(None) => return Ok(None),
                Ok(Some(event)) => {
                    if let Some(event) = self.record(event) {
                        return Ok(Some(event));
                    }
                }
                Err(error) => {
                    if let Some(event) = self.interrupted(error)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }

    /// Returns the indices that have neither arrived nor failed.
    #[must_use]
    pub fn missing(&self) -> Indices {
        self.indices.without(&self.settled())
    }

    /// Reads the run to its end.
    ///
    /// # Errors
    ///
    /// As [`Generation::next`]. A failed sample is not an error: see
    /// [`Collected::errors`].
    pub async fn collect(mut self) -> Result<Collected, Error> {
        let (mut samples, mut errors) = (Vec::new(), Vec::new());
        while let Some(event) = self.next().await? {
            match event {
                Event::Samples(more) => samples.extend(more),
                Event::SampleError(error) => errors.push(error),
                Event::Completed(completed) => {
                    samples.sort_by_key(|sample| sample.index);
                    let receipt = self.receipt.expect("the protocol puts `accepted` first");
                    return Ok(Collected { samples, errors, receipt, completed });
                }
                _ => {}
            }
        }
        Err(Error::Interrupted("its end was already read".to_owned()))
    }

    async fn advance(&mut self) -> Result<Option<Event>, Error> {
        if let State::Waiting(until) = self.state {
            sleep_until(self.deadline.map_or(until, |deadline| deadline.min(until))).await;
            if let Some(backoff) = &mut self.backoff {
                backoff.begins(Instant::now());
            }
            self.connect().await?;
        }
        match &mut self.state {
            State::Open(attempt) => attempt.next().await.map(Some),
            State::Waiting(_) | State::Ended => Ok(None),
        }
    }

    /// Opens the stream of the current part.
    async fn connect(&mut self) -> Result<(), Error> {
        if self.deadline.is_none() {
            self.deadline =
                self.request.deadline.and_then(|budget| Instant::now().checked_add(budget));
        }
        if self.later.is_none() {
            let mut parts = parts(&self.request, &self.limits().await?)?;
            self.request = parts.pop_front().unwrap_or_else(|| self.request.clone());
            self.later = Some(parts);
        }
        let attempt = Attempt::open(&self.client, &self.request, self.deadline).await?;
        self.state = State::Open(Box::new(attempt));
        self.settled_before = self.done.len() + self.failed.len();
        Ok(())
    }

    /// Returns the server's limits, by the deadline.
    async fn limits(&self) -> Result<Limits, Error> {
        let limits = self.client.limits();
        match self.deadline {
            Some(end) => timeout_at(end, limits).await.unwrap_or(Err(Error::DeadlinePassed)),
            None => limits.await,
        }
    }

    /// Records what a later attempt needs, and turns an event of one stream into one
    /// of the whole run; `None` if there is nothing to report.
    fn record(&mut self, event: Event) -> Option<Event> {
        if let Some(backoff) = &mut self.backoff {
            match event {
                Event::Samples(_) | Event::SampleError(_) => backoff.progressed(),
                _ => backoff.heard(Instant::now()),
            }
        }
        match event {
            Event::Accepted(accepted) => {
                let is_new = !std::mem::take(&mut self.hides_accepted);
                let accepted = Box::new(self.accepted(*accepted));
                return is_new.then_some(Event::Accepted(accepted));
            }
            Event::Progress(progress) => return Some(Event::Progress(self.overall(progress))),
            Event::Samples(ref samples) => {
                self.done.extend(samples.iter().map(|sample| sample.index));
            }
            Event::SampleError(ref error) => {
                self.failed.insert(error.index);
            }
            Event::Completed(last) => return self.part_completed(last),
            Event::Previews(_) | Event::Interrupted(_) => {}
        }
        Some(event)
    }

    fn accepted(&mut self, accepted: Accepted) -> Accepted {
        self.receipt = Some(accepted.receipt.clone());
        self.evals_per_sample = accepted.evals_per_sample;
        let other_samples = (self.settled_before + self.samples_later()) as u64;
        let other_parts = accepted.evals_per_sample.saturating_mul(other_samples);
        let total_evals = accepted.total_evals.saturating_add(other_parts);
        let eta = accepted.eta.map(|eta| self.overall_eta(eta));
        Accepted { total_evals, eta, ..accepted }
    }

    fn overall(&self, progress: Progress) -> Progress {
        let count = |samples: usize| u32::try_from(samples).unwrap_or(u32::MAX);
        Progress {
            samples_waiting: progress.samples_waiting + count(self.samples_later()),
            samples_done: progress.samples_done + count(self.settled_before),
            evals_done: progress.evals_done + self.evals_per_sample * self.settled_before as u64,
            eta: progress.eta.map(|eta| self.overall_eta(eta)),
            ..progress
        }
    }

    /// Assumes that later parts take as long per sample as the rest of this one.
    fn overall_eta(&self, eta: Duration) -> Duration {
        let settled = self.done.len() + self.failed.len() - self.settled_before;
        let left = (self.request.indices.count() as usize).saturating_sub(settled).max(1);
        scaled(eta, 1.0 + self.samples_later() as f64 / left as f64)
    }

    /// Counts the samples of the parts after the current one.
    fn samples_later(&self) -> usize {
        self.later.iter().flatten().map(|part| part.indices.count() as usize).sum()
    }

    /// Starts the next part, or ends the run.
    fn part_completed(&mut self, part: Completed) -> Option<Event> {
        self.spent.add(part);
        if part.unfinished > 0 {
            // The deadline of the whole run is over.
            return Some(self.completed());
        }
        let next = self.later.as_mut().and_then(VecDeque::pop_front);
        match (next, &self.receipt) {
            (Some(next), Some(receipt)) => {
                self.request = next.matching(receipt);
                self.state = State::Waiting(Instant::now());
                self.hides_accepted = true;
                None
            }
            _ => Some(self.completed()),
        }
    }

    /// Ends the run.
    fn completed(&mut self) -> Event {
        self.state = State::Ended;
        let count = |set: &BTreeSet<u64>| u32::try_from(set.len()).unwrap_or(u32::MAX);
        let (samples, failed) = (count(&self.done), count(&self.failed));
        let unfinished = self.missing().count();
        Event::Completed(Completed { samples, failed, unfinished, ..self.spent })
    }

    /// Plans the next attempt, or ends the run with `error`.
    fn interrupted(&mut self, error: Error) -> Result<Option<Event>, Error> {
        self.state = State::Ended;
        let now = Instant::now();
        let missing = self.request.indices.without(&self.settled());
        if missing.is_empty() && self.receipt.is_some() && error.is_transient() {
            return match &self.backoff {
                Some(_) => Ok(self.part_completed(Completed::default())),
                None => Err(error),
            };
        }
        let is_late = self.deadline.is_some_and(|deadline| deadline <= now);
        if error.is_deadline() || (is_late && error.is_transient()) {
            let returns_finished = self.request.on_deadline == Some(OnDeadline::ReturnFinished);
            return match error {
                _ if returns_finished && self.receipt.is_some() => Ok(Some(self.completed())),
                error if error.is_deadline() => Err(error),
                _ => Err(Error::DeadlinePassed),
            };
        }
        let pause = if self.accepts_build(&error) {
            self.request.expect.fingerprint.clear();
            Duration::ZERO
        } else {
            let reached = self.client.is_reached();
            let pause = self.backoff.as_mut().and_then(|it| it.pause(&error, reached, now));
            let Some(pause) = pause else { return Err(error) };
            if let Some(receipt) = &self.receipt {
                self.request = self.request.only(missing.clone()).matching(receipt);
            }
            pause
        };
        self.state = State::Waiting(now + pause);
        self.hides_accepted = false;
        Ok(Some(Event::Interrupted(Interruption { error, missing, pause })))
    }

    /// Returns whether `error` says that another build would go on, and the request accepts it.
    fn accepts_build(&self, error: &Error) -> bool {
        let compares = !self.request.expect.fingerprint.is_empty();
        self.request.accept_build && compares && error.is_other_build()
    }

    fn settled(&self) -> BTreeSet<u64> {
        self.done.union(&self.failed).copied().collect()
    }
}

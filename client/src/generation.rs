//! A run as its client sees it: events one by one, or all samples at the end.
//!
//! A run may take several requests: more after a broken stream, and more if it has
//! more samples than the server takes at once. Whoever reads its events sees one
//! run: one `accepted`, unless it was interrupted, and one `completed`, with
//! progress over all of it in between.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use ddpm_proto::v1;
use tokio::time::{Instant, sleep_until};

use crate::{
    connection::Client,
    error::Error,
    events::{Accepted, Completed, Event, Progress, Sample, SampleError},
    parts::parts,
    protocol::Protocol,
    receipt::Receipt,
    request::Request,
    resume::{Resume, Retry},
};

/// A run in progress. Dropping it ends the run on the server.
#[derive(Debug)]
pub struct Generation {
    client: Client,
    /// The part that runs, or what is missing of it.
    request: Request,
    /// The parts after it; `None` until the server has told its limits.
    later: Option<VecDeque<Request>>,
    state: State,
    resume: Option<Resume>,
    receipt: Option<Receipt>,
    evals_per_sample: u64,
    /// Samples settled before the stream that is open.
    settled_before: usize,
    /// Whether the next `accepted` is that of a later part, which is no news.
    goes_on: bool,
    done: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    /// What the parts that are over took.
    spent: Completed,
}

#[derive(Debug)]
enum State {
    /// The request goes out at this time.
    Waiting(Instant),
    /// Boxed: it is many times larger than the others.
    Open(Box<Attempt>),
    /// After `completed` or an error.
    Ended,
}

/// All of a run at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// The finished samples, by index.
    pub samples: Vec<Sample>,
    /// Those that failed, in the order in which they did.
    pub errors: Vec<SampleError>,
    /// Everything needed to make the samples again.
    pub receipt: Receipt,
    /// What it took.
    pub completed: Completed,
}

impl Generation {
    pub(crate) async fn open(client: Client, request: Request) -> Result<Self, Error> {
        let mut generation = Self::new(client, request, None);
        generation.connect().await?;
        Ok(generation)
    }

    pub(crate) fn resumable(client: Client, request: Request, retry: Retry) -> Self {
        Self::new(client, request, Some(Resume::new(retry)))
    }

    fn new(client: Client, request: Request, resume: Option<Resume>) -> Self {
        Self {
            client,
            request,
            later: None,
            state: State::Waiting(Instant::now()),
            resume,
            receipt: None,
            evals_per_sample: 0,
            settled_before: 0,
            goes_on: false,
            done: BTreeSet::new(),
            failed: BTreeSet::new(),
            spent: Completed::default(),
        }
    }

    /// The next event; `None` after [`Event::Completed`] and after an error.
    /// May be dropped while it waits without losing an event.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`], [`Error::Unreachable`] and [`Error::Interrupted`],
    /// unless the run is resumable and may try again; [`Error::Protocol`] and
    /// [`Error::Damaged`] if the server breaks its promises.
    pub async fn next(&mut self) -> Result<Option<Event>, Error> {
        loop {
            match self.advance().await {
                Ok(None) => return Ok(None),
                Ok(Some(event)) => {
                    if let Some(event) = self.note(event) {
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

    /// Reads the run to its end.
    ///
    /// # Errors
    ///
    /// As [`Generation::next`]. A sample that failed is no error: see
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
        Err(Error::Interrupted("its end was read before".to_owned()))
    }

    async fn advance(&mut self) -> Result<Option<Event>, Error> {
        if let State::Waiting(until) = self.state {
            sleep_until(until).await;
            self.connect().await?;
        }
        match &mut self.state {
            State::Open(attempt) => attempt.next().await.map(Some),
            State::Waiting(_) | State::Ended => Ok(None),
        }
    }

    /// Opens the stream of the present part.
    async fn connect(&mut self) -> Result<(), Error> {
        if self.later.is_none() {
            let mut parts = parts(&self.request, &self.client.limits().await?)?;
            self.request = parts.pop_front().unwrap_or_else(|| self.request.clone());
            self.later = Some(parts);
        }
        let attempt = Attempt::open(&self.client, &self.request).await?;
        self.state = State::Open(Box::new(attempt));
        self.settled_before = self.done.len() + self.failed.len();
        Ok(())
    }

    /// Remembers what a later attempt must know, and makes what one stream says
    /// true of the whole run. `None`: no news.
    fn note(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::Accepted(accepted) => {
                let news = !std::mem::take(&mut self.goes_on);
                let accepted = Box::new(self.accepted(*accepted));
                return news.then_some(Event::Accepted(accepted));
            }
            Event::Progress(progress) => return Some(Event::Progress(self.over_all(progress))),
            Event::Samples(ref samples) => {
                self.done.extend(samples.iter().map(|sample| sample.index));
                if let Some(resume) = &mut self.resume {
                    resume.progressed();
                }
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
        let evals = |samples: usize| accepted.evals_per_sample * samples as u64;
        let elsewhere = evals(self.settled_before + self.samples_later());
        let eta = accepted.eta.map(|eta| self.eta_of_all(eta));
        Accepted { total_evals: elsewhere + accepted.total_evals, eta, ..accepted }
    }

    fn over_all(&self, progress: Progress) -> Progress {
        let count = |samples: usize| u32::try_from(samples).unwrap_or(u32::MAX);
        Progress {
            samples_waiting: progress.samples_waiting + count(self.samples_later()),
            samples_done: progress.samples_done + count(self.settled_before),
            evals_done: progress.evals_done + self.evals_per_sample * self.settled_before as u64,
            eta: progress.eta.map(|eta| self.eta_of_all(eta)),
            ..progress
        }
    }

    /// Later parts take as long for a sample as what is left of this one.
    fn eta_of_all(&self, eta: Duration) -> Duration {
        let here = self.done.len() + self.failed.len() - self.settled_before;
        let left = (self.request.indices.count() as usize).saturating_sub(here).max(1);
        eta.mul_f64(1.0 + self.samples_later() as f64 / left as f64)
    }

    /// Samples of the parts after the present one.
    fn samples_later(&self) -> usize {
        self.later.iter().flatten().map(|part| part.indices.count() as usize).sum()
    }

    /// Goes on with the next part, or ends the run.
    fn part_completed(&mut self, part: Completed) -> Option<Event> {
        self.spent.add(part);
        let next = self.later.as_mut().and_then(VecDeque::pop_front);
        match (next, &self.receipt) {
            (Some(next), Some(receipt)) => {
                self.request = next.fitting(receipt);
                self.state = State::Waiting(Instant::now());
                self.goes_on = true;
                None
            }
            _ => {
                self.state = State::Ended;
                let count = |set: &BTreeSet<u64>| u32::try_from(set.len()).unwrap_or(u32::MAX);
                let (samples, failed) = (count(&self.done), count(&self.failed));
                Some(Event::Completed(Completed { samples, failed, ..self.spent }))
            }
        }
    }

    /// Plans the next attempt, or ends the run with `error`.
    fn interrupted(&mut self, error: Error) -> Result<Option<Event>, Error> {
        self.state = State::Ended;
        let Some(resume) = &mut self.resume else { return Err(error) };
        let settled = self.done.union(&self.failed).copied().collect();
        let interruption = resume.plan(error, &self.request.indices, &settled)?;
        if interruption.missing.is_empty() && self.receipt.is_some() {
            return Ok(self.part_completed(Completed::default()));
        }
        if let Some(receipt) = &self.receipt {
            self.request = self.request.only(interruption.missing.clone()).fitting(receipt);
        }
        self.state = State::Waiting(Instant::now() + interruption.pause);
        self.goes_on = false;
        Ok(Some(Event::Interrupted(interruption)))
    }
}

/// One stream of the server with what is known of it.
#[derive(Debug)]
struct Attempt {
    stream: tonic::Streaming<v1::GenerateEvent>,
    protocol: Protocol,
    last: Option<Event>,
}

impl Attempt {
    async fn open(client: &Client, request: &Request) -> Result<Self, Error> {
        let stream = client.open(request).await?;
        Ok(Self { stream, protocol: Protocol::of(request), last: None })
    }

    /// The next event that says something. The last one is handed out only when
    /// the stream has ended after it; until then it is kept, so that a caller who
    /// stops waiting does not lose it.
    async fn next(&mut self) -> Result<Event, Error> {
        while self.last.is_none() {
            let message = self.stream.message().await;
            let event = message.map_err(|status| Error::from_status(&status))?;
            let event = event
                .ok_or_else(|| Error::Interrupted("it ended without `completed`".to_owned()))?;
            if let Some(event) = self.protocol.check(event)? {
                if !self.protocol.is_complete() {
                    return Ok(event);
                }
                self.last = Some(event);
            }
        }
        // All samples are here: a connection that breaks now loses nothing.
        if let Ok(Some(event)) = self.stream.message().await {
            self.protocol.check(event)?;
        }
        self.last.take().ok_or_else(|| Error::Interrupted("it was read to its end".to_owned()))
    }
}

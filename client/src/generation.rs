//! A run as its client sees it: events one by one, or all samples at the end.

use std::collections::BTreeSet;

use ddpm_proto::v1;
use tokio::time::{Instant, sleep_until};

use crate::{
    connection::Client,
    error::Error,
    events::{Completed, Event, Receipt, Sample, SampleError},
    protocol::Protocol,
    request::Request,
    resume::{Resume, Retry},
};

/// A run in progress. Dropping it ends the run on the server.
#[derive(Debug)]
pub struct Generation {
    client: Client,
    request: Request,
    state: State,
    resume: Option<Resume>,
    receipt: Option<Receipt>,
    done: BTreeSet<u64>,
    failed: BTreeSet<u64>,
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
        let attempt = Attempt::open(&client, &request).await?;
        Ok(Self { state: State::Open(Box::new(attempt)), ..Self::new(client, request, None) })
    }

    pub(crate) fn resumable(client: Client, request: Request, retry: Retry) -> Self {
        Self::new(client, request, Some(Resume::new(retry)))
    }

    fn new(client: Client, request: Request, resume: Option<Resume>) -> Self {
        Self {
            client,
            request,
            state: State::Waiting(Instant::now()),
            resume,
            receipt: None,
            done: BTreeSet::new(),
            failed: BTreeSet::new(),
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
        match self.advance().await {
            Ok(event) => Ok(event.map(|event| self.note(event))),
            Err(error) => self.interrupted(error).map(Some),
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
            let attempt = Attempt::open(&self.client, &self.request).await?;
            self.state = State::Open(Box::new(attempt));
        }
        match &mut self.state {
            State::Open(attempt) => attempt.next().await.map(Some),
            State::Waiting(_) | State::Ended => Ok(None),
        }
    }

    /// Remembers what a later attempt must know.
    fn note(&mut self, event: Event) -> Event {
        match event {
            Event::Accepted(ref accepted) => self.receipt = Some(accepted.receipt.clone()),
            Event::Samples(ref samples) => {
                self.done.extend(samples.iter().map(|sample| sample.index));
                if let Some(resume) = &mut self.resume {
                    resume.progressed();
                }
            }
            Event::SampleError(ref error) => {
                self.failed.insert(error.index);
            }
            Event::Completed(last) => {
                self.state = State::Ended;
                return Event::Completed(self.over_all_attempts(last));
            }
            _ => {}
        }
        event
    }

    fn over_all_attempts(&self, last: Completed) -> Completed {
        let count = |set: &BTreeSet<u64>| u32::try_from(set.len()).unwrap_or(u32::MAX);
        Completed { samples: count(&self.done), failed: count(&self.failed), ..last }
    }

    /// Plans the next attempt, or ends the run with `error`.
    fn interrupted(&mut self, error: Error) -> Result<Event, Error> {
        self.state = State::Ended;
        let Some(resume) = &mut self.resume else { return Err(error) };
        let settled = self.done.union(&self.failed).copied().collect();
        let interruption = resume.plan(error, &self.request.indices, &settled)?;
        if interruption.missing.is_empty() && self.receipt.is_some() {
            return Ok(Event::Completed(self.over_all_attempts(Completed::default())));
        }
        if let Some(receipt) = &self.receipt {
            self.request = self.request.resumed(interruption.missing.clone(), receipt);
        }
        self.state = State::Waiting(Instant::now() + interruption.pause);
        Ok(Event::Interrupted(interruption))
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

//! One client: how it reads, and what it has seen.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ddpm_proto::v1;
use ddpm_proto::v1::generate_event::Event;

use crate::api::{Script, events_of};
use crate::error::Error;
use crate::outbox::Reader;
use crate::request::Request;

/// How a client reads its stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Habit {
    /// After every call.
    Prompt,
    /// One parcel per so many turns.
    Slow(u64),
    /// Never: the server ends its stream after the stall time.
    Never,
    /// It leaves after so many turns.
    Leaves(u64),
}

/// A request that was accepted, seen from its client.
pub(super) struct Client {
    pub(super) request: Request,
    pub(super) habit: Habit,
    pub(super) accepted: Instant,
    script: Script,
    reader: Option<Reader>,
    /// Turns since it was accepted.
    turns: u64,
    /// The stream's number of the next event.
    next: u64,
    done: BTreeSet<u64>,
    failed: BTreeSet<u64>,
    /// How it ended: with `completed`, with an error, or because it left.
    pub(super) end: Option<Result<Option<v1::Completed>, Error>>,
    /// When something of it was last computed, or when it could first have been.
    pub(super) served: Instant,
}

impl Client {
    pub(super) fn new(
        request: Request,
        habit: Habit,
        script: Script,
        reader: Reader,
        now: Instant,
    ) -> Self {
        Self {
            request,
            habit,
            accepted: now,
            script,
            reader: Some(reader),
            turns: 0,
            next: 0,
            done: BTreeSet::new(),
            failed: BTreeSet::new(),
            end: None,
            served: now,
        }
    }

    /// Returns whether it still has a stream.
    pub(super) fn is_open(&self) -> bool {
        self.end.is_none()
    }

    /// Takes what it wants to read now.
    ///
    /// # Errors
    ///
    /// What the stream did wrong.
    pub(super) fn act(&mut self, now: Instant, stall: Duration) -> Result<(), String> {
        self.turns += 1;
        match self.habit {
            Habit::Prompt => self.read(usize::MAX)?,
            Habit::Slow(turns) if self.turns.is_multiple_of(turns) => self.read(1)?,
            Habit::Slow(_) => {}
            Habit::Never if now.saturating_duration_since(self.accepted) > stall => {
                self.leave(Err(Error::ClientStalled { stall }));
            }
            Habit::Never => {}
            Habit::Leaves(turns) if self.turns >= turns => self.leave(Ok(None)),
            Habit::Leaves(_) => self.read(1)?,
        }
        Ok(())
    }

    fn leave(&mut self, end: Result<Option<v1::Completed>, Error>) {
        self.reader = None;
        self.end = Some(end);
    }

    /// Reads at most so many parcels.
    pub(super) fn read(&mut self, most: usize) -> Result<(), String> {
        for _ in 0..most {
            let Some(mut parcel) = self.reader.as_mut().and_then(Reader::try_take) else { break };
            let (account, end) = (parcel.account, parcel.end.take());
            let events = events_of(&self.script, parcel);
            self.script.count(&events, Duration::ZERO);
            for event in events {
                self.see(event)?;
            }
            match end {
                None => {}
                Some(Ok(())) => {
                    let completed = self.script.completed(&account);
                    self.see(completed)?;
                }
                Some(Err(error)) => self.leave(Err(error)),
            }
        }
        Ok(())
    }

    /// Checks an event as a client would.
    pub(super) fn see(&mut self, event: Event) -> Result<(), String> {
        let message = self.script.number(event);
        if message.sequence != self.next {
            return Err(format!("event {} came instead of {}", message.sequence, self.next));
        }
        self.next += 1;
        if self.end.is_some() {
            return Err("an event came after the last".into());
        }
        match message.event {
            Some(Event::Samples(samples)) => {
                let indices = samples.packed.unwrap_or_default().indices;
                indices.into_iter().try_for_each(|index| self.settle(index, true))
            }
            Some(Event::SampleError(error)) => self.settle(error.index, false),
            Some(Event::Completed(completed)) => {
                self.check_completed(&completed)?;
                self.leave(Ok(Some(completed)));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn settle(&mut self, index: u64, done: bool) -> Result<(), String> {
        if !self.request.indices.contains(index) {
            return Err(format!("sample {index} was not requested"));
        }
        let (set, other) = match done {
            true => (&mut self.done, &self.failed),
            false => (&mut self.failed, &self.done),
        };
        if other.contains(&index) || !set.insert(index) {
            return Err(format!("sample {index} came twice"));
        }
        Ok(())
    }

    fn check_completed(&self, completed: &v1::Completed) -> Result<(), String> {
        let (done, failed) = (self.done.len() as u64, self.failed.len() as u64);
        let unfinished = u64::from(completed.unfinished);
        let total = self.request.indices.len();
        let returns = self.request.deadline.is_some_and(|deadline| deadline.returns_finished);
        if (u64::from(completed.samples), u64::from(completed.failed)) != (done, failed) {
            return Err(format!("{completed:?} after {done} done and {failed} failed"));
        }
        if done + failed + unfinished != total {
            return Err(format!("{completed:?} of {total} samples"));
        }
        if unfinished > 0 && !returns {
            return Err(format!("{unfinished} samples are missing"));
        }
        Ok(())
    }
}

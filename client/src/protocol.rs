//! Checks that a stream follows the protocol: one state machine per stream, no I/O.
//!
//! * `sequence` counts from 0 without a gap; `accepted` is first, `completed` last;
//! * all samples come from the receipt that was accepted;
//! * each requested index comes exactly once, as a sample or as a `sample_error`; or it is
//!   counted as unfinished, if the request takes what is done by its deadline.

use std::collections::BTreeSet;

use ddpm_proto::v1;
use ddpm_proto::v1::generate_event::Event as Wire;

use crate::assembly::{self, Assembly};
use crate::error::Error;
use crate::events::{Accepted, Completed, Event, Preview, Previews, Progress, Sample};
use crate::indices::Indices;
use crate::receipt::Receipt;
use crate::request::{Expect, Request};
use crate::settings::{OnDeadline, PreviewKind};

/// The state of one stream.
#[derive(Debug)]
pub(crate) struct Protocol {
    indices: Indices,
    seed: Option<u64>,
    expect: Expect,
    request_id: String,
    returns_finished: bool,
    next_sequence: u64,
    receipt: Option<v1::Receipt>,
    assembly: Assembly,
    settled: BTreeSet<u64>,
    completed: bool,
}

impl Protocol {
    /// Expects the stream that answers `request`.
    pub(crate) fn new(request: &Request) -> Self {
        Self {
            indices: request.indices.clone(),
            seed: request.seed,
            expect: request.expect.clone(),
            request_id: request.request_id.clone(),
            returns_finished: request.on_deadline == Some(OnDeadline::ReturnFinished),
            next_sequence: 0,
            receipt: None,
            assembly: Assembly::default(),
            settled: BTreeSet::new(),
            completed: false,
        }
    }

    /// Takes the next event; returns `None` for all but the last part of a split
    /// sample.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] for a violation, [`Error::Damaged`] for bytes that do not
    /// match their digest.
    pub(crate) fn check(&mut self, event: v1::GenerateEvent) -> Result<Option<Event>, Error> {
        if event.sequence != self.next_sequence {
            return violation(format!(
                "got event {} instead of {}",
                event.sequence, self.next_sequence
            ));
        }
        self.next_sequence += 1;
        let wire = event.event.ok_or_else(|| {
            Error::Protocol("got an event of a kind that this client does not know".to_owned())
        })?;
        if self.completed {
            return violation("an event came after `completed`");
        }
        if self.receipt.is_some() == matches!(wire, Wire::Accepted(_)) {
            return violation("`accepted` must be the first event and come only once");
        }
        self.read(wire)
    }

    /// Returns whether `completed` has arrived.
    pub(crate) fn is_complete(&self) -> bool {
        self.completed
    }

    fn read(&mut self, wire: Wire) -> Result<Option<Event>, Error> {
        match wire {
            Wire::Accepted(accepted) => {
                Ok(Some(Event::Accepted(Box::new(self.accepted(accepted)?))))
            }
            Wire::Progress(progress) => Ok(Some(Event::Progress(Progress::from_proto(&progress)?))),
            Wire::Previews(previews) => Ok(Some(Event::Previews(read_previews(previews)?))),
            Wire::Samples(samples) => {
                let whole = self.samples(samples)?;
                Ok((!whole.is_empty()).then_some(Event::Samples(whole)))
            }
            Wire::SampleError(error) => {
                self.settle(error.index)?;
                Ok(Some(Event::SampleError(error.into())))
            }
            Wire::Completed(completed) => {
                self.completed(&completed).map(Event::Completed).map(Some)
            }
        }
    }

    fn accepted(&mut self, wire: v1::Accepted) -> Result<Accepted, Error> {
        if wire.request_id != self.request_id {
            return violation("`accepted` names another request_id");
        }
        self.receipt.clone_from(&wire.receipt);
        let accepted = Accepted::from_proto(wire)?;
        self.check_receipt(&accepted.receipt)?;
        Ok(accepted)
    }

    /// Checks the request's expectations again: a server that does not meet them should
    /// have refused.
    fn check_receipt(&self, receipt: &Receipt) -> Result<(), Error> {
        if let Some(field) = self.expect.mismatch(receipt) {
            return violation(format!("the server went on although {field} is not as expected"));
        }
        if self.seed.is_some_and(|seed| seed != receipt.seed) {
            return violation(format!(
                "the server used seed {} instead of the requested one",
                receipt.seed
            ));
        }
        Ok(())
    }

    fn samples(&mut self, samples: v1::Samples) -> Result<Vec<Sample>, Error> {
        // Earlier versions repeat the receipt.
        if samples.receipt.is_some() && samples.receipt != self.receipt {
            return violation("the receipt of samples differs from that of `accepted`");
        }
        let whole = self.assembly.take(samples)?;
        whole.iter().try_for_each(|sample| self.settle(sample.index))?;
        Ok(whole)
    }

    fn settle(&mut self, index: u64) -> Result<(), Error> {
        if !self.indices.contains(index) {
            return violation(format!("sample {index} was not requested"));
        }
        if !self.settled.insert(index) {
            return violation(format!("sample {index} came twice"));
        }
        Ok(())
    }

    fn completed(&mut self, wire: &v1::Completed) -> Result<Completed, Error> {
        if let Some(index) = self.assembly.unfinished() {
            return violation(format!("`completed` came in the middle of sample {index}"));
        }
        let missing = self.indices.without(&self.settled);
        if !self.returns_finished
            && let Some(index) = missing.iter().next()
        {
            return violation(format!("`completed` came, but sample {index} did not"));
        }
        if wire.unfinished != missing.count() {
            return violation(
                "the unfinished samples of `completed` are not those that are missing",
            );
        }
        if u64::from(wire.samples) + u64::from(wire.failed) != self.settled.len() as u64 {
            return violation("the counts of `completed` differ from the samples that came");
        }
        self.completed = true;
        Completed::from_proto(wire)
    }
}

fn read_previews(previews: v1::Previews) -> Result<Previews, Error> {
    let read = previews.previews.into_iter().map(read_preview).collect::<Result<_, _>>()?;
    Ok(Previews { previews: read, skipped: previews.skipped })
}

fn read_preview(preview: v1::Preview) -> Result<Preview, Error> {
    let missing = |what: &str| Error::Protocol(format!("a preview without {what}"));
    let packed = preview.packed.ok_or_else(|| missing("data"))?;
    Ok(Preview {
        kind: PreviewKind::from_proto(preview.kind)?.ok_or_else(|| missing("a kind"))?,
        step: preview.step,
        num_steps: preview.num_steps,
        noise_level: preview.noise_level,
        samples: assembly::preview_samples(&packed)?,
    })
}

fn violation<T>(what: impl Into<String>) -> Result<T, Error> {
    Err(Error::Protocol(what.into()))
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    fn receipt() -> v1::Receipt {
        let ddim = v1::Ddim { eta: 0.0, clip_rule: 1 };
        let sampler = v1::Sampler { kind: Some(v1::sampler::Kind::Ddim(ddim)) };
        v1::Receipt {
            seed: 7,
            fingerprint: "here".into(),
            sampler: Some(sampler),
            ..Default::default()
        }
    }

    fn accepted() -> Wire {
        Wire::Accepted(v1::Accepted { receipt: Some(receipt()), ..Default::default() })
    }

    fn sample(index: u64) -> Wire {
        let packed = v1::Packed {
            indices: vec![index],
            format: v1::Format::RawU8.into(),
            shape: vec![1, 1, 1],
            data: vec![42].into(),
            lengths: Vec::new(),
        };
        Wire::Samples(v1::Samples {
            packed: Some(packed),
            sha256: vec![Sha256::digest([42]).to_vec().into()],
            ..Default::default()
        })
    }

    fn completed(samples: u32) -> Wire {
        Wire::Completed(v1::Completed { samples, ..Default::default() })
    }

    /// Feeds `events` to the stream that answers a request for two samples; returns
    /// the message of the first violation.
    fn violation_of(events: Vec<Wire>) -> Option<String> {
        let request = Request::new("m", Indices::first(2)).seed(7);
        check_all(&mut Protocol::new(&request), events)
    }

    fn check_all(protocol: &mut Protocol, events: Vec<Wire>) -> Option<String> {
        events.into_iter().zip(0..).find_map(|(event, sequence)| {
            let event = v1::GenerateEvent { sequence, event: Some(event) };
            protocol.check(event).err().map(|error| error.to_string())
        })
    }

    fn assert_violates(events: Vec<Wire>, what: &str) {
        let sentence = violation_of(events).unwrap_or_default();
        assert!(sentence.contains(what), "`{sentence}` does not name `{what}`");
    }

    #[test]
    fn a_stream_that_follows_the_protocol_passes() {
        assert_eq!(violation_of(vec![accepted(), sample(1), sample(0), completed(2)]), None);
    }

    #[test]
    fn every_violation_is_named() {
        assert_violates(vec![sample(0)], "`accepted` must be the first");
        assert_violates(vec![accepted(), accepted()], "`accepted` must be the first");
        assert_violates(vec![accepted(), sample(2)], "sample 2 was not requested");
        assert_violates(vec![accepted(), sample(0), sample(0)], "sample 0 came twice");
        assert_violates(vec![accepted(), sample(0), completed(1)], "but sample 1 did not");
        let all = || vec![accepted(), sample(0), sample(1)];
        assert_violates([all(), vec![completed(1)]].concat(), "differ from the samples that came");
        assert_violates([all(), vec![completed(2), completed(2)]].concat(), "after `completed`");
    }

    #[test]
    fn samples_may_repeat_the_receipt_and_must_not_contradict_it() {
        let with = |receipt| {
            let Wire::Samples(samples) = sample(0) else { unreachable!() };
            Wire::Samples(v1::Samples { receipt, ..samples })
        };
        let other = v1::Receipt { seed: 8, ..receipt() };

        assert_eq!(violation_of(vec![accepted(), with(Some(receipt()))]), None);
        assert_eq!(violation_of(vec![accepted(), with(None)]), None);
        assert_violates(vec![accepted(), with(Some(other))], "differs from that of `accepted`");
    }

    #[test]
    fn only_a_request_that_takes_what_is_done_may_be_cut_off() {
        let cut = |unfinished| {
            let done = v1::Completed { samples: 1, unfinished, ..Default::default() };
            vec![accepted(), sample(1), Wire::Completed(done)]
        };
        let request =
            Request::new("m", Indices::first(2)).seed(7).on_deadline(OnDeadline::ReturnFinished);
        let violation = |unfinished| check_all(&mut Protocol::new(&request), cut(unfinished));

        assert_violates(cut(1), "but sample 0 did not");
        assert_eq!(violation(1), None);
        for wrong in [0, 2] {
            assert!(violation(wrong).unwrap().contains("unfinished"));
        }
    }

    #[test]
    fn a_gap_in_the_sequence_is_a_violation() {
        let mut protocol = Protocol::new(&Request::new("m", Indices::first(2)));
        protocol.check(v1::GenerateEvent { sequence: 0, event: Some(accepted()) }).unwrap();

        let late = v1::GenerateEvent { sequence: 2, event: Some(sample(0)) };

        let sentence = protocol.check(late).unwrap_err().to_string();
        assert!(sentence.contains("got event 2 instead of 1"), "{sentence}");
    }

    #[test]
    fn samples_of_another_fingerprint_are_never_mixed() {
        let expect = Expect { fingerprint: "there".into(), ..Default::default() };
        let request = Request::new("m", Indices::first(2)).expect(expect);

        let sentence = check_all(&mut Protocol::new(&request), vec![accepted()]).unwrap();

        assert!(sentence.contains("fingerprint is not as expected"), "{sentence}");
    }

    #[test]
    fn a_seed_other_than_the_requested_one_is_a_violation() {
        let request = Request::new("m", Indices::first(2)).seed(8);

        let sentence = check_all(&mut Protocol::new(&request), vec![accepted()]).unwrap();

        assert!(sentence.contains("used seed 7 instead of the requested one"), "{sentence}");
    }
}

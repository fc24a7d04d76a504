//! One request, from its first byte to its end.

use std::collections::BTreeMap;
use std::time::Duration;

use ddpm_proto::v1;
use ddpm_proto::v1::generate_event::Event;
use ddpm_proto::v1::sampling_service_client::SamplingServiceClient;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_types::StatusExt;

use crate::load::mix::{Planned, Reader, Shape};
use crate::load::record::{Outcome, Record};

/// The largest message that is read: samples come in events of at most 1 MiB.
const MAX_MESSAGE: usize = 64 << 20;

/// Makes the message that asks for a shape.
#[must_use]
pub fn request(shape: &Shape, seed: u64) -> v1::GenerateRequest {
    let guidance = shape.guided.then(|| v1::Guidance { scale: 2.0, ..Default::default() });
    v1::GenerateRequest {
        model: shape.model.clone(),
        samples: Some(v1::generate_request::Samples::SampleCount(shape.samples)),
        seed: Some(seed),
        class_labels: if shape.guided { vec![0, 1, 2, 3] } else { Vec::new() },
        sampler: Some(v1::Sampler { kind: Some(v1::sampler::Kind::Ddim(v1::Ddim::default())) }),
        num_steps: Some(shape.steps),
        guidance,
        ..v1::GenerateRequest::default()
    }
}

/// A request that is being made.
#[derive(Debug)]
pub struct Call {
    channel: Channel,
    planned: Planned,
    /// The moment that it was planned for.
    from: Instant,
    evals: Option<watch::Sender<(Instant, u64)>>,
    record: Record,
    /// SHA-256 over indices and bytes of what came, in the order of the indices.
    samples: BTreeMap<u64, [u8; 32]>,
    sequence: u64,
    completed: Option<v1::Completed>,
}

impl Call {
    /// Prepares a request whose times count from `from`.
    #[must_use]
    pub fn new(channel: Channel, planned: Planned, from: Instant) -> Self {
        let record = Record {
            planned: planned.clone(),
            sent: from.elapsed(),
            first_event: None,
            first_sample: None,
            end: Duration::ZERO,
            paused: Duration::ZERO,
            outcome: Outcome::Left,
            evals: 0,
            eta: None,
            decided: None,
        };
        let (samples, sequence) = (BTreeMap::new(), 0);
        Self { channel, planned, from, evals: None, record, samples, sequence, completed: None }
    }

    /// Tells `evals`, whenever the server says it, how many evals are done.
    #[must_use]
    pub fn watched(self, evals: watch::Sender<(Instant, u64)>) -> Self {
        Self { evals: Some(evals), ..self }
    }

    /// Gives the request up before it is sent.
    #[must_use]
    pub fn unsent(self) -> Record {
        Record { end: self.from.elapsed(), ..self.record }
    }

    /// Makes the request and reads it to its end.
    pub async fn run(self) -> Record {
        self.run_hashed().await.0
    }

    /// Makes the request and reads it to its end; returns a digest of all samples too.
    pub async fn run_hashed(mut self) -> (Record, [u8; 32]) {
        let leaves = match self.planned.reader {
            Reader::Leaves(after) => Some(Instant::now() + after),
            Reader::Eager | Reader::Slow(_) => None,
        };
        let outcome = match leaves {
            Some(at) => timeout_at(at, self.read()).await.unwrap_or(Outcome::Left),
            None => self.read().await,
        };
        self.record.end = self.from.elapsed();
        self.record.outcome = outcome;
        let mut all = Sha256::new();
        for (index, digest) in &self.samples {
            all.update(index.to_le_bytes());
            all.update(digest);
        }
        (self.record, all.finalize().into())
    }

    async fn read(&mut self) -> Outcome {
        let mut events = match self.open().await {
            Ok(events) => events,
            Err(status) => return self.ended(&status),
        };
        loop {
            match events.message().await {
                Ok(Some(event)) => {
                    if let Err(what) = self.take(event) {
                        return Outcome::Wrong(what);
                    }
                }
                Ok(None) => return self.finished(),
                Err(status) => return self.ended(&status),
            }
            if let Reader::Slow(pause) = self.planned.reader {
                sleep(pause).await;
                self.record.paused += pause;
            }
        }
    }

    async fn open(&self) -> Result<Streaming<v1::GenerateEvent>, Status> {
        let mut message = Request::new(request(&self.planned.shape, self.planned.seed));
        if let Some(deadline) = self.planned.deadline {
            // Only the header: whether the server keeps to it is what is measured.
            let value = format!("{}u", deadline.as_micros().min(99_999_999));
            let value = value.parse().map_err(|_| Status::internal("no header value"))?;
            message.metadata_mut().insert("grpc-timeout", value);
        }
        let service = SamplingServiceClient::new(self.channel.clone());
        let answer = service.max_decoding_message_size(MAX_MESSAGE).generate(message).await?;
        Ok(answer.into_inner())
    }

    fn ended(&mut self, status: &Status) -> Outcome {
        let info = status.get_details_error_info();
        let decided = info.and_then(|info| info.metadata.get("decided_us")?.parse().ok());
        self.record.decided = decided.map(Duration::from_micros);
        Outcome::ended(status, self.record.first_event.is_some())
    }

    fn take(&mut self, event: v1::GenerateEvent) -> Result<(), String> {
        if event.sequence != self.sequence {
            return Err(format!("event {} came as number {}", event.sequence, self.sequence));
        }
        self.sequence += 1;
        let now = self.from.elapsed();
        self.record.first_event.get_or_insert(now);
        match event.event.ok_or("an event has no kind")? {
            Event::Accepted(accepted) => {
                let eta = accepted.eta.and_then(|eta| eta.try_into().ok());
                self.record.eta = eta;
            }
            Event::Progress(progress) => self.did(progress.evals_done),
            Event::Samples(samples) => {
                self.record.first_sample.get_or_insert(now);
                self.keep(&samples)?;
            }
            Event::Completed(completed) => {
                self.did(completed.evals);
                self.completed = Some(completed);
            }
            Event::SampleError(error) => return Err(format!("sample failed: {}", error.reason)),
            Event::Previews(_) => {}
        }
        Ok(())
    }

    fn did(&mut self, evals: u64) {
        self.record.evals = evals;
        if let Some(watcher) = &self.evals {
            watcher.send_replace((Instant::now(), evals));
        }
    }

    fn keep(&mut self, samples: &v1::Samples) -> Result<(), String> {
        let packed = samples.packed.as_ref().ok_or("an event of samples has none")?;
        let each = packed.data.len().checked_div(packed.indices.len()).unwrap_or_default();
        if each == 0 || !packed.lengths.is_empty() {
            return Err("samples are not equally long".to_owned());
        }
        for (index, bytes) in packed.indices.iter().zip(packed.data.chunks(each)) {
            if self.samples.insert(*index, Sha256::digest(bytes).into()).is_some() {
                return Err(format!("sample {index} came twice"));
            }
        }
        Ok(())
    }

    fn finished(&self) -> Outcome {
        match &self.completed {
            None => Outcome::Wrong("the stream ended without `completed`".to_owned()),
            Some(_) if self.samples.len() != self.planned.shape.samples as usize => {
                Outcome::Wrong(format!("{} samples came", self.samples.len()))
            }
            Some(_) => Outcome::Completed,
        }
    }
}

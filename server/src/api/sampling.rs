//! `SamplingService`: admits a request and submits it to the engine.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ddpm_proto::convert::rows_to_proto;
use ddpm_proto::undecoded::sampling_service_server::SamplingService;
use ddpm_proto::v1;
use prost::Message;
use tokio::time::timeout_at;
use tonic::{Request, Response, Status};
use tracing::{error, info};

use super::Serving;
use super::generate::{self, Checked};
use super::incoming::Kind;
use super::stream::{EventStream, Events, Patience};
use crate::admission::{Admission, Demand, Room, Unread};
use crate::deadline::Deadline;
use crate::engine::Submission;
use crate::error::Error;
use crate::outbox;
use crate::principal::Principal;
use crate::transport::MessageRoom;

/// Bytes of a row in the answer of `Compile`, with its lists.
const COMPILED_ROW_BYTES: u64 = size_of::<v1::Row>() as u64 + 2 * 4 * size_of::<f64>() as u64;

/// Draws samples and streams them.
pub(crate) struct Sampling(pub(super) Arc<Serving>);

#[tonic::async_trait]
impl SamplingService for Sampling {
    type GenerateStream = Events;

    async fn generate(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let arrived_at = Instant::now();
        let arrived = Arrived::new(Kind::Generate, request);
        self.accept(arrived).await.map(Response::new).map_err(|mut error| {
            if let Error::Infeasible { decided_in, .. } = &mut error {
                *decided_in = arrived_at.elapsed();
            }
            error.into()
        })
    }

    async fn estimate(
        &self,
        request: Request<Bytes>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        let arrived = Arrived::new(Kind::Generate, request);
        let principal = arrived.caller.principal.clone();
        let (checked, _room) = self.check(arrived, |checked| checked).await?;
        Ok(Response::new(self.priced(&checked, &principal)))
    }

    async fn compile(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        let arrived = Arrived::new(Kind::Compile, request);
        let admission = self.0.admission.clone();
        let encode = move |checked| answer(&admission, &compiled(&checked));
        let (answer, _room) = self.check(arrived, encode).await?;
        Ok(Response::new(answer?))
    }
}

impl Sampling {
    /// Returns what a request would cost if it came now.
    fn priced(&self, checked: &Checked, principal: &Principal) -> v1::EstimateResponse {
        let demand = demand(&checked.request);
        let forecast = self.0.admission.forecast(principal, &demand);
        let duration = |seconds| Duration::try_from_secs_f64(seconds).ok()?.try_into().ok();
        v1::EstimateResponse {
            evals_per_sample: checked.request.program.evals(),
            total_evals: demand.evals,
            compute_time: duration(forecast.compute),
            queue_position: forecast.queue_position,
            eta: duration(forecast.eta),
        }
    }

    /// Decodes and checks a request on a blocking thread, away from the threads that serve
    /// connections, in the turn of its principal; then makes something of it there. Memory is
    /// held for the message, then for what is made of it.
    async fn check<T: Send + 'static>(
        &self,
        arrived: Arrived,
        make: impl FnOnce(Checked) -> T + Send + 'static,
    ) -> Result<(T, Room), Error> {
        let Arrived { kind, message, caller, room } = arrived;
        let taken = room.map(|room| room.take()).transpose()?.flatten();
        let mut room = match taken {
            Some(room) => room,
            None => self.0.admission.hold(message.len() as u64)?,
        };
        let max_samples = self.0.admission.limits().max_samples;
        let work = kind.guess(&message, max_samples)?;
        let turn = self.0.checks.turn(&caller.principal, work);
        let mut turn = within(caller.deadline, turn).await??;
        let serving = Arc::clone(&self.0);
        let checked = tokio::task::spawn_blocking(move || {
            turn.begin();
            let mut hold =
                |bytes| room.grow(bytes).map_err(|no_room| serving.admission.no_room(no_room));
            let checked = check_message(&serving, kind, message, caller.deadline, &mut hold);
            let made = checked.map(make);
            // Held until the work is over, even if the client has left.
            drop(turn);
            Ok((made?, room))
        });
        checked.await.unwrap_or_else(|error| {
            error!(%error, "a request could not be checked");
            Err(Error::Runtime)
        })
    }

    async fn accept(&self, arrived: Arrived) -> Result<Events, Error> {
        let principal = arrived.caller.principal.clone();
        let (checked, room) = self.check(arrived, |checked| checked).await?;
        let serving = &self.0;
        let request = checked.request.clone();
        let now = Instant::now();
        let (permit, forecast) =
            serving.admission.admit(room, &principal, demand(&request), now)?;
        let delivery = request.watch.as_ref().map_or(outbox::Delivery::Latest, |w| w.delivery);
        let (outbox, reader) = outbox::outbox(delivery, serving.admission.memory());
        info!(
            %principal,
            request_id = request.request_id,
            model = checked.receipt.model,
            graph = checked.receipt.graph,
            seed = request.seed,
            samples = request.indices.len(),
            num_steps = checked.receipt.num_steps,
            "accepted"
        );
        let submission = Submission { request, principal, outbox, permit, accepted: now };
        serving.engine.submit(submission).await?;
        let patience =
            Patience { stall: serving.admission.limits().stall, stop: serving.stop.clone() };
        Ok(EventStream::start(&serving.streams, patience, checked, &forecast, reader))
    }
}

/// A request that has arrived, but is not decoded yet.
struct Arrived {
    kind: Kind,
    message: Bytes,
    caller: Caller,
    /// The memory of the message; absent if nobody counted it on its way.
    room: Option<MessageRoom>,
}

impl Arrived {
    fn new(kind: Kind, request: Request<Bytes>) -> Self {
        let caller = Caller::of(&request);
        let room = request.extensions().get().cloned();
        Self { kind, message: request.into_inner(), caller, room }
    }
}

/// Who calls, and how long they wait.
struct Caller {
    principal: Principal,
    deadline: Option<Instant>,
}

impl Caller {
    fn of<T>(request: &Request<T>) -> Self {
        let extensions = request.extensions();
        let unknown = || Principal::of_address(Ipv4Addr::UNSPECIFIED.into());
        Self {
            principal: extensions.get().cloned().unwrap_or_else(unknown),
            deadline: extensions.get().map(|Deadline(at)| *at),
        }
    }
}

/// Waits for something until the client stops waiting.
async fn within<T>(
    deadline: Option<Instant>,
    awaited: impl Future<Output = T>,
) -> Result<T, Error> {
    match deadline {
        None => Ok(awaited.await),
        Some(at) => timeout_at(at.into(), awaited).await.map_err(|_| Error::DeadlinePassed),
    }
}

/// Decodes and checks a message; takes some time.
///
/// * `hold`: holds bytes of memory before they are taken.
///
/// # Errors
///
/// Those of `hold`, [`Kind::size`], [`Kind::decode`] and [`generate::check`].
pub(crate) fn check_message(
    serving: &Serving,
    kind: Kind,
    message: Bytes,
    deadline: Option<Instant>,
    hold: &mut impl FnMut(u64) -> Result<(), Error>,
) -> Result<Checked, Error> {
    let size = kind.size(&message, serving.admission.limits().max_samples)?;
    // The rows are encoded once more, to find out whether they are known.
    hold(size.bytes + message.len() as u64)?;
    let request = kind.decode(message)?;
    hold(generate::made_bytes(serving, &request, size.rows))?;
    let checked = generate::check(serving, request, deadline)?;
    if kind == Kind::Compile {
        hold(checked.request.program.rows().len() as u64 * COMPILED_ROW_BYTES)?;
    }
    Ok(checked)
}

/// Returns the room that a request needs.
fn demand(request: &crate::request::Request) -> Demand {
    let fails_at =
        |deadline: crate::request::Deadline| (!deadline.returns_finished).then_some(deadline.at);
    Demand {
        model: request.model,
        samples: request.indices.len(),
        evals: request.evals(),
        priority: request.priority,
        bytes: request.bytes(),
        deadline: request.deadline.and_then(fails_at),
    }
}

/// An encoded answer, which counts as long as it waits for its reader.
struct Answer {
    bytes: Vec<u8>,
    _unread: Unread,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Encodes an answer in memory that is counted.
///
/// # Errors
///
/// [`Error::Full`].
fn answer(admission: &Admission, response: &impl Message) -> Result<Bytes, Error> {
    let unread = admission.memory().answer(response.encoded_len() as u64);
    let unread = unread.map_err(|no_room| admission.no_room(no_room))?;
    Ok(Bytes::from_owner(Answer { bytes: response.encode_to_vec(), _unread: unread }))
}

/// Describes a checked request without running it.
pub(crate) fn compiled(checked: &Checked) -> v1::CompileResponse {
    let (program, receipt) = (&checked.request.program, checked.receipt.clone());
    v1::CompileResponse {
        program: Some(rows_to_proto(program.rows())),
        program_digest: receipt.program_digest,
        evals_per_sample: program.evals(),
        sampler: receipt.sampler,
        num_steps: receipt.num_steps,
        grid: receipt.grid,
        grid_options: receipt.grid_options,
        clip: receipt.clip,
        dynamic_threshold: receipt.dynamic_threshold,
    }
}

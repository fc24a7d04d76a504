//! `SamplingService`: admits a request and submits it to the engine.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddpm_proto::convert::rows_to_proto;
use ddpm_proto::v1;
use ddpm_proto::v1::sampling_service_server::SamplingService;
use tonic::{Request, Response, Status};
use tracing::{error, info};

use super::Serving;
use super::generate::{self, Checked};
use super::stream::{EventStream, Events, Patience};
use crate::admission::{Demand, Room};
use crate::deadline::Deadline;
use crate::engine::Submission;
use crate::error::{Error, Violation};
use crate::outbox;
use crate::principal::Principal;

/// Draws samples and streams them.
pub(crate) struct Sampling(pub(super) Arc<Serving>);

#[tonic::async_trait]
impl SamplingService for Sampling {
    type GenerateStream = Events;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let caller = Caller::of(&request);
        let accepted = self.accept(request.into_inner(), &caller).await;
        accepted.map(Response::new).map_err(|error| {
            info!(principal = %caller.principal, reason = %error, "refused");
            error.into()
        })
    }

    async fn estimate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        let caller = Caller::of(&request);
        let (checked, _room) = self.check(request.into_inner(), &caller).await?;
        Ok(Response::new(self.priced(&checked, &caller)))
    }

    async fn compile(
        &self,
        request: Request<v1::CompileRequest>,
    ) -> Result<Response<v1::CompileResponse>, Status> {
        let caller = Caller::of(&request);
        let Some(mut message) = request.into_inner().request else {
            let field = "request".into();
            let missing = Violation { field, description: "is required".into() };
            return Err(Error::Invalid(vec![missing]).into());
        };
        let anything = v1::generate_request::Samples::SampleCount(1);
        message.samples.get_or_insert(anything);
        let (checked, _room) = self.check(message, &caller).await?;
        let (program, receipt) = (&checked.request.program, checked.receipt);
        Ok(Response::new(v1::CompileResponse {
            program: Some(rows_to_proto(program.rows())),
            program_digest: receipt.program_digest,
            evals_per_sample: program.evals(),
            sampler: receipt.sampler,
            num_steps: receipt.num_steps,
            grid: receipt.grid,
            grid_options: receipt.grid_options,
            clip: receipt.clip,
            dynamic_threshold: receipt.dynamic_threshold,
        }))
    }
}

impl Sampling {
    /// Returns what a request would cost if it came now.
    fn priced(&self, checked: &Checked, caller: &Caller) -> v1::EstimateResponse {
        let demand = demand(&checked.request);
        let forecast = self.0.admission.forecast(&caller.principal, &demand);
        let duration = |seconds| Duration::try_from_secs_f64(seconds).ok()?.try_into().ok();
        v1::EstimateResponse {
            evals_per_sample: checked.request.program.evals(),
            total_evals: demand.evals,
            compute_time: duration(forecast.compute),
            queue_position: forecast.queue_position,
            eta: duration(forecast.eta),
        }
    }

    /// Checks a request on a blocking thread, away from the threads that serve connections.
    /// A few are checked at a time, and each holds the memory it needs.
    async fn check(
        &self,
        message: v1::GenerateRequest,
        caller: &Caller,
    ) -> Result<(Checked, Room), Error> {
        let room = self.0.admission.hold(generate::memory_bytes(&self.0, &message))?;
        let permit = Arc::clone(&self.0.checks).acquire_owned().await;
        let serving = Arc::clone(&self.0);
        let deadline = caller.deadline;
        let checked = tokio::task::spawn_blocking(move || {
            // Held until the check is over, even if the client has left.
            let _permit = permit;
            generate::check(&serving, message, deadline).map(|checked| (checked, room))
        });
        checked.await.unwrap_or_else(|error| {
            error!(%error, "a request could not be checked");
            Err(Error::Runtime)
        })
    }

    async fn accept(&self, message: v1::GenerateRequest, caller: &Caller) -> Result<Events, Error> {
        let (checked, room) = self.check(message, caller).await?;
        let serving = &self.0;
        let request = checked.request.clone();
        let principal = caller.principal.clone();
        let now = Instant::now();
        let (permit, forecast) =
            serving.admission.admit(room, &principal, demand(&request), now)?;
        let delivery = request.watch.as_ref().map_or(outbox::Delivery::Latest, |w| w.delivery);
        let (outbox, reader) = outbox::outbox(delivery, serving.admission.memory());
        info!(
            %principal,
            request_id = request.request_id,
            model = checked.receipt.model,
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

/// Returns the room that a request needs.
fn demand(request: &crate::request::Request) -> Demand {
    let fails_at =
        |deadline: crate::request::Deadline| (!deadline.returns_finished).then_some(deadline.at);
    Demand {
        model: request.model,
        samples: request.indices.len(),
        evals: request.evals(),
        bytes: request.bytes(),
        deadline: request.deadline.and_then(fails_at),
    }
}

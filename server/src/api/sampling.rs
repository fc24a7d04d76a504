//! `SamplingService`: admits a request and submits it to the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ddpm_proto::convert::rows_to_proto;
use ddpm_proto::v1;
use ddpm_proto::v1::sampling_service_server::SamplingService;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::{error, info};

use super::Serving;
use super::generate::{self, Checked};
use super::stream::EventStream;
use crate::admission::{Demand, Room};
use crate::engine::Submission;
use crate::error::{Error, Violation};
use crate::outbox;

/// Most bytes of values that may wait for one reader before its request pauses.
const OUTBOX_BYTES: usize = 16 << 20;

/// Draws samples and streams them.
pub(crate) struct Sampling(pub(super) Arc<Serving>);

#[tonic::async_trait]
impl SamplingService for Sampling {
    type GenerateStream = ReceiverStream<Result<v1::GenerateEvent, Status>>;

    async fn generate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let peer = request.remote_addr().map_or_else(String::new, |peer| peer.to_string());
        let accepted = self.accept(request.into_inner(), &peer).await;
        accepted.map(Response::new).map_err(|error| {
            info!(peer, reason = %error, "refused");
            error.into()
        })
    }

    async fn estimate(
        &self,
        request: Request<v1::GenerateRequest>,
    ) -> Result<Response<v1::EstimateResponse>, Status> {
        let (checked, _room) = self.check(request.into_inner()).await?;
        Ok(Response::new(self.priced(&checked)))
    }

    async fn compile(
        &self,
        request: Request<v1::CompileRequest>,
    ) -> Result<Response<v1::CompileResponse>, Status> {
        let Some(mut message) = request.into_inner().request else {
            let field = "request".into();
            let missing = Violation { field, description: "is required".into() };
            return Err(Error::Invalid(vec![missing]).into());
        };
        let anything = v1::generate_request::Samples::SampleCount(1);
        message.samples.get_or_insert(anything);
        let (checked, _room) = self.check(message).await?;
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
    fn priced(&self, checked: &Checked) -> v1::EstimateResponse {
        let before = self.0.admission.counts();
        let evals = checked.request.evals();
        let compute = evals as f64 * checked.seconds_per_eval;
        let duration = |seconds| Duration::try_from_secs_f64(seconds).ok()?.try_into().ok();
        v1::EstimateResponse {
            evals_per_sample: checked.request.program.evals(),
            total_evals: evals,
            compute_time: duration(compute),
            queue_position: before.samples,
            eta: duration(before.seconds + compute),
        }
    }

    /// Checks a request on a blocking thread, away from the threads that serve connections.
    /// A few are checked at a time, and each holds the memory it needs.
    async fn check(&self, message: v1::GenerateRequest) -> Result<(Checked, Room), Error> {
        let room = self.0.admission.hold(generate::memory_bytes(&self.0, &message))?;
        let permit = Arc::clone(&self.0.checks).acquire_owned().await;
        let serving = Arc::clone(&self.0);
        let checked = tokio::task::spawn_blocking(move || {
            // Held until the check is over, even if the client has left.
            let _permit = permit;
            generate::check(&serving, message).map(|checked| (checked, room))
        });
        checked.await.unwrap_or_else(|error| {
            error!(%error, "a request could not be checked");
            Err(Error::Runtime)
        })
    }

    async fn accept(
        &self,
        message: v1::GenerateRequest,
        peer: &str,
    ) -> Result<ReceiverStream<Result<v1::GenerateEvent, Status>>, Error> {
        let (checked, room) = self.check(message).await?;
        let request = checked.request.clone();
        let samples = request.indices.len();
        let (permit, before) = room.admit(Demand {
            samples,
            evals: request.evals(),
            seconds_per_eval: checked.seconds_per_eval,
            bytes: request.bytes(),
        })?;
        let delivery = request.watch.as_ref().map_or(outbox::Delivery::Latest, |w| w.delivery);
        let (outbox, reader) = outbox::outbox(delivery, OUTBOX_BYTES);
        info!(
            peer,
            request_id = request.request_id,
            model = checked.receipt.model,
            seed = request.seed,
            samples,
            num_steps = checked.receipt.num_steps,
            "accepted"
        );
        let submission = Submission { request, outbox, permit, accepted: Instant::now() };
        self.0.engine.submit(submission).await?;
        Ok(EventStream::start(&self.0.streams, checked, &before, reader))
    }
}

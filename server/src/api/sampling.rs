//! `SamplingService`: takes a request in and hands it to the engine.

use std::{sync::Arc, time::Instant};

use ddpm_proto::v1::{self, sampling_service_server::SamplingService};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::{Serving, generate, stream::EventStream};
use crate::{engine::Submission, error::Error, outbox};

/// Bytes of values that may wait for one reader before its request pauses.
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
}

impl Sampling {
    async fn accept(
        &self,
        message: v1::GenerateRequest,
        peer: &str,
    ) -> Result<ReceiverStream<Result<v1::GenerateEvent, Status>>, Error> {
        let checked = generate::check(&self.0, message)?;
        let request = checked.request.clone();
        let (samples, evals) = (request.indices.len(), request.evals());
        let (permit, before) = self.0.admission.admit(samples, evals, checked.seconds_an_eval)?;
        let delivery = request.watch.as_ref().map_or(outbox::Delivery::Latest, |w| w.delivery);
        let (outbox, reader) = outbox::outbox(delivery, OUTBOX_BYTES);
        info!(
            peer,
            request_id = checked.request_id,
            model = checked.receipt.model,
            seed = request.seed,
            samples,
            num_steps = checked.receipt.num_steps,
            "accepted"
        );
        let submission = Submission { request, outbox, permit, accepted: Instant::now() };
        self.0.engine.submit(submission).await?;
        Ok(EventStream::start(checked, &before, reader))
    }
}

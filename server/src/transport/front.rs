//! What every request meets first: what it is, and gRPC-web made gRPC, and back.
//!
//! Everything behind it sees gRPC alone, and what is no call. It is the outermost layer so that
//! whatever ends a call, a refusal of the transport or the stop of the server, reaches a browser in
//! the form that it understands.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response, StatusCode, Version};
use http_body_util::Either;
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use super::CallService;
use super::calls::{Answer, AnswerBody, Calls};
use crate::web::{Visit, WebRules, add_cors, refusal};

/// The service of one connection.
pub(super) struct Front<S> {
    /// `None` if browsers may not call.
    pub(super) web: Option<Arc<WebRules>>,
    pub(super) local: Option<SocketAddr>,
    pub(super) calls: Calls<S>,
}

/// The body of an answer, as it is or for a browser.
type FrontBody = Either<AnswerBody, Body>;

type FrontFuture = Pin<Box<dyn Future<Output = Result<Response<FrontBody>, Infallible>> + Send>>;

impl<S: CallService> hyper::service::Service<Request<Incoming>> for Front<S> {
    type Response = Response<FrontBody>;
    type Error = Infallible;
    type Future = FrontFuture;

    fn call(&self, request: Request<Incoming>) -> FrontFuture {
        let mut request = request.map(Body::new);
        let visit = self.web.as_ref().map(|web| web.visit(&request, self.local));
        let Some(visit) = visit.filter(|visit| *visit != Visit::Grpc) else {
            let answer = self.calls.answer(request);
            return Box::pin(async { answer.await.map(|answer| answer.map(Either::Left)) });
        };
        let in_turn = request.version() != Version::HTTP_2;
        let mut calls = Calls { in_turn, ..self.calls.clone() };
        if let Visit::GrpcWeb(origin) = visit {
            let answer = GrpcWebLayer::new().layer(calls).call(request);
            return Box::pin(async move {
                let mut answer = answer.await?;
                if let Some(origin) = origin {
                    add_cors(answer.headers_mut(), &origin);
                }
                Ok(answer.map(Either::Right))
            });
        }
        request.extensions_mut().insert(visit);
        let answer = calls.call(request);
        Box::pin(async { answer.await.map(plain_if_refused) })
    }
}

/// A refusal of the transport as a browser shows it, since what asked was no call.
fn plain_if_refused(answer: Answer) -> Response<FrontBody> {
    match Status::from_header_map(answer.headers()) {
        None => answer.map(Either::Left),
        Some(status) => {
            let unavailable = StatusCode::SERVICE_UNAVAILABLE.as_u16();
            refusal(unavailable, format!("{}\n", status.message())).map(Either::Right)
        }
    }
}

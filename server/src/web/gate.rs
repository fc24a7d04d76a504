//! Answers what is no call: files of the page, permissions for scripts, and refusals.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Visit, files, preflight};

/// Puts [`GateService`] before a service.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GateLayer;

/// Answers requests whose [`Visit`] is no call; the service gets the others.
#[derive(Debug, Clone)]
pub(crate) struct GateService<S> {
    inner: S,
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService { inner }
    }
}

impl<S> Service<Request<Body>> for GateService<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = match request.extensions().get::<Visit>() {
            None | Some(Visit::Grpc | Visit::GrpcWeb(_)) => None,
            Some(Visit::Preflight(origin)) => Some(preflight(origin)),
            Some(Visit::Plain) => files::find(&request),
            Some(Visit::Refused(status, sentence)) => Some(refusal(*status, sentence.clone())),
        };
        match answer {
            Some(answer) => Box::pin(async { Ok(answer) }),
            None => Box::pin(self.inner.call(request)),
        }
    }
}

/// Answers with a sentence that a browser shows.
pub(crate) fn refusal(status: u16, sentence: String) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::from(sentence))));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

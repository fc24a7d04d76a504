//! Answers what is no call: files of the page, permissions for scripts, and refusals.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::{Ask, files, preflight};

/// Puts [`GateService`] before a service.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GateLayer;

/// Answers requests that a browser's [`Ask`] is noted of; the service gets calls, and files that
/// are not there.
#[derive(Debug, Clone)]
pub(crate) struct GateService<S> {
    inner: S,
}

/// Why a browser got nothing, for the log; in the extensions of the answer.
#[derive(Debug, Clone)]
pub(crate) struct Noted(pub(crate) Status);

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
        match request.extensions().get::<Ask>().and_then(|ask| answer(ask, &request)) {
            Some(answer) => Box::pin(async { Ok(answer) }),
            None => Box::pin(self.inner.call(request)),
        }
    }
}

/// Answers what is no call; `None` if the service is to answer.
fn answer(ask: &Ask, request: &Request<Body>) -> Option<Response<Body>> {
    match ask {
        Ask::Call => None,
        Ask::RefusedCall(refusal) => Some(refusal.to_status().into_http()),
        Ask::Preflight => Some(preflight()),
        Ask::File => files::find(request),
        Ask::Refused(refusal) => {
            let mut answer = text(refusal.status, &refusal.sentence);
            answer.extensions_mut().insert(Noted(refusal.to_status()));
            Some(answer)
        }
    }
}

/// Answers with a sentence that a browser shows.
pub(crate) fn text(status: StatusCode, sentence: &str) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::from(format!("{sentence}\n")))));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

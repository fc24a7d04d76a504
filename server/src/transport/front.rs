//! What every request meets first: says what it is, and makes gRPC of gRPC-web, and back.
//!
//! It is the outermost layer so that whatever ends a call, a refusal of the transport or the stop
//! of the server, reaches a browser in the form that it understands. Behind it there are calls of
//! gRPC, and requests of browsers that are no calls, which [`crate::web`] answers.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::Either;
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service};

use super::CallService;
use super::calls::{Answer, AnswerBody, Calls};
use super::lines::Requests;
use crate::web::{Ask, GRPC_WEB, Visit, WebRules, add_cors, text};

/// The service of one connection.
pub(super) struct Front<S> {
    /// `None` if browsers may not call.
    pub(super) web: Option<Arc<WebRules>>,
    /// Counts the requests of HTTP/1.1, which are paid for where they are read.
    pub(super) requests: Requests,
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
        let request = request.map(Body::new);
        let http1 = request.version() != Version::HTTP_2;
        if http1 {
            self.requests.count();
            self.calls.greeted();
        }
        match self.web.as_ref().map(|web| web.visit(&request, self.calls.local)) {
            None | Some(Visit::Grpc) => {
                let answer = self.calls.answer(request);
                Box::pin(async { answer.await.map(|answer| answer.map(Either::Left)) })
            }
            Some(Visit::Browser { origin, ask }) => {
                let calls = Calls { http1, ..self.calls.clone() };
                let answer = for_browser(calls, request, ask);
                Box::pin(async move {
                    let mut answer = answer.await?;
                    if let Some(origin) = origin {
                        add_cors(answer.headers_mut(), &origin);
                    }
                    Ok(answer)
                })
            }
        }
    }
}

/// Answers what a browser asks for.
fn for_browser<S: CallService>(
    mut calls: Calls<S>,
    mut request: Request<Body>,
    ask: Ask,
) -> FrontFuture {
    let is_call = matches!(ask, Ask::Call | Ask::RefusedCall(_));
    request.extensions_mut().insert(ask);
    if !is_call {
        let answer = calls.call(request);
        return Box::pin(async { answer.await.map(plain_if_refused) });
    }
    // One spelling of the type; and answers in bytes, which are counted until they are sent.
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, GRPC_WEB);
    headers.remove(header::ACCEPT);
    let answer = GrpcWebLayer::new().layer(calls).call(request);
    Box::pin(async { answer.await.map(|answer| answer.map(Either::Right)) })
}

/// A refusal of the transport as a browser shows it, since what it asked for was no call.
fn plain_if_refused(answer: Answer) -> Response<FrontBody> {
    let Some(refusal) = Status::from_header_map(answer.headers()) else {
        return answer.map(Either::Left);
    };
    let status = match refusal.code() {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut answer = text(status, refusal.message()).map(Either::Right);
    let pause = refusal.get_details_retry_info().and_then(|info| info.retry_delay);
    if let Some(pause) = pause {
        let seconds = HeaderValue::from(pause.as_secs().max(1));
        answer.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    #[test]
    fn a_full_server_tells_a_browser_when_to_come_back() {
        let retry_after = std::time::Duration::from_secs(3);
        let full = Error::Full { what: "calls", limit: 1, retry_after };
        let refused = |error: Error| {
            let answer: Response<Body> = Status::from(error).into_http();
            let memory = crate::admission::Memory::new(1 << 20);
            let answer = answer.map(|body| {
                super::super::reply::Reply::new(
                    body,
                    Arc::default(),
                    Default::default(),
                    memory,
                    None,
                )
            });
            plain_if_refused(answer)
        };
        let answer = refused(full);
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (429, &"3".parse().unwrap())
        );
        assert_eq!(refused(Error::Invalid(vec![])).status(), 400);
        assert_eq!(refused(Error::Stopped).status(), 503);
    }
}

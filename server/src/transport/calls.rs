//! What every call gets before its service sees it: a place among the streams, whom it is for,
//! and until when; and what ends it if no answer has begun by then.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use hyper_util::service::TowerToHyperService;
use tokio::time::{Instant, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::Service;

use super::CallService;
use super::place::{Host, StreamPlace};
use super::reply::{self, Reply};
use super::streams::Streams;
use super::table::{Stream, StreamKind};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::principal::Principal;
use crate::web::{Ask, Noted};

/// The calls of one connection.
#[derive(Clone)]
pub(super) struct Calls<S> {
    pub(super) host: Host,
    pub(super) streams: Streams,
    pub(super) peer: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    /// Whether the call came over HTTP/1.1.
    pub(super) http1: bool,
    pub(super) service: TowerToHyperService<S>,
}

/// The body of an answer.
pub(super) type AnswerBody = Reply<Body, Option<StreamPlace>>;

pub(super) type Answer = Response<AnswerBody>;

pub(super) type AnswerFuture = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

impl<S: CallService> Service<Request<Body>> for Calls<S> {
    type Response = Answer;
    type Error = Infallible;
    type Future = AnswerFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> AnswerFuture {
        self.answer(request)
    }
}

impl<S: CallService> Calls<S> {
    /// Notes that the peer has begun to speak.
    pub(super) fn greeted(&self) {
        self.host.shared.table().greeted(self.host.id);
    }

    /// Answers a call. It has begun when this returns, before the answer is awaited.
    pub(super) fn answer(&self, request: Request<Body>) -> AnswerFuture {
        let reading = self.streams.begin(self.http1);
        let stop = self.host.shared.stop.clone();
        let memory = self.host.shared.memory.clone();
        let (principal, path) = (self.principal(&request), request.uri().path().to_owned());
        let prepared = self.prepare(request, &principal);
        let (service, host) = (self.service.clone(), self.host.clone());
        Box::pin(async move {
            let (response, place) = match prepared {
                Ok((request, deadline, place)) => {
                    let answer = hyper::service::Service::call(&service, request);
                    let response = tokio::select! {
                        answer = answer => answer.unwrap_or_else(|error| match error {}),
                        () = passed(deadline) => Status::from(Error::DeadlinePassed).into_http(),
                        () = stop.cancelled() => reply::stopped().into_http(),
                    };
                    (response, Some(place))
                }
                Err(error) => (Status::from(error).into_http(), None),
            };
            let noted = response.extensions().get::<Noted>().map(|Noted(status)| status.clone());
            let refused = noted.or_else(|| Status::from_header_map(response.headers()));
            if let Some(status) = refused {
                host.shared.refusals.note(&principal, &path, &status);
            }
            host.answered();
            Ok(response.map(|body| Reply::new(body, reading, stop, memory, place)))
        })
    }
}

type Prepared = (Request<Body>, Option<Deadline>, StreamPlace);

impl<S> Calls<S> {
    /// Finds a place for a call, and notes in its extensions what is known of it.
    fn prepare(
        &self,
        mut request: Request<Body>,
        principal: &Principal,
    ) -> Result<Prepared, Error> {
        let now = Instant::now().into_std();
        let deadline = Deadline::from_headers(request.headers(), now)?;
        let kind = match request.extensions().get::<Ask>() {
            None | Some(Ask::Call) => StreamKind::of_path(request.uri().path()),
            Some(Ask::RefusedCall(_) | Ask::Preflight | Ask::File | Ask::Refused(_)) => {
                StreamKind::Short
            }
        };
        let place = self.host.place(Stream { principal: principal.clone(), kind })?;
        let connection = TcpConnectInfo { local_addr: self.local, remote_addr: Some(self.peer) };
        let extensions = request.extensions_mut();
        extensions.insert(principal.clone());
        extensions.insert(connection);
        if let Some(deadline) = deadline {
            extensions.insert(deadline);
        }
        Ok((request, deadline, place))
    }

    fn principal(&self, request: &Request<Body>) -> Principal {
        let peer = self.peer.ip();
        match &self.host.shared.proxies {
            Some(proxies) if proxies.contains(peer) => proxies.principal(peer, request.headers()),
            _ => Principal::of_address(peer),
        }
    }
}

/// Completes when a deadline has passed.
async fn passed(deadline: Option<Deadline>) {
    match deadline {
        Some(Deadline(at)) => sleep_until(at.into()).await,
        None => pending().await,
    }
}

//! Collects and checks the body of a request before its service sees it.
//!
//! Every method but reflection takes one message. It is collected here, within bounds on bytes,
//! time and memory, and decompressed within the same bounds; what the service gets is one whole,
//! uncompressed message, and the [room](MessageRoom) that it takes. Streams of reflection are
//! bounded in bytes and time. What is no gRPC call gets a plain HTTP answer.

use std::net::Ipv4Addr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body as HttpBody;
use http_body_util::{BodyExt, Full, Limited};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tower::{Layer, Service};
use tracing::error;

use crate::admission::{Admission, Room};
use crate::api::Checks;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::principal::Principal;

mod assembly;
use assembly::Message;

mod inflate;
use inflate::Encoding;

mod rooms;
use rooms::{Rooms, Share};

mod timed;
use timed::Timed;

/// The service whose messages may be large.
const SAMPLING: &str = "/ddpm.v1.SamplingService/";

/// The services whose requests are a stream of small messages.
const REFLECTION: &str = "/grpc.reflection.";

/// Most bytes of a message to any other service, and of all messages of a reflection stream.
const SMALL_MESSAGE: usize = 64 << 10;

/// The header that names how messages are compressed.
const GRPC_ENCODING: &str = "grpc-encoding";

/// Bytes that decompressing may make of one, for the estimate.
const EXPANSION: u64 = 32;

/// Most bytes that are read after a refusal, and for how long.
const DISCARDED_BYTES: usize = 64 << 20;
const DISCARDING: Duration = Duration::from_secs(2);

/// Bytes that take as long to decompress as a row to check.
const BYTES_PER_ROW: u64 = 64;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a body may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyTimes {
    /// The whole of it.
    pub(crate) whole: Duration,
    /// Without a byte.
    pub(crate) pause: Duration,
    /// All messages of a reflection stream.
    pub(crate) stream: Duration,
    /// Without a byte of a reflection stream: a person may be at the other end.
    pub(crate) stream_pause: Duration,
}

impl Default for BodyTimes {
    fn default() -> Self {
        Self {
            whole: Duration::from_secs(30),
            pause: Duration::from_secs(10),
            stream: Duration::from_secs(600),
            stream_pause: Duration::from_secs(60),
        }
    }
}

/// Puts [`BodyService`] before a service.
#[derive(Debug, Clone)]
pub(crate) struct BodyLayer(Shared);

/// Collects the body of each request, then calls the service.
#[derive(Debug, Clone)]
pub(crate) struct BodyService<S> {
    shared: Shared,
    inner: S,
}

#[derive(Debug, Clone)]
struct Shared {
    rooms: Rooms,
    checks: Checks,
    times: BodyTimes,
    /// Most bytes of a message to [`SAMPLING`].
    max_bytes: usize,
}

/// The memory of a request's message, in the request's extensions. The service takes it over;
/// otherwise it is freed with the request.
#[derive(Debug, Clone)]
pub(crate) struct MessageRoom(Arc<Mutex<Option<Share>>>);

impl BodyLayer {
    /// Collects bodies into the memory that `admission` counts; `checks` gives turns to
    /// decompress.
    pub(crate) fn new(admission: &Admission, checks: &Checks, times: BodyTimes) -> Self {
        let max_bytes = admission.limits().max_request_bytes as usize;
        let rooms = Rooms::new(admission.clone());
        Self(Shared { rooms, checks: checks.clone(), times, max_bytes })
    }
}

impl<S> Layer<S> for BodyLayer {
    type Service = BodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyService { shared: self.0.clone(), inner }
    }
}

impl MessageRoom {
    fn new(share: Share) -> Self {
        Self(Arc::new(Mutex::new(Some(share))))
    }

    /// Takes the memory over, as memory of a request that is checked; `None` if it was taken.
    ///
    /// # Errors
    ///
    /// As [`Admission::hold`].
    pub(crate) fn take(&self) -> Result<Option<Room>, Error> {
        let share = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        share.map(Share::into_room).transpose()
    }
}

impl<S, B> Service<Request<B>> for BodyService<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let shared = self.shared.clone();
        Box::pin(async move {
            match shared.prepare(request).await {
                Ok(request) => inner.call(request).await,
                Err(answer) => Ok(*answer),
            }
        })
    }
}

impl Shared {
    /// Returns the request with one whole message, or the answer that refuses it.
    async fn prepare<B>(&self, request: Request<B>) -> Result<Request<Body>, Box<Response<Body>>>
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        check_http(&request)?;
        if request.uri().path().starts_with(REFLECTION) {
            let body = |body| Body::new(Limited::new(Timed::new(body, self.times), SMALL_MESSAGE));
            return Ok(request.map(body));
        }
        let principal = principal(&request);
        let collected = self.collect(request, &principal).await;
        collected.map_err(|error| Box::new(refusal(error)))
    }

    async fn collect<B>(
        &self,
        request: Request<B>,
        principal: &Principal,
    ) -> Result<Request<Body>, Error>
    where
        B: HttpBody<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let encoding = match parts.headers.remove(GRPC_ENCODING) {
            Some(name) => Encoding::of_name(&name)?,
            None => Encoding::Identity,
        };
        let sampling = parts.uri.path().starts_with(SAMPLING);
        let max = if sampling { self.max_bytes } else { SMALL_MESSAGE };
        let share = self.rooms.share(principal.clone());
        let deadline = parts.extensions.get().map(|Deadline(at)| *at);
        let bounds = assembly::Bounds { max, times: self.times, deadline };
        let mut body = pin!(body);
        let collected = assembly::collect(body.as_mut(), share, bounds).await;
        let late =
            |error: &Error| matches!(error, Error::BodyTimeout { .. } | Error::DeadlinePassed);
        if parts.version != Version::HTTP_2 && collected.as_ref().is_err_and(|error| !late(error)) {
            discard(body).await;
        }
        let mut message = collected?;
        if message.compressed() {
            message = self.inflate(message, encoding, max, principal).await?;
        }
        let (bytes, share) = message.into_parts();
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.extensions.insert(principal.clone());
        parts.extensions.insert(MessageRoom::new(share));
        Ok(Request::from_parts(parts, Body::new(Full::new(bytes))))
    }

    /// Decompresses a message on a blocking thread, in its principal's turn.
    async fn inflate(
        &self,
        message: Message,
        encoding: Encoding,
        max: usize,
        principal: &Principal,
    ) -> Result<Message, Error> {
        let bytes = (message.len() as u64 * EXPANSION).min(max as u64);
        let mut turn = self.checks.turn(principal, bytes / BYTES_PER_ROW).await?;
        let inflated = tokio::task::spawn_blocking(move || {
            turn.begin();
            let inflated = inflate::inflate(message, encoding, max);
            drop(turn);
            inflated
        });
        inflated.await.unwrap_or_else(|error| {
            error!(%error, "a message could not be decompressed");
            Err(Error::Runtime)
        })
    }
}

/// Reads on and forgets, for a moment: over HTTP/1.1 a browser that still sends when the connection
/// closes never sees the answer that says why.
async fn discard<B: HttpBody<Data = Bytes>>(mut body: Pin<&mut B>) {
    let mut left = DISCARDED_BYTES;
    let read = async {
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    let _ = timeout(DISCARDING, read).await;
}

/// Whether a path is that of a method: `/service/method`.
fn is_grpc(path: &str) -> bool {
    let mut parts = path.split('/');
    parts.next() == Some("")
        && parts.next().is_some_and(|service| !service.is_empty())
        && parts.next().is_some_and(|method| !method.is_empty())
        && parts.next().is_none()
}

/// Refuses what is no gRPC call with an answer that a browser shows, and that no load balancer
/// takes for health.
fn check_http<B>(request: &Request<B>) -> Result<(), Box<Response<Body>>> {
    if !is_grpc(request.uri().path()) {
        let text = "this is a gRPC server: its methods are at /package.Service/Method, and its \
                    health at /grpc.health.v1.Health/Check\n";
        return Err(Box::new(plain(StatusCode::NOT_FOUND, text)));
    }
    if request.method() != Method::POST {
        let text = "this is a gRPC method: call it with a gRPC client, such as `ddpm` or grpcurl\n";
        let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, text);
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return Err(Box::new(answer));
    }
    let found = request.headers().get(header::CONTENT_TYPE).and_then(|found| found.to_str().ok());
    let essence = found.unwrap_or("").split(';').next().unwrap_or("").trim();
    let known = ["application/grpc", "application/grpc+proto"];
    if known.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let text = "this is a gRPC method: send protobuf with content-type application/grpc\n";
    Err(Box::new(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, text)))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut answer = Response::new(Body::new(Full::new(Bytes::from_static(text.as_bytes()))));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}

fn refusal(error: Error) -> Response<Body> {
    let names_encodings = matches!(error, Error::UnknownEncoding { .. });
    let mut answer = Status::from(error).into_http();
    if names_encodings {
        let known = HeaderValue::from_static(Encoding::KNOWN);
        answer.headers_mut().insert("grpc-accept-encoding", known);
    }
    answer
}

/// Whom the request is accounted to: whom the connection says, or its peer.
fn principal<B>(request: &Request<B>) -> Principal {
    let extensions = request.extensions();
    extensions.get::<Principal>().cloned().unwrap_or_else(|| {
        let peer = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let unknown = Ipv4Addr::UNSPECIFIED.into();
        Principal::of_address(peer.map_or(unknown, |peer| peer.ip()))
    })
}

/// Collects a message from pieces and decompresses it, as for a call.
#[cfg(test)]
pub(crate) async fn collect_pieces(
    admission: &Admission,
    encoding: &str,
    pieces: Vec<Bytes>,
    max: usize,
) -> Result<Bytes, Error> {
    let frames = pieces.into_iter().map(|piece| Ok::<_, BoxError>(http_body::Frame::data(piece)));
    let body = http_body_util::StreamBody::new(tokio_stream::iter(frames));
    let share = Rooms::of(admission.clone()).share(Principal::of_address([127, 0, 0, 1].into()));
    let bounds = assembly::Bounds { max, times: BodyTimes::default(), deadline: None };
    let encoding =
        HeaderValue::from_str(encoding).map_err(|error| Error::Undecodable(error.to_string()))?;
    let encoding = Encoding::of_name(&encoding)?;
    let mut message = assembly::collect(body, share, bounds).await?;
    if message.compressed() {
        message = inflate::inflate(message, encoding, max)?;
    }
    Ok(message.into_content().0)
}

#[cfg(test)]
pub(super) mod tests;

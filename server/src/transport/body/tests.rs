//! Bodies through the layer, to a service that answers with what it got.

use std::convert::Infallible;
use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http_body_util::{BodyExt, Channel, Empty};
use tonic::Code;
use tonic_types::StatusExt;
use tower::{ServiceExt, service_fn};

use super::assembly::PREFIX;
use super::*;
use crate::admission::Limits;
use crate::cost::Costs;

/// Most bytes of a message.
const MAX: usize = 256 << 10;

/// Memory of all requests.
const LIMIT: u64 = 8 << 20;

const GENERATE: &str = "/ddpm.v1.SamplingService/Generate";

/// Admission with a memory limit, in bytes.
pub(super) fn admission(max_held_bytes: u64) -> Admission {
    let limits = Limits {
        max_samples: 1,
        max_evals: 1,
        max_watched_samples: 1,
        max_queued_samples: 1,
        max_requests: 1,
        max_request_bytes: MAX as u64,
        max_held_bytes,
        max_principal_requests: 1,
        max_principal_samples: 1,
        max_principal_backlog: None,
        max_principal_evals: None,
        stall: Duration::from_secs(30),
    };
    Admission::new(limits, Costs::new(Vec::new()))
}

/// A layer with these bounds.
pub(in crate::transport) fn layer() -> BodyLayer {
    BodyLayer::new(&admission(LIMIT), &Checks::new(1), BodyTimes::default())
}

/// Sends a request through a layer.
async fn send<B>(admission: &Admission, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let echo = service_fn(async |request: Request<Body>| {
        assert!(request.headers().get(GRPC_ENCODING).is_none());
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let layer = BodyLayer::new(admission, &Checks::new(1), BodyTimes::default());
    let Ok(response) = layer.layer(echo).oneshot(request).await;
    response
}

fn call(path: &str) -> http::request::Builder {
    Request::builder().method("POST").uri(path).header("content-type", "application/grpc")
}

async fn answer(request: Request<Full<Bytes>>) -> Response<Body> {
    send(&admission(LIMIT), request).await
}

async fn answer_to(body: Vec<u8>) -> Response<Body> {
    answer(call(GENERATE).body(Full::from(body)).unwrap()).await
}

async fn content(response: Response<Body>) -> Bytes {
    assert!(Status::from_header_map(response.headers()).is_none(), "{response:?}");
    response.into_body().collect().await.unwrap().to_bytes()
}

fn message(flag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![flag];
    bytes.extend((content.len() as u32).to_be_bytes());
    bytes.extend(content);
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn deflate(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

async fn compressed(encoding: &str, content: &[u8]) -> Response<Body> {
    let request = call(GENERATE).header("grpc-encoding", encoding);
    answer(request.body(Full::from(message(1, content))).unwrap()).await
}

/// Asserts that a call was refused with this code and reason.
#[track_caller]
fn refused(response: &Response<Body>, code: Code, reason: &str) -> Status {
    let status = Status::from_header_map(response.headers()).expect("it is refused");
    assert_eq!(status.code(), code, "{status}");
    let info = status.get_details_error_info().expect("it has details");
    assert_eq!((info.domain.as_str(), info.reason.as_str()), ("ddpm", reason));
    status
}

#[tokio::test]
async fn a_message_in_pieces_arrives_whole() {
    let whole = message(0, &[7; 3000]);
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let pieces: Vec<Bytes> = whole.chunks(1).map(Bytes::copy_from_slice).collect();
    let sending = tokio::spawn(async move {
        for piece in pieces {
            sender.send_data(piece).await.unwrap();
        }
    });
    let admission = admission(LIMIT);
    let response = send(&admission, call(GENERATE).body(body).unwrap()).await;
    sending.await.unwrap();
    assert_eq!(content(response).await, whole);
    assert_eq!(admission.counts().bytes, 0);
}

#[tokio::test]
async fn compressed_messages_arrive_as_plain_ones() {
    let plain = b"abcabcabc".repeat(1000);
    for (encoding, bytes) in [("gzip", gzip(&plain)), ("deflate", deflate(&plain))] {
        let response = compressed(encoding, &bytes).await;
        assert_eq!(content(response).await, message(0, &plain), "{encoding}");
    }
    // A client may leave a message as it is although it names an encoding.
    let request = call(GENERATE).header("grpc-encoding", "gzip");
    let request = request.body(Full::from(message(0, &plain))).unwrap();
    assert_eq!(content(answer(request).await).await, message(0, &plain));
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit_and_no_larger() {
    let full = message(0, &[0; MAX]);
    assert_eq!(content(answer_to(full.clone()).await).await, full);
    let refusal = answer_to(message(0, &[0; MAX + 1])).await;
    let status = refused(&refusal, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("262144") && status.message().contains("index ranges"));
    let health = call("/grpc.health.v1.Health/Check");
    let small = |bytes: usize| Full::from(message(0, &vec![0; bytes]));
    let response = answer(health.body(small(SMALL_MESSAGE + 1)).unwrap()).await;
    refused(&response, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    let health = call("/grpc.health.v1.Health/Check");
    let response = answer(health.body(small(SMALL_MESSAGE)).unwrap()).await;
    assert_eq!(content(response).await.len(), PREFIX + SMALL_MESSAGE);
}

#[tokio::test]
async fn a_message_may_become_as_large_as_the_limit_and_no_larger() {
    for encode in [gzip, deflate] {
        let encoding = if encode(b"")[0] == 0x1f { "gzip" } else { "deflate" };
        let response = compressed(encoding, &encode(&[0; MAX])).await;
        assert_eq!(content(response).await, message(0, &[0; MAX]));
        let response = compressed(encoding, &encode(&[0; MAX + 1])).await;
        refused(&response, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    }
}

#[tokio::test]
async fn what_is_not_exactly_one_message_is_undecodable() {
    let good = message(0, b"abc");
    let mut wrong = vec![
        Vec::new(),
        vec![0; 4],
        good[..good.len() - 1].to_vec(),
        [&good[..], &good[..]].concat(),
        [&good[..], &[0]].concat(),
        message(2, b"abc"),
        // Compressed, but nobody says how.
        message(1, &gzip(b"abc")),
    ];
    for body in wrong.drain(..) {
        refused(&answer_to(body).await, Code::InvalidArgument, "UNDECODABLE");
    }
    let mut longer = gzip(b"abc");
    longer.push(0);
    let mut broken = gzip(b"abc");
    broken[12] ^= 0xff;
    let cut = &gzip(b"abc")[..15];
    for content in [&longer[..], &broken[..], cut, b"", b"abc"] {
        let response = compressed("gzip", content).await;
        refused(&response, Code::InvalidArgument, "UNDECODABLE");
    }
}

#[tokio::test]
async fn an_unknown_encoding_is_refused_with_the_known_ones() {
    let response = compressed("br", b"abc").await;
    refused(&response, Code::Unimplemented, "UNKNOWN_ENCODING");
    assert_eq!(response.headers()["grpc-accept-encoding"], "identity,gzip,deflate");
}

#[tokio::test]
async fn what_is_no_grpc_call_gets_a_plain_answer() {
    let get = Request::builder().uri(GENERATE).body(Full::default()).unwrap();
    let response = answer(get).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()["allow"], "POST");
    for (kind, status) in [
        ("application/json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/grpc-web", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/grpc+json", StatusCode::UNSUPPORTED_MEDIA_TYPE),
        ("application/grpc", StatusCode::OK),
        ("Application/gRPC+proto; charset=utf-8", StatusCode::OK),
    ] {
        let request = Request::builder().method("POST").uri(GENERATE).header("content-type", kind);
        let request = request.body(Full::from(message(0, b""))).unwrap();
        assert_eq!(answer(request).await.status(), status, "{kind}");
    }
    let request = Request::builder().method("POST").uri(GENERATE).body(Full::default()).unwrap();
    assert_eq!(answer(request).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for path in ["/", "/healthz", "/a/b/c"] {
        let get = answer(Request::builder().uri(path).body(Full::default()).unwrap()).await;
        let post = answer(call(path).body(Full::from(message(0, b""))).unwrap()).await;
        assert_eq!([get.status(), post.status()], [StatusCode::NOT_FOUND; 2], "{path}");
    }
    assert!(is_grpc("/a/b"));
    assert!(["", "/", "/a", "/a/", "//b", "/a/b/c", "a/b"].iter().all(|path| !is_grpc(path)));
}

#[tokio::test]
async fn reflection_gets_its_stream_of_messages_up_to_a_bound() {
    let reflect = |bytes| {
        let call = call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
        call.body(Full::from(vec![0; bytes])).unwrap()
    };
    assert_eq!(content(answer(reflect(SMALL_MESSAGE)).await).await.len(), SMALL_MESSAGE);
    let longer = answer(reflect(SMALL_MESSAGE + 1)).await;
    assert!(longer.into_body().collect().await.is_err());
}

/// Sends a message of `bytes` bytes and its prefix, with a pause after each byte.
async fn dribble(pause: Duration, bytes: usize) -> (Response<Body>, Duration) {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
    let whole = message(0, &vec![0; bytes]);
    tokio::spawn(async move {
        for byte in whole {
            if sender.send_data(Bytes::from(vec![byte])).await.is_err() {
                return;
            }
            tokio::time::sleep(pause).await;
            // An empty piece is no byte.
            let _ = sender.send_data(Bytes::new()).await;
        }
    });
    let began = tokio::time::Instant::now();
    let response = send(&admission(LIMIT), call(GENERATE).body(body).unwrap()).await;
    (response, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_pauses_too_long_is_refused() {
    let (response, took) = dribble(Duration::from_millis(10_100), 0).await;
    let status = refused(&response, Code::Unavailable, "BODY_TIMEOUT");
    assert!(status.get_details_retry_info().is_some());
    assert_eq!(took.as_secs(), 10);
    let (response, _) = dribble(Duration::from_millis(5900), 0).await;
    assert_eq!(content(response).await.len(), PREFIX);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_too_long_as_a_whole_is_refused() {
    let (response, took) = dribble(Duration::from_millis(2900), 20).await;
    refused(&response, Code::Unavailable, "BODY_TIMEOUT");
    assert_eq!(took.as_secs(), 30);
    let (response, took) = dribble(Duration::from_millis(2900), 5).await;
    assert_eq!(content(response).await.len(), PREFIX + 5);
    assert!(took < Duration::from_secs(30));
}

#[tokio::test]
async fn a_body_that_has_no_room_is_told_when_to_retry_and_a_small_one_gets_in() {
    let admission = admission(LIMIT);
    let _all = admission.hold(LIMIT).unwrap();
    let large = call(GENERATE).body(Full::from(message(0, &[0; MAX]))).unwrap();
    let response = send(&admission, large).await;
    let status = refused(&response, Code::ResourceExhausted, "QUEUE_FULL");
    assert!(status.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some()));
    let small = call(GENERATE).body(Full::from(message(0, &[0; 1000]))).unwrap();
    assert_eq!(content(send(&admission, small).await).await.len(), PREFIX + 1000);
}

#[tokio::test]
async fn the_memory_of_a_message_goes_to_its_service_and_no_further() {
    let admission = admission(LIMIT);
    let takes = {
        let admission = admission.clone();
        service_fn(move |request: Request<Body>| {
            let room = request.extensions().get::<MessageRoom>().unwrap().take().unwrap();
            assert!(room.unwrap().bytes() >= MAX as u64);
            assert!(request.extensions().get::<MessageRoom>().unwrap().take().unwrap().is_none());
            assert_eq!(admission.counts().bytes, 0, "it was dropped");
            async { Ok::<_, Infallible>(Response::new(Body::new(Empty::new()))) }
        })
    };
    let layer = BodyLayer::new(&admission, &Checks::new(1), BodyTimes::default());
    let request = call(GENERATE).body(Full::from(message(0, &[0; MAX]))).unwrap();
    let Ok(_) = layer.layer(takes).oneshot(request).await;
    // A service that leaves it does not keep it.
    let request = call(GENERATE).body(Full::from(message(0, &[0; MAX]))).unwrap();
    send(&admission, request).await;
    assert_eq!(admission.counts().bytes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_not_waited_for_after_the_deadline() {
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let began = tokio::time::Instant::now();
    let deadline = Deadline((began + Duration::from_secs(3)).into_std());
    let request = call(GENERATE).extension(deadline).body(body).unwrap();
    let response = send(&admission(LIMIT), request).await;
    refused(&response, Code::DeadlineExceeded, "DEADLINE_PASSED");
    assert_eq!(began.elapsed().as_secs(), 3);
    drop(sender);
}

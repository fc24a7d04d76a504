//! What arrives instead of a request is bounded, and answered.

use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ddpm_client::proto::generate_event::Event;
use ddpm_client::proto::{CompileRequest, GenerateEvent, GenerateRequest};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use h2::client::SendRequest;
use http::{HeaderMap, Request, StatusCode};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::harness::{TestServer, glyphs, idle};
use crate::raw::{Raw, float_request};

const GENERATE: &str = "/ddpm.v1.SamplingService/Generate";

const COMPILE: &str = "/ddpm.v1.SamplingService/Compile";

/// A connection without a client of gRPC.
struct Http2(SendRequest<Bytes>);

/// An answer of HTTP.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Answer {
    fn grpc(&self) -> Status {
        let status = Status::from_header_map(&self.headers);
        status.or_else(|| Status::from_header_map(&self.trailers)).expect("it has a status")
    }

    /// Returns the messages in the body.
    fn messages(&self) -> Vec<&[u8]> {
        let (mut rest, mut messages) = (&self.body[..], Vec::new());
        while let Some(([0, len @ ..], after)) = rest.split_first_chunk::<5>() {
            let (message, after) = after.split_at(u32::from_be_bytes(*len) as usize);
            messages.push(message);
            rest = after;
        }
        assert!(rest.is_empty());
        messages
    }

    /// Asserts that the call was refused with this code and reason.
    #[track_caller]
    fn refused(&self, code: Code, reason: &str) -> Status {
        let status = self.grpc();
        assert_eq!(status.code(), code, "{status}");
        let info = status.get_details_error_info().expect("it has details");
        assert_eq!((info.domain.as_str(), info.reason.as_str()), ("ddpm", reason));
        status
    }
}

impl Http2 {
    async fn connect(server: &TestServer) -> Self {
        let address = server.address().strip_prefix("http://").unwrap();
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(sender.ready().await.unwrap())
    }

    /// Sends a request and reads its answer.
    async fn send(&mut self, request: http::request::Builder, body: Vec<u8>) -> Answer {
        let request = request.body(()).unwrap();
        let (answer, mut stream) = self.0.send_request(request, body.is_empty()).unwrap();
        if !body.is_empty() {
            stream.send_data(body.into(), true).unwrap();
        }
        let (parts, mut content) = answer.await.unwrap().into_parts();
        let mut body = Vec::new();
        while let Some(piece) = content.data().await {
            let piece = piece.unwrap();
            content.flow_control().release_capacity(piece.len()).unwrap();
            body.extend(piece);
        }
        let trailers = content.trailers().await.unwrap().unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body, trailers }
    }

    async fn call(&mut self, path: &str, body: Vec<u8>) -> Answer {
        self.send(call(path), body).await
    }

    /// Sends all of a body but its end.
    fn send_half(&mut self, body: Vec<u8>) -> (h2::client::ResponseFuture, h2::SendStream<Bytes>) {
        let request = call(GENERATE).body(()).unwrap();
        let (answer, mut stream) = self.0.send_request(request, false).unwrap();
        stream.send_data(body.into(), false).unwrap();
        (answer, stream)
    }
}

fn call(path: &str) -> http::request::Builder {
    let uri = format!("http://localhost{path}");
    let request = Request::builder().method("POST").uri(uri).header("te", "trailers");
    request.header("content-type", "application/grpc")
}

fn message(flag: u8, content: &[u8]) -> Vec<u8> {
    let len = (content.len() as u32).to_be_bytes();
    [&[flag], &len[..], content].concat()
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

fn few() -> GenerateRequest {
    GenerateRequest { num_steps: Some(3), ..float_request("toy", 3) }
}

#[tokio::test]
async fn a_compressed_request_is_answered_as_a_plain_one() {
    let server = TestServer::start(&[]);
    let mut http = Http2::connect(&server).await;
    let compile = CompileRequest { request: Some(few()) }.encode_to_vec();
    let plain = http.call(COMPILE, message(0, &compile)).await;
    assert_eq!(plain.grpc().code(), Code::Ok);
    let want = Raw::connect(&server).await.run(few()).await.samples;
    let encodings = [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("deflate", deflate)];
    for (encoding, compress) in encodings {
        let compressed = |path| call(path).header("grpc-encoding", encoding);
        let answer = http.send(compressed(COMPILE), message(1, &compress(&compile))).await;
        assert_eq!(answer.messages(), plain.messages(), "{encoding}");

        let request = message(1, &compress(&few().encode_to_vec()));
        let answer = http.send(compressed(GENERATE), request).await;
        assert_eq!(answer.grpc().code(), Code::Ok, "{encoding}");
        let events = answer.messages().into_iter().map(GenerateEvent::decode);
        let data: Vec<u8> = events
            .filter_map(|event| match event.unwrap().event {
                Some(Event::Samples(samples)) => samples.packed,
                _ => None,
            })
            .flat_map(|packed| packed.data)
            .collect();
        assert_eq!(data, want.values().flatten().copied().collect::<Vec<u8>>(), "{encoding}");
    }
}

#[tokio::test]
async fn what_becomes_too_large_is_refused() {
    let server = TestServer::start(&["--max-memory-mib", "64"]);
    let mut http = Http2::connect(&server).await;
    let before = server.resident_bytes();
    let bomb = message(1, &gzip(&vec![0; 17 << 20]));
    let request = call(GENERATE).header("grpc-encoding", "gzip");
    let answer = http.send(request, bomb).await;
    answer.refused(Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    // Empty ranges take two bytes each, and sixteen in memory.
    let ranges = [0x0a, 0x00].repeat(2 << 20);
    let mut list = vec![0x22];
    prost::encoding::encode_varint(ranges.len() as u64, &mut list);
    list.extend(ranges);
    let status = http.call(GENERATE, message(0, &list)).await.grpc();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "index_ranges.ranges");
    assert!(violations[0].description.contains("100000"), "{status}");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 100 << 20, "{} MiB", grown >> 20);
}

#[tokio::test]
async fn half_bodies_hold_no_more_than_the_limit_and_keep_nobody_out() {
    // An idle server measures the cost of calls, and large ones take memory of their own.
    let server = TestServer::start(&["--max-memory-mib", "32", "--max-batch", "2"]);
    server.sample(glyphs(1)).await;
    let before = server.resident_bytes();
    let mut http = Http2::connect(&server).await;
    let size = (16 << 20) - 8;
    let mut half = message(0, &vec![0; size]);
    half.pop();
    let halves: Vec<_> = (0..8).map(|_| http.send_half(half.clone())).collect();
    let began = Instant::now();
    let (mut refused, mut held) = (0, Vec::new());
    for (answer, stream) in halves {
        match tokio::time::timeout(Duration::from_secs(3), answer).await {
            Ok(answer) => {
                let status = Status::from_header_map(answer.unwrap().headers()).unwrap();
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                assert!(status.get_details_retry_info().is_some());
                refused += 1;
            }
            Err(_) => held.push(stream),
        }
    }
    assert!(refused >= 6 && !held.is_empty(), "{refused} in {:?}", began.elapsed());
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < (32 + 32) << 20, "{} MiB", grown >> 20);
    // A small request gets in, on this connection too.
    assert_eq!(server.sample(glyphs(1)).await.samples.len(), 1);
    let answer = http.call(GENERATE, message(0, &few().encode_to_vec())).await;
    assert_eq!(answer.grpc().code(), Code::Ok);
    drop((held, http));
    let client = server.client().await;
    while client.server_info().await.unwrap().load.held_bytes > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    idle(&client).await;
}

#[tokio::test]
async fn bytes_that_are_no_request_are_an_invalid_argument() {
    let server = TestServer::start(&[]);
    let mut http = Http2::connect(&server).await;
    for path in [GENERATE, COMPILE, "/ddpm.v1.SamplingService/Estimate"] {
        for body in [message(0, &[0xff; 20]), message(0, &vec![0xff; 100_000]), vec![0, 0, 0]] {
            http.call(path, body).await.refused(Code::InvalidArgument, "UNDECODABLE");
        }
        http.call(path, Vec::new()).await.refused(Code::InvalidArgument, "UNDECODABLE");
    }
    for method in
        ["ModelService/GetModel", "ModelService/ListModels", "ServerService/GetServerInfo"]
    {
        let answer = http.call(&format!("/ddpm.v1.{method}"), message(0, &[0xff; 20])).await;
        answer.refused(Code::InvalidArgument, "UNDECODABLE");
    }
}

#[tokio::test]
async fn a_message_over_the_limit_is_told_the_limit_at_once() {
    let server = TestServer::start(&[]);
    let mut http = Http2::connect(&server).await;
    // The prefix is enough.
    let (answer, _stream) = http.send_half(vec![0, 0x01, 0x00, 0x00, 0x01]);
    let answer = answer.await.unwrap();
    let status = Status::from_header_map(answer.headers()).unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "MESSAGE_TOO_LARGE");
    assert!(status.message().contains("16777216"), "{status}");
}

#[tokio::test]
async fn what_is_no_grpc_call_gets_an_answer_of_http() {
    let server = TestServer::start(&[]);
    let mut http = Http2::connect(&server).await;
    let uri = format!("http://localhost{GENERATE}");
    let answer = http.send(Request::builder().uri(&uri), Vec::new()).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers["allow"], "POST");
    assert!(String::from_utf8(answer.body).unwrap().contains("gRPC"));
    let json = Request::builder().method("POST").uri(&uri).header("content-type", "text/json");
    let answer = http.send(json, b"{}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // A load balancer that asks for a page of its own must not take an answer for health.
    let answer = http.send(Request::builder().uri("http://localhost/healthz"), Vec::new()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = http.call("/ddpm.v1.NoService/Method", message(0, b"")).await;
    assert_eq!(answer.grpc().code(), Code::Unimplemented);
}

//! Browsers, by hand: HTTP/1.1 and gRPC-web over real sockets.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Sends bytes over a new connection and reads until the server closes it.
async fn exchange(server: &Server, request: &str) -> String {
    let mut connection = server.connect().await;
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset closes it too.
    let _ = soon(connection.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

/// A gRPC-web call with an empty message.
fn call(path: &str, headers: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 5\r\n\
         content-type: application/grpc-web+proto\r\n{headers}\r\n\0\0\0\0\0"
    )
}

/// The body of an answer that says the same for ever, or waits for ever.
struct Endless {
    says: Option<Bytes>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        match &self.says {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes.clone())))),
            None => Poll::Pending,
        }
    }
}

/// Starts a transport whose calls are answered without an end.
async fn endless(bounds: Bounds, says: Option<Bytes>) -> (Transport, SocketAddr, Memory) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(move |_: Request<Body>| {
        let body = Body::new(Endless { says: says.clone() });
        std::future::ready(Ok(Response::new(body)))
    });
    let memory = memory();
    let web = Some(rules());
    let transport = Transport::start(listener, service, bounds, None, web, memory.clone());
    (transport, address, memory)
}

#[tokio::test]
async fn the_page_is_served_over_http_1() {
    let server = Server::start(bounds()).await;
    let answer = exchange(&server, &get("/", "127.0.0.1:1")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-security-policy: default-src 'none'"), "{answer}");
    assert!(answer.contains("<!doctype html>"), "{answer}");
    let answer = exchange(&server, &get("/nothing", "127.0.0.1:1")).await;
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[tokio::test]
async fn a_name_that_was_made_to_resolve_to_this_machine_gets_nothing() {
    let server = Server::start(bounds()).await;
    let answer = exchange(&server, &get("/", "evil.example")).await;
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");
    assert!(answer.contains("--allow-host evil.example"), "{answer}");
}

#[tokio::test]
async fn a_call_over_grpc_web_ends_with_its_status_in_the_form_of_the_web() {
    let server = Server::start(bounds()).await;
    let answer = exchange(&server, &call("/ddpm.v1.Nothing/Here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("content-type: application/grpc-web+proto"), "{answer}");
    assert!(answer.contains("grpc-status: 12"), "{answer}");
    let refused = exchange(&server, &call("/ddpm.v1.X/Y", "grpc-timeout: soon\r\n")).await;
    assert!(refused.contains("content-type: application/grpc-web+proto"), "{refused}");
    assert!(refused.contains("grpc-status: 3"), "{refused}");
    let health = exchange(&server, &call("/grpc.health.v1.Health/Check", "")).await;
    assert!(health.contains("grpc-status: 12"), "{health}");
    assert!(health.contains("only%20the%20services"), "{health}");
}

#[tokio::test]
async fn scripts_of_other_sites_get_nothing() {
    let server = Server::start(bounds()).await;
    let evil = "origin: http://evil.example\r\n";
    let answer = exchange(&server, &call("/ddpm.v1.ModelService/ListModels", evil)).await;
    assert!(answer.contains("grpc-status: 7"), "{answer}");
    assert!(answer.contains("content-type: application/grpc-web+proto"), "{answer}");
    assert!(!answer.contains("access-control"), "{answer}");
    let page = format!("GET / HTTP/1.1\r\nhost: [::1]\r\nconnection: close\r\n{evil}\r\n");
    let answer = exchange(&server, &page).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(!answer.contains("access-control"), "{answer}");
}

#[tokio::test]
async fn half_a_head_closes_its_connection_however_it_drips() {
    let soon = Duration::from_millis(300);
    let server = Server::start(Bounds { greeting: soon, frame: soon, ..bounds() }).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if connection.write_all(b"a: b\r\n").await.is_err() {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    server.settle(0).await;
}

#[tokio::test]
async fn a_connection_without_a_further_request_is_closed() {
    let server = Server::start(Bounds { frame: Duration::from_millis(200), ..bounds() }).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET /page/style.css HTTP/1.1\r\nhost: [::1]\r\n\r\n").await.unwrap();
    closed(connection).await;
    server.settle(0).await;
}

#[tokio::test]
async fn a_flood_of_requests_is_read_at_the_rate_of_control_frames() {
    let server = Server::start(Bounds { peer_frames: 1000, ..bounds() }).await;
    let head = "HEAD / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let flood = head.repeat(4000) + &get("/", "127.0.0.1");
    let began = Instant::now();
    let answer = exchange(&server, &flood).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 4001);
    // 2,000 at once, then 1,000 per second.
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_server_without_a_page_speaks_http_2_alone() {
    let server = Server::start_without_web(bounds()).await;
    let answer = exchange(&server, &get("/", "127.0.0.1")).await;
    assert!(!answer.contains("HTTP/1.1"), "{answer}");
    assert!(serves(&mut server.client().await).await);
}

#[tokio::test]
async fn an_answer_that_is_not_read_closes_its_connection_and_frees_what_it_held() {
    let bounds = Bounds { stall: Duration::from_millis(300), ..bounds() };
    let (transport, address, memory) = endless(bounds, Some(vec![7; 1 << 20].into())).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(call("/ddpm.v1.A/B", "").as_bytes()).await.unwrap();
    let mut begun = [0; 1000];
    soon(connection.read_exact(&mut begun)).await.unwrap();
    assert!(memory.held().readers > 0);
    soon(async {
        while transport.shared.table().connections() > 0 || memory.held().readers > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_has_nothing_to_say_yet_is_kept() {
    let bounds = Bounds { stall: Duration::from_millis(100), ..bounds() };
    let (transport, address, _) = endless(bounds, None).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(call("/ddpm.v1.A/B", "").as_bytes()).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(transport.shared.table().calls(), 1);
    // Its peer leaves, and it ends.
    drop(connection);
    soon(async {
        while transport.shared.table().calls() > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_stops_says_so_in_the_form_of_the_web() {
    let (transport, address, _) = endless(bounds(), None).await;
    let mut connection = TcpStream::connect(address).await.unwrap();
    connection.write_all(call("/ddpm.v1.A/B", "").as_bytes()).await.unwrap();
    soon(async {
        while transport.shared.table().calls() == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    transport.go_away();
    transport.stop();
    let mut answer = Vec::new();
    soon(connection.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    // A frame of trailers.
    assert!(answer.contains("\u{fffd}\0\0") && answer.contains("grpc-status:14"), "{answer}");
    soon(transport.close(Duration::from_secs(1))).await;
    assert_eq!(transport.shared.table().connections(), 0);
}

#[tokio::test]
async fn a_deadline_ends_a_call_over_grpc_web() {
    let server = Server::start(bounds()).await;
    // Without the rest of its message the call cannot be answered.
    let begun = call("/ddpm.v1.ModelService/ListModels", "grpc-timeout: 100m\r\n");
    let answer = exchange(&server, &begun[..begun.len() - 1]).await;
    assert!(answer.contains("grpc-status: 4"), "{answer}");
}

#[tokio::test]
async fn an_origin_that_was_named_reads_its_refusals_too() {
    let origins = vec!["http://other.example".parse().unwrap()];
    let web = WebRules { origins, ..rules() };
    let server = Server::start_with(bounds(), None, Some(web)).await;
    let origin = "origin: http://other.example\r\n";
    for path in ["/ddpm.v1.Nothing/Here", "/grpc.health.v1.Health/Check"] {
        let answer = exchange(&server, &call(path, origin)).await;
        let allowed = "access-control-allow-origin: http://other.example";
        assert!(answer.contains(allowed) && answer.contains("grpc-status: 12"), "{answer}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_read_to_its_end_so_that_its_sender_hears_why() {
    let server = Server::start(bounds()).await;
    let bytes = 20 << 20;
    let head = call("/ddpm.v1.SamplingService/Generate", "");
    let head = head.replace("content-length: 5", &format!("content-length: {}", bytes + 5));
    let mut connection = server.connect().await;
    let length = u32::try_from(bytes).unwrap().to_be_bytes();
    connection.write_all(&head.as_bytes()[..head.len() - 4]).await.unwrap();
    connection.write_all(&length).await.unwrap();
    // A browser reads when it has sent all.
    connection.write_all(&vec![0; bytes]).await.unwrap();
    let mut answer = Vec::new();
    soon(connection.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.contains("grpc-status: 8"), "{answer}");
}

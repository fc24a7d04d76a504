//! Browsers call over HTTP/1.1 and HTTP/2, and their connections are bounded.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ddpm_client::proto::ListModelsResponse;
use h2::client::SendRequest;
use prost::Message;

use crate::harness::{TestServer, glyphs};
use crate::http1::{Http1, LIST_MODELS, authority, call, get};

/// Opens a connection of HTTP/2.
async fn http2(server: &TestServer) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(authority(server)).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

#[tokio::test]
async fn the_page_is_served_over_http_2_too() {
    let server = TestServer::start(&[]);
    let request = http::Request::get(format!("{}/", server.address())).body(()).unwrap();
    let answer = http2(&server).await.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    let first = answer.into_body().data().await.unwrap().unwrap();
    assert!(first.to_ascii_lowercase().starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn a_grpc_service_that_is_not_there_is_unimplemented() {
    let server = TestServer::start(&[]);
    let mut sender = http2(&server).await;
    for path in ["/no.such.Service/Method", "/page/Method"] {
        let request = http::Request::post(format!("{}{path}", server.address()));
        let request = request.header("content-type", "application/grpc").header("te", "trailers");
        let (answer, mut body) = sender.send_request(request.body(()).unwrap(), false).unwrap();
        body.send_data(Bytes::from_static(&[0; 5]), true).unwrap();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.headers()["grpc-status"], "12", "{path}");
    }
}

#[test]
fn the_page_calls_our_services_and_no_others() {
    let server = TestServer::start(&[]);
    let models = call(&server, LIST_MODELS, &[]);
    assert_eq!((models.status, models.grpc_status()), (200, Some(0)), "{}", models.text());
    let models = ListModelsResponse::decode(models.messages()[0]).unwrap().models;
    let names: Vec<_> = models.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["glyphs", "toy"]);
    assert!(models.iter().all(|model| !model.samplers.is_empty()));

    for path in [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let answer = call(&server, path, &[]);
        assert_ne!(answer.grpc_status(), Some(0), "{path}: {}", answer.text());
        assert!((400..500).contains(&answer.status) || answer.grpc_status().is_some());
        assert!(answer.status != 200 || answer.messages().is_empty(), "{path}");
    }
    let unknown = call(&server, "/ddpm.v1.NoService/Method", &[]);
    assert_eq!(unknown.grpc_status(), Some(12), "{}", unknown.text());
}

#[tokio::test]
async fn without_a_page_only_grpc_is_left() {
    let server = TestServer::start(&["--no-page"]);
    let mut connection = Http1::connect(&server);
    connection.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let answer = connection.read(true);
    assert!(answer.is_none(), "{answer:?}");

    let mut sender = http2(&server).await;
    for path in ["/", "/page/style.css", "/contract.binpb"] {
        let request = http::Request::get(format!("{}{path}", server.address())).body(()).unwrap();
        let answer = sender.send_request(request, true).unwrap().0.await.unwrap();
        assert!(answer.status().is_client_error(), "{path}");
    }
    assert_eq!(server.sample(glyphs(2)).await.samples.len(), 2);
}

#[test]
fn half_a_head_ends_and_so_does_an_idle_connection() {
    let server = TestServer::start(&["--idle-seconds", "1"]);
    let mut half = Http1::connect(&server);
    half.write(b"GET / HTTP/1.1\r\nhost: loc").unwrap();
    let half = thread::spawn(move || half.closed());

    let mut idle = Http1::connect(&server);
    assert_eq!(idle.send("GET", "/", &[], b"").status, 200);
    // The connection is kept for a second request, and not for ever.
    assert_eq!(idle.send("HEAD", "/", &[], b"").status, 200);
    let idle = idle.closed();
    assert!(idle < Duration::from_secs(15), "{idle:?}");
    let half = half.join().unwrap();
    assert!(half < Duration::from_secs(15), "{half:?}");
}

#[tokio::test]
async fn slow_heads_do_not_stop_others() {
    let server = TestServer::start(&[]);
    let mut slow: Vec<Http1> = (0..64).map(|_| Http1::connect(&server)).collect();
    let client = server.client().await;
    for byte in b"GET" {
        for connection in &mut slow {
            connection.write(&[*byte]).unwrap();
        }
        let start = Instant::now();
        assert!(client.server_info().await.is_ok());
        assert_eq!(get(&server, "/", &[]).status, 200);
        assert_eq!(call(&server, LIST_MODELS, &[]).grpc_status(), Some(0));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(server.sample(glyphs(2)).await.samples.len(), 2);
}

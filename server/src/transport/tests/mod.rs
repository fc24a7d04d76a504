//! Real sockets against bounds that are short: what a peer does to itself, and what others notice.

use std::net::{IpAddr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tonic::Code;
use tonic::transport::server::TcpConnectInfo;
use tonic::transport::{Channel, Endpoint};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::server::HealthReporter;

use super::*;
use crate::deadline::Deadline;
use crate::principal::Principal;
use crate::web::Hosts;

mod peer;
use peer::Peer;

mod web;

/// A health service behind the transport.
struct Server {
    transport: Transport,
    address: SocketAddr,
    _health: HealthReporter,
}

impl Server {
    async fn start(bounds: Bounds) -> Self {
        Self::start_with(bounds, None, Some(rules())).await
    }

    async fn start_behind(bounds: Bounds, proxies: Option<TrustedProxies>) -> Self {
        Self::start_with(bounds, proxies, Some(rules())).await
    }

    async fn start_without_web(bounds: Bounds) -> Self {
        Self::start_with(bounds, None, None).await
    }

    async fn start_with(
        bounds: Bounds,
        proxies: Option<TrustedProxies>,
        web: Option<WebRules>,
    ) -> Self {
        let (health, service) = tonic_health::server::health_reporter();
        health.set_service_status("", ServingStatus::Serving).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Routes::default().add_service(service);
        let service = super::service(routes, &body::tests::layer());
        let transport = Transport::start(listener, service, bounds, proxies, web, memory());
        Self { transport, address, _health: health }
    }

    async fn client(&self) -> HealthClient<Channel> {
        let endpoint = Endpoint::new(format!("http://{}", self.address)).unwrap();
        HealthClient::new(endpoint.connect().await.unwrap())
    }

    /// Connects a peer that has sent its greeting.
    async fn peer(&self) -> Peer {
        Peer::greet(self.connect().await).await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    fn connections(&self) -> usize {
        self.transport.shared.table().connections()
    }

    /// Waits until as many connections are open.
    async fn settle(&self, connections: usize) {
        while self.connections() != connections {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn rules() -> WebRules {
    WebRules { hosts: Hosts::new(vec![], false), origins: vec![] }
}

fn memory() -> Memory {
    Memory::new(1 << 30)
}

fn bounds() -> Bounds {
    Bounds { connections: 100, peer_connections: 100, ..Bounds::default() }
}

fn everything() -> HealthCheckRequest {
    HealthCheckRequest { service: String::new() }
}

async fn serves(client: &mut HealthClient<Channel>) -> bool {
    client.check(everything()).await.is_ok()
}

/// Fails a test that would hang.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}

/// Waits until the server closes a connection.
async fn closed(mut connection: TcpStream) {
    // A reset closes it too.
    let _ = soon(connection.read_to_end(&mut Vec::new())).await;
}

#[tokio::test]
async fn silent_connections_are_closed_and_others_are_not() {
    let server = Server::start(Bounds { greeting: Duration::from_millis(200), ..bounds() }).await;
    let mut client = server.client().await;
    let silent = server.connect().await;
    closed(silent).await;
    assert!(serves(&mut client).await);
    server.settle(1).await;
}

#[tokio::test]
async fn half_a_header_block_closes_its_connection() {
    let server = Server::start(Bounds { frame: Duration::from_millis(200), ..bounds() }).await;
    let mut peer = server.peer().await;
    peer.send_frame(1, 0, 1, &[0x82]).await;
    soon(peer.closed()).await;
    server.settle(0).await;
}

#[tokio::test]
async fn connections_beyond_the_bound_of_a_peer_are_closed_at_once() {
    let server = Server::start(Bounds { peer_connections: 2, ..bounds() }).await;
    let (mut one, mut two) = (server.client().await, server.client().await);
    let _watches = (one.watch(everything()).await.unwrap(), two.watch(everything()).await.unwrap());
    closed(server.connect().await).await;
    assert!(serves(&mut one).await && serves(&mut two).await);
    drop(one);
}

#[tokio::test]
async fn a_trusted_proxy_is_not_held_to_the_bounds_of_a_peer() {
    let header = http::HeaderName::from_static("x-user");
    let proxies = TrustedProxies::new(&[IpAddr::from([127, 0, 0, 1])], header);
    let few = Bounds { peer_connections: 1, ..bounds() };
    let server = Server::start_behind(few, Some(proxies)).await;
    let mut clients = [server.client().await, server.client().await, server.client().await];
    for client in &mut clients {
        assert!(serves(client).await);
    }
}

#[tokio::test]
async fn a_new_client_is_served_while_silent_connections_fill_the_server() {
    let settled = Duration::from_millis(50);
    let server = Server::start(Bounds { connections: 20, settled, ..bounds() }).await;
    let mut old = server.client().await;
    assert!(serves(&mut old).await);
    let mut silent = Vec::new();
    for _ in 0..60 {
        silent.push(server.connect().await);
    }
    sleep(Duration::from_millis(100)).await;
    let mut new = soon(server.client()).await;
    assert!(soon(serves(&mut new)).await);
    assert!(soon(serves(&mut old)).await, "it had spoken, so the silent ones made room");
}

#[tokio::test]
async fn many_connections_that_come_and_go_leave_nothing_behind() {
    let server = Server::start(bounds()).await;
    for _ in 0..5 {
        let mut open = Vec::new();
        for _ in 0..60 {
            open.push(server.connect().await);
        }
        drop(open);
        soon(server.settle(0)).await;
    }
    assert!(serves(&mut server.client().await).await);
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go_away_and_a_watch_keeps_it() {
    let server = Server::start(Bounds { idle: Duration::from_millis(200), ..bounds() }).await;
    let mut watching = server.client().await;
    let mut watch = watching.watch(everything()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    let mut peer = server.peer().await;
    assert!(soon(peer.frame_of_kind(7)).await.is_some(), "GOAWAY");
    // It does not answer, and is closed.
    soon(peer.closed()).await;
    server.settle(1).await;
    assert!(serves(&mut watching).await);
}

#[tokio::test]
async fn calls_beyond_the_bound_are_refused_until_others_end() {
    let server =
        Server::start(Bounds { streams: 2, reserved_streams: 0, streams_for_few: 0, ..bounds() })
            .await;
    let mut client = server.client().await;
    let watch = client.watch(everything()).await.unwrap();
    let _other = client.watch(everything()).await.unwrap();
    let refused = client.check(everything()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("too many calls are open (2)"), "{refused}");
    drop(watch);
    soon(async { while !serves(&mut client).await {} }).await;
}

#[tokio::test]
async fn health_is_answered_while_watches_take_all_they_may() {
    let few = Bounds {
        streams: 6,
        reserved_streams: 4,
        streams_for_few: 0,
        principal_watches: 2,
        ..bounds()
    };
    let server = Server::start(few).await;
    let mut client = server.client().await;
    let _watches =
        [client.watch(everything()).await.unwrap(), client.watch(everything()).await.unwrap()];
    let refused = client.watch(everything()).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.message().contains("health watches of this client are open (2)"), "{refused}");
    assert!(serves(&mut client).await);
}

#[tokio::test]
async fn connections_that_only_watch_make_room_for_others() {
    let settled = Duration::from_millis(50);
    let server = Server::start(Bounds { connections: 3, settled, ..bounds() }).await;
    let mut watching = Vec::new();
    for _ in 0..3 {
        let mut client = server.client().await;
        let watch = client.watch(everything()).await.unwrap();
        watching.push((client, watch));
    }
    sleep(Duration::from_millis(100)).await;
    let mut new = soon(server.client()).await;
    assert!(soon(serves(&mut new)).await);
    soon(server.settle(3)).await;
}

#[tokio::test]
async fn a_displaced_connection_is_closed_whatever_it_calls() {
    let settled = Duration::from_millis(50);
    let server = Server::start(Bounds { connections: 1, settled, ..bounds() }).await;
    for path in ["/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/Check"] {
        let mut peer = server.peer().await;
        sleep(Duration::from_millis(100)).await;
        let _new = server.connect().await;
        assert!(soon(peer.frame_of_kind(7)).await.is_some(), "GOAWAY");
        // It does not obey. Without its message the call goes on.
        peer.begin_call(1, path, &[]).await;
        soon(peer.closed()).await;
        soon(server.settle(1)).await;
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn the_end_of_an_answer_that_is_not_read_resets_its_stream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Less than a piece: hyper hands it on, and then the end, at the first byte of window.
    let service = tower::service_fn(|_: Request<Body>| async {
        let body = http_body_util::Full::new(bytes::Bytes::from(vec![7; 8000]));
        let trailers = async { Some(Ok(http::HeaderMap::new())) };
        let body = http_body_util::BodyExt::with_trailers(body, trailers);
        Ok(Response::new(tonic::body::Body::new(body)))
    });
    let memory = memory();
    let bounds = Bounds { stall: Duration::from_millis(300), ..bounds() };
    let transport =
        Transport::start(listener, service, bounds, None, Some(rules()), memory.clone());
    let connection = TcpStream::connect(address).await.unwrap();
    // A window of one byte for every stream.
    let mut peer = Peer::greet_with(connection, &[0, 4, 0, 0, 0, 1]).await;
    peer.call(1, "/a/b").await;
    assert!(soon(peer.frame_of_kind(0)).await.is_some(), "DATA of one byte");
    assert_eq!(memory.held().readers, 8000);
    assert_eq!(transport.shared.table().streams(0), 1);
    assert!(soon(peer.frame_of_kind(3)).await.is_some(), "RST_STREAM");
    soon(async {
        while memory.held().readers > 0 || transport.shared.table().streams(0) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_resets_its_stream_and_no_other() {
    let server = Server::start(Bounds { stall: Duration::from_millis(300), ..bounds() }).await;
    // A window of nothing for every stream: answers cannot leave.
    let mut peer = Peer::greet_with(server.connect().await, &[0, 4, 0, 0, 0, 0]).await;
    peer.call(1, "/grpc.health.v1.Health/Check").await;
    peer.call(3, "/grpc.health.v1.Health/Check").await;
    let (_, stream, _) = soon(peer.frame_of_kind(3)).await.expect("RST_STREAM");
    assert_eq!(stream, 1);
    assert!(soon(peer.frame_of_kind(3)).await.is_some());
    soon(async {
        while server.transport.shared.table().streams(0) > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_frames_waits_and_does_not_delay_others() {
    let server = Server::start(Bounds { peer_frames: 200, ..bounds() }).await;
    let mut peer = server.peer().await;
    let start = Instant::now();
    let flood = async {
        for _ in 0..1200 {
            peer.send_frame(6, 0, 0, &[7; 8]).await;
        }
        for _ in 0..1200 {
            assert!(soon(peer.frame_of_kind(6)).await.is_some(), "an answered PING");
        }
        // 400 at once and the others at 200 per second, except for those read with them.
        assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    };
    let others = async {
        let endpoint = Endpoint::new(format!("http://{}", server.address)).unwrap();
        let other = endpoint.local_address(Some(IpAddr::from([127, 0, 0, 2])));
        let mut other = HealthClient::new(other.connect().await.unwrap());
        for _ in 0..20 {
            assert!(serves(&mut other).await);
        }
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    };
    tokio::join!(flood, others);
}

#[tokio::test]
async fn every_call_says_whom_it_is_for_where_from_and_until_when() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let header = http::HeaderName::from_static("x-user");
    let proxies = TrustedProxies::new(&[IpAddr::from([127, 0, 0, 2])], header);
    let (seen, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let service = tower::service_fn(move |request: Request<Body>| {
        let extensions = request.extensions();
        let principal = extensions.get::<Principal>().map(ToString::to_string);
        let remote = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        let deadline = extensions.get::<Deadline>().map(|deadline| deadline.0);
        seen.send((principal.unwrap(), remote.unwrap(), deadline)).unwrap();
        std::future::ready(Ok(tonic::Status::ok("").into_http()))
    });
    let _transport =
        Transport::start(listener, service, bounds(), Some(proxies), Some(rules()), memory());
    for (from, principal) in [([127, 0, 0, 1], "127.0.0.1"), ([127, 0, 0, 2], "ada")] {
        let endpoint = Endpoint::new(format!("http://{address}")).unwrap();
        let endpoint = endpoint.local_address(Some(IpAddr::from(from)));
        let mut client = HealthClient::new(endpoint.connect().await.unwrap());
        let mut request = tonic::Request::new(everything());
        request.set_timeout(Duration::from_secs(60));
        request.metadata_mut().insert("x-user", "eve, ada".parse().unwrap());
        let before = std::time::Instant::now();
        let _ = client.check(request).await;
        let (seen, remote, deadline) = calls.recv().await.unwrap();
        assert_eq!((seen.as_str(), remote.ip()), (principal, IpAddr::from(from)));
        let left = deadline.unwrap() - before;
        assert!((60..62).contains(&left.as_secs()), "{left:?}");
    }
}

#[tokio::test]
async fn a_malformed_timeout_is_refused_and_a_deadline_ends_a_call_without_answer() {
    let server = Server::start(bounds()).await;
    let mut client = server.client().await;
    let mut request = tonic::Request::new(everything());
    request.metadata_mut().insert("grpc-timeout", "soon".parse().unwrap());
    let refused = client.check(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("grpc-timeout"), "{refused}");

    let mut peer = server.peer().await;
    let timeout = (&b"grpc-timeout"[..], &b"100m"[..]);
    // Without its message the call cannot be answered.
    peer.begin_call(1, "/grpc.health.v1.Health/Check", &[timeout]).await;
    let (_, stream, _) = soon(peer.frame_of_kind(1)).await.expect("HEADERS");
    assert_eq!(stream, 1);
}

#[tokio::test]
async fn a_peer_that_is_told_to_call_elsewhere_is_served_until_its_calls_are_over() {
    let server = Server::start(bounds()).await;
    let mut client = server.client().await;
    let mut watch = client.watch(everything()).await.unwrap().into_inner();
    watch.message().await.unwrap();
    let mut idle = server.peer().await;
    server.settle(2).await;
    server.transport.go_away();
    assert!(soon(idle.frame_of_kind(7)).await.is_some(), "GOAWAY");
    // The first call on the old connection is answered, and others on a new one.
    assert!(serves(&mut client).await);
    assert!(serves(&mut server.client().await).await);

    server.transport.stop();
    let end = soon(watch.message()).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable, "{end}");
    soon(server.transport.close(Duration::from_secs(1))).await;
    assert_eq!(server.connections(), 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

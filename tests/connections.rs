//! Connections that do nothing, or too much, are bounded, and others are served meanwhile.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ddpm_client::{Client, Options};

use crate::harness::{TestServer, fails_to_start};

/// What an HTTP/2 client sends first: the preface and empty SETTINGS.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The head of a HEADERS frame of 16 bytes on stream 1 and the first byte of its payload.
const HALF_HEADERS: &[u8] = b"\0\0\x10\x01\x04\0\0\0\x01\x82";

fn connect(server: &TestServer) -> TcpStream {
    let address = server.address().strip_prefix("http://").unwrap();
    let connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    connection
}

/// Waits until the server closes the connection; returns how long that took.
fn closed(mut connection: TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = [0; 1024];
    // A reset closes it too; a timeout does not.
    while !matches!(connection.read(&mut buffer), Ok(0) | Err(_)) {}
    start.elapsed()
}

async fn answers(client: &Client) -> bool {
    client.server_info().await.is_ok()
}

#[tokio::test]
async fn silent_connections_and_half_requests_are_closed_within_ten_seconds() {
    let server = TestServer::start(&[]);
    let client = server.client().await;
    assert!(answers(&client).await);
    let silent = connect(&server);
    let mut half = connect(&server);
    half.write_all(&[GREETING, HALF_HEADERS].concat()).unwrap();
    let waits = [silent, half].map(|connection| thread::spawn(move || closed(connection)));
    for wait in waits {
        let seconds = wait.join().unwrap().as_secs_f64();
        assert!((8.0..15.0).contains(&seconds), "{seconds}");
    }
    assert!(answers(&client).await);
}

#[tokio::test]
async fn a_peer_gets_so_many_connections_and_others_theirs() {
    let server = TestServer::start(&["--max-peer-connections", "3"]);
    let client = server.client().await;
    assert!(answers(&client).await);
    let mine = [connect(&server), connect(&server)];
    // The bound is not reached by two more, and by the next.
    assert!(closed(connect(&server)) < Duration::from_secs(5));
    assert!(answers(&client).await);
    // Those that have said nothing for a second make room.
    thread::sleep(Duration::from_millis(1100));
    let later = Client::connect(server.address(), Options::default()).await.unwrap();
    assert!(answers(&later).await && answers(&client).await);
    drop(mine);
    drop(client);
    let (_, log) = {
        server.signal("TERM");
        server.wait()
    };
    assert!(log.contains("--max-peer-connections"), "{log}");
}

#[tokio::test]
async fn health_is_answered_during_a_flood_of_resets() {
    let server = TestServer::start(&[]);
    let flood = connect(&server);
    let mut sender = flood.try_clone().unwrap();
    // An endless series of empty SETTINGS, PINGs and resets of a stream that never was.
    let frames = [
        &b"\0\0\0\x04\0\0\0\0\0"[..],
        b"\0\0\x08\x06\0\0\0\0\x0012345678",
        b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
    ]
    .concat();
    let sending = thread::spawn(move || {
        let _ = sender.write_all(GREETING);
        let many = frames.repeat(500);
        while sender.write_all(&many).is_ok() {}
    });
    let mut reader = flood.try_clone().unwrap();
    let reading = thread::spawn(move || while matches!(reader.read(&mut [0; 4096]), Ok(1..)) {});
    let client = server.client().await;
    for _ in 0..20 {
        let start = Instant::now();
        assert!(answers(&client).await);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
    let _ = flood.shutdown(Shutdown::Both);
    sending.join().unwrap();
    reading.join().unwrap();
}

#[tokio::test]
async fn a_name_of_this_machine_can_be_listened_on() {
    let server = TestServer::start(&["--listen", "localhost:0"]);
    assert!(answers(&server.client().await).await);
}

#[test]
fn a_taken_port_is_said_before_models_are_loaded() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let start = Instant::now();
    // The folder of models does not exist, and that is not what it says.
    let (code, log) = fails_to_start(&["--listen", &address, "--models", "/nonexistent"]);
    assert_eq!(code, 1, "{log}");
    assert!(log.contains(&format!("cannot listen on {address}")), "{log}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

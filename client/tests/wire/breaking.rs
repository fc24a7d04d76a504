//! A server whose first connection breaks in a chosen way during its first answer; every later
//! connection leads to a [`Mock`](crate::mock::Mock).

use std::net::SocketAddr;

use bytes::{BufMut, Bytes, BytesMut};
use ddpm_client::proto as v1;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use prost::Message;
use tokio::net::{TcpListener, TcpStream};
use tonic::codegen::http::{HeaderMap, Request, Response};

use crate::mock::answer;

/// How an answer breaks after `accepted` and one sample.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Break {
    /// RST_STREAM.
    Reset(Reason),
    /// GOAWAY with this reason, at once.
    GoAway(Reason),
    /// The connection closes.
    Close,
}

/// Starts the server and returns its address; it leads later connections to `mock`.
pub(crate) async fn start(how: Break, mock: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        tokio::spawn(serve_and_break(first, how));
        while let Ok((mut later, _)) = listener.accept().await {
            let mut mock = TcpStream::connect(mock).await.unwrap();
            tokio::spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut later, &mut mock).await;
            });
        }
    });
    address
}

/// Answers the first call, for the limits, and breaks the second.
async fn serve_and_break(socket: TcpStream, how: Break) {
    let mut connection = h2::server::handshake(socket).await.unwrap();
    let (_, mut call) = connection.accept().await.unwrap().unwrap();
    respond(&mut call, &[encode(&info())], true);
    let (request, mut call) = connection.accept().await.unwrap().unwrap();
    let request = read(request, &mut connection).await;
    let events: Vec<Bytes> = answer(&request).iter().take(2).map(encode).collect();
    let stream = respond(&mut call, &events, false);
    // What was sent before must be on its way.
    flush(&mut connection).await;
    match how {
        Break::Close => return,
        Break::Reset(reason) => {
            stream.unwrap().send_reset(reason);
            // No further stream on this connection.
            flush(&mut connection).await;
            connection.graceful_shutdown();
        }
        Break::GoAway(reason) => connection.abrupt_shutdown(reason),
    }
    while connection.accept().await.is_some() {}
}

/// Sends `messages`, and the end of the answer unless it is to break.
fn respond(
    call: &mut SendResponse<Bytes>,
    messages: &[Bytes],
    whole: bool,
) -> Option<h2::SendStream<Bytes>> {
    let head = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    let mut stream = call.send_response(head, false).unwrap();
    for message in messages {
        stream.send_data(message.clone(), false).unwrap();
    }
    if !whole {
        return Some(stream);
    }
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    stream.send_trailers(trailers).unwrap();
    None
}

async fn read(
    request: Request<h2::RecvStream>,
    connection: &mut Connection<TcpStream, Bytes>,
) -> v1::GenerateRequest {
    let mut body = request.into_body();
    let mut bytes = BytesMut::new();
    loop {
        tokio::select! {
            chunk = body.data() => match chunk {
                Some(chunk) => bytes.extend_from_slice(&chunk.unwrap()),
                None => break,
            },
            _ = connection.accept() => {}
        }
    }
    v1::GenerateRequest::decode(&bytes[5..]).unwrap()
}

async fn flush(connection: &mut Connection<TcpStream, Bytes>) {
    let moment = std::time::Duration::from_millis(50);
    let _ = tokio::time::timeout(moment, connection.accept()).await;
}

/// Frames a message as gRPC does: not compressed, length, bytes.
fn encode(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len() as u32);
    message.encode(&mut bytes).unwrap();
    bytes.freeze()
}

fn info() -> v1::GetServerInfoResponse {
    v1::GetServerInfoResponse {
        device: Some(v1::Device::default()),
        limits: Some(v1::Limits::default()),
        load: Some(v1::Load::default()),
        ..Default::default()
    }
}

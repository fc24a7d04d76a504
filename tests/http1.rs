//! HTTP/1.1 by hand, as a browser or somebody who means harm writes it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::TestServer;

/// A call that any server answers.
pub(crate) const LIST_MODELS: &str = "/ddpm.v1.ModelService/ListModels";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Returns a header by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the names of all headers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the status of a gRPC-web call: in the headers, or in the last part of the body.
    pub(crate) fn grpc_status(&self) -> Option<u32> {
        let trailers = self.parts().into_iter().filter(|(flag, _)| flag & 0x80 != 0);
        let trailers: String =
            trailers.map(|(_, part)| String::from_utf8_lossy(part).to_lowercase()).collect();
        let lines = || trailers.lines().filter_map(|line| line.split_once(':'));
        let trailer = lines().find(|(name, _)| *name == "grpc-status").map(|(_, value)| value);
        self.header("grpc-status").or(trailer)?.trim().parse().ok()
    }

    /// Returns the messages of a gRPC-web call.
    pub(crate) fn messages(&self) -> Vec<&[u8]> {
        let parts = self.parts().into_iter().filter(|(flag, _)| flag & 0x80 == 0);
        parts.map(|(_, part)| part).collect()
    }

    /// Splits the body of a gRPC-web call into flags and contents.
    fn parts(&self) -> Vec<(u8, &[u8])> {
        let (mut rest, mut parts) = (&self.body[..], Vec::new());
        while let Some(([flag, len @ ..], after)) = rest.split_first_chunk::<5>() {
            let len = u32::from_be_bytes(*len) as usize;
            let Some((part, after)) = after.split_at_checked(len) else { break };
            parts.push((*flag, part));
            rest = after;
        }
        parts
    }
}

/// A connection.
pub(crate) struct Http1(BufReader<TcpStream>);

impl Http1 {
    pub(crate) fn connect(server: &TestServer) -> Self {
        let connection = TcpStream::connect(authority(server)).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(BufReader::new(connection))
    }

    /// Sends bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// Sends a request and reads its answer. The host is the server's unless headers name it.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| *name == "host") {
            let address = self.0.get_ref().peer_addr().unwrap();
            head += &format!("host: {address}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        self.write(&[head.as_bytes(), body].concat()).unwrap();
        self.read(method != "HEAD").unwrap()
    }

    /// Reads an answer; `None` if the connection is closed instead.
    ///
    /// * `has_body`: whether one may follow; none follows an answer to HEAD.
    pub(crate) fn read(&mut self, has_body: bool) -> Option<Answer> {
        let first = self.line()?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        if !has_body || matches!(status, 204 | 304) {
            return Some(answer);
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).ok()?;
                let mut chunk = vec![0; size + 2];
                self.0.read_exact(&mut chunk).ok()?;
                answer.body.extend(&chunk[..size]);
                if size == 0 {
                    break;
                }
            }
        } else {
            let length = answer.header("content-length").unwrap_or("0").parse().ok()?;
            answer.body = vec![0; length];
            self.0.read_exact(&mut answer.body).ok()?;
        }
        Some(answer)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// Waits until the server closes the connection; returns how long that took.
    pub(crate) fn closed(mut self) -> Duration {
        let start = Instant::now();
        // A reset closes it too; a timeout does not.
        while matches!(self.0.read(&mut [0; 1024]), Ok(1..)) {}
        start.elapsed()
    }
}

/// Sends a request over a connection of its own.
pub(crate) fn send(
    server: &TestServer,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    Http1::connect(server).send(method, path, headers, body)
}

/// Asks for a file.
pub(crate) fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(server, "GET", path, headers, b"")
}

/// Makes a gRPC-web call with an empty message.
pub(crate) fn call(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    let web = [("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
    send(server, "POST", path, &[&web, headers].concat(), &[0; 5])
}

/// Returns host and port of a server.
pub(crate) fn authority(server: &TestServer) -> &str {
    server.address().strip_prefix("http://").unwrap()
}

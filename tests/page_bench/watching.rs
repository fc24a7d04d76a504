//! Figure 5: what the server spends on those who watch.
//!
//! The very request that the page sends is sent again, with its previews and without them, by a
//! client that reads like a browser (gRPC-web over HTTP/1.1) and draws nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ddpm_proto::v1::GenerateRequest;
use ddpm_tests::load::{connect, load, median};
use ddpm_tests::report::{Verdict, list};
use prost::Message;

use crate::Bench;
use crate::page::{Page, Settings};

/// Most that previews may add to the processor time of an eval, as a share.
const GOAL: f64 = 0.05;

/// Before the message: a byte of flags and four of its length.
const PREFIX: usize = 5;

/// Where the trailers of gRPC-web are: within the last bytes of an answer.
const TRAILERS: usize = 200;

/// Compares a request with previews and without, in turns.
pub(crate) fn watching(bench: &Bench) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let run = Page::open(bench, Settings::GLYPHS).run()?;
    let watched = GenerateRequest::decode(message(&run.request)?.as_slice())?;
    let unwatched = GenerateRequest { preview: None, ..watched.clone() };
    let preview = watched.preview.as_ref().context("the page asks for previews")?;
    verdict.note(format!("the page asks for {preview:?}"));

    let pairs = bench.options.pick(10, 3);
    let (mut ratios, mut with, mut without) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        let mut costs = [0.0; 2];
        // Each of the two goes first in every other pair.
        for side in [pair % 2, (pair + 1) % 2] {
            costs[side] = cost(bench, [&watched, &unwatched][side])?;
        }
        ratios.push(costs[0] / costs[1]);
        with.push(costs[0]);
        without.push(costs[1]);
    }
    let more = median(&ratios) - 1.0;
    verdict.line(
        format!("previews add at most {:.0} % to the processor time of an eval", 100.0 * GOAL),
        format!("{:+.1} % (median of {pairs} pairs)", 100.0 * more),
        more <= GOAL,
    );
    verdict.note(format!(
        "{:.1} µs of an eval with previews, {:.1} µs without; ratios of the pairs: {}",
        median(&with),
        median(&without),
        list(&ratios, 3)
    ));
    Ok(verdict)
}

/// Decodes the bytes of a request that was recorded in hex.
fn message(hex: &str) -> anyhow::Result<Vec<u8>> {
    let byte = |place: usize| u8::from_str_radix(hex.get(place..place + 2).unwrap_or(""), 16);
    let bytes: Result<Vec<u8>, _> = (0..hex.len()).step_by(2).map(byte).collect();
    let bytes = bytes.context("the page's request is recorded")?;
    ensure!(bytes.len() > PREFIX, "the page's request was not seen");
    Ok(bytes[PREFIX..].to_vec())
}

/// Returns the processor time of the server for an eval of a request, in µs.
fn cost(bench: &Bench, request: &GenerateRequest) -> anyhow::Result<f64> {
    let least = Duration::from_secs(bench.options.pick(4, 2));
    let (time_before, evals_before) = (bench.server.processor_time()?, evals(bench)?);
    let start = Instant::now();
    while start.elapsed() < least {
        read_and_drop(bench.server.address(), request)?;
    }
    let time = bench.server.processor_time()? - time_before;
    Ok(1e6 * time.as_secs_f64() / (evals(bench)? - evals_before) as f64)
}

/// Returns the evals that the server has done.
fn evals(bench: &Bench) -> anyhow::Result<u64> {
    let server = bench.server.address();
    let load = async { load(&connect(server, server.ip()).await?).await };
    Ok(bench.browser.block_on(load)?.evals)
}

/// Sends a request as a browser does, and reads the whole answer.
///
/// # Errors
///
/// The server does not answer, or not with the status OK.
fn read_and_drop(server: SocketAddr, request: &GenerateRequest) -> anyhow::Result<()> {
    let message = request.encode_to_vec();
    let mut stream = TcpStream::connect(server)?;
    let head = format!(
        "POST /ddpm.v1.SamplingService/Generate HTTP/1.1\r\nHost: {server}\r\n\
         Content-Type: application/grpc-web+proto\r\nX-Grpc-Web: 1\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        PREFIX + message.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&[0])?;
    stream.write_all(&u32::try_from(message.len())?.to_be_bytes())?;
    stream.write_all(&message)?;
    let mut end = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = stream.read(&mut buffer)?;
        if length == 0 {
            break;
        }
        end.extend_from_slice(&buffer[..length]);
        end.drain(..end.len().saturating_sub(TRAILERS));
    }
    let end = String::from_utf8_lossy(&end).replace(": ", ":").to_lowercase();
    ensure!(end.contains("grpc-status:0"), "the server refuses the page's request: {end}");
    Ok(())
}

//! Figure 8: what the server gained was not paid for with speed. Two builds are measured in turns,
//! in one run.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ddpm_proto::v1;
use ddpm_proto::v1::sampling_service_client::SamplingServiceClient;
use ddpm_tests::load::{Load, Shape, load, median, request};
use ddpm_tests::report::{Verdict, list};
use rustix::process::Signal;
use tonic::transport::Channel;

use crate::job::{idle, saturation};
use crate::options::Options;
use crate::server::{Server, Setup};

/// What the newer build may lose, as a share: about what two runs of one build differ by.
const NOISE: f64 = 0.01;

/// Points of a request for the toy.
const POINTS: u32 = 1000;

/// What one build did in its turn.
#[derive(Debug, Clone, Copy)]
struct Figures {
    /// Evals of glyphs per second.
    evals: f64,
    /// Seconds outside of the network per eval, for the toy: as a share of the time, a faster
    /// network would look like a larger overhead.
    overhead: f64,
    /// Evals of the toy per second.
    toy: f64,
    /// The same with previews of every step. What is outside of the network is no figure then: on
    /// two cores most of it is waiting for those who encode the previews, and a faster network
    /// leaves them less time beside it.
    watched: f64,
}

/// Measures the baseline and the server in turns.
pub(crate) async fn paired(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let Some(baseline) = &options.baseline else {
        verdict.note("`--baseline PATH` names the older server; without it nothing is compared");
        return Ok(verdict);
    };
    let (old, new) = (start(options, baseline).await?, start(options, &options.server).await?);
    for server in [&old, &new] {
        server.signal(Signal::STOP)?;
    }
    let (mut befores, mut afters) = (Vec::new(), Vec::new());
    for pair in 0..options.pick(11, 3) {
        // Every second pair the other way round: the machine's speed drifts.
        if pair % 2 == 0 {
            befores.push(turn(options, &old).await?);
            afters.push(turn(options, &new).await?);
        } else {
            afters.push(turn(options, &new).await?);
            befores.push(turn(options, &old).await?);
        }
    }
    // One pair for the caches of both.
    let pairs = || befores.iter().zip(&afters).skip(1);
    let ratios = |figure: fn(&Figures) -> f64| -> Vec<f64> {
        pairs().map(|(before, after)| figure(after) / figure(before)).collect()
    };
    let speed = ratios(|figures| figures.evals);
    verdict.line(
        "evals/s at saturation no worse than the baseline's",
        format!("{:.3}x, median of {}: {}", median(&speed), speed.len(), list(&speed, 3)),
        median(&speed) >= 1.0 - NOISE,
    );
    let overhead = ratios(|figures| figures.overhead);
    let toy = ratios(|figures| figures.toy);
    let watched = ratios(|figures| figures.watched);
    let per_eval: Vec<f64> = afters.iter().map(|figures| 1e6 * figures.overhead).collect();
    verdict.line(
        "the toy's overhead no worse than the baseline's",
        format!(
            "{:.3}x, median of {}: {}; {:.2} us per eval; the toy runs at {:.3}x",
            median(&overhead),
            overhead.len(),
            list(&overhead, 3),
            median(&per_eval),
            median(&toy)
        ),
        median(&overhead) <= 1.0 + NOISE,
    );
    verdict.line(
        "the toy with previews of every step no slower than the baseline's",
        format!("{:.3}x, median of {}: {}", median(&watched), watched.len(), list(&watched, 3)),
        median(&watched) >= 1.0 - NOISE,
    );
    for server in [old, new] {
        server.signal(Signal::CONT)?;
        server.kill().await?;
    }
    Ok(verdict)
}

async fn start(options: &Options, program: &Path) -> anyhow::Result<Server> {
    let options = options.with_server(program)?;
    Server::start(&options, &Setup::default()).await
}

/// Lets one build run alone: the other one is stopped, so that it cannot even measure its own
/// costs.
async fn turn(options: &Options, server: &Server) -> anyhow::Result<Figures> {
    server.signal(Signal::CONT)?;
    let channel = server.connect(2).await?;
    let seconds = Duration::from_secs(options.pick(8, 3));
    let evals = saturation(&channel, seconds).await?;
    let (overhead, toy) = toy_alone(&channel, seconds, false).await?;
    let (_, watched) = toy_alone(&channel, seconds, true).await?;
    drop(channel);
    server.signal(Signal::STOP)?;
    Ok(Figures { evals, overhead, toy, watched })
}

/// Runs the toy until it was active for `time`; returns the seconds outside of the network per
/// eval, and the evals per second.
async fn toy_alone(channel: &Channel, time: Duration, watched: bool) -> anyhow::Result<(f64, f64)> {
    let shape = Shape { model: "toy".to_owned(), ..Shape::glyphs(POINTS, 100) };
    let preview = v1::PreviewOptions { every_steps: 1, ..Default::default() };
    let preview = watched.then_some(preview);
    let request = v1::GenerateRequest { preview, ..request(&shape, 1) };
    let before = load(channel).await?;
    loop {
        let service = SamplingServiceClient::new(channel.clone());
        let mut service = service.max_decoding_message_size(64 << 20);
        let mut events = service.generate(request.clone()).await?.into_inner();
        while events.message().await?.is_some() {}
        idle(channel).await?;
        let after = load(channel).await?;
        let active =
            seconds(&after, |load| load.active_time)? - seconds(&before, |load| load.active_time)?;
        if active >= time.as_secs_f64() {
            let busy =
                seconds(&after, |load| load.busy_time)? - seconds(&before, |load| load.busy_time)?;
            let evals = (after.evals - before.evals) as f64;
            return Ok(((active - busy) / evals, evals / active));
        }
    }
}

fn seconds(load: &Load, figure: fn(&Load) -> Option<prost_types::Duration>) -> anyhow::Result<f64> {
    let time = figure(load).context("the server does not say its times")?;
    Ok(time.seconds as f64 + f64::from(time.nanos) / 1e9)
}

//! Figure 6: the expected time to the end is right.

use std::time::Duration;

use ddpm_tests::load::{Call, Outcome, Planned, Reader, Record, Shape, quantile};
use ddpm_tests::machine::Burners;
use ddpm_tests::report::Verdict;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::job::idle;
use crate::options::Options;
use crate::server::{Server, Setup};

/// Largest error at p90, as a share of the time that it took.
const MOST: f64 = 0.15;

/// Samples and steps of the requests that are made alone.
const SHAPES: [(u32, u32); 8] =
    [(1, 250), (4, 50), (16, 10), (16, 50), (64, 10), (64, 50), (256, 10), (8, 200)];

/// Compares what `accepted` says with what it took, after a start on an idle machine and after one
/// under full load.
pub(crate) async fn eta(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    for busy in [false, true] {
        let burners = busy.then(Burners::start).transpose()?;
        let server = Server::start(options, &Setup::default()).await?;
        drop(burners);
        let channel = server.connect(2).await?;
        let mut records = Vec::new();
        for round in 0..options.pick(3, 1) {
            records.extend(one_by_one(&channel, round).await?);
            records.extend(together(&channel, round).await?);
        }
        judge(&records, busy, &mut verdict);
        server.kill().await?;
    }
    Ok(verdict)
}

/// Makes requests alone, the first right after the start.
async fn one_by_one(channel: &Channel, round: u64) -> anyhow::Result<Vec<Record>> {
    let mut records = Vec::new();
    for (samples, steps) in SHAPES {
        records.push(call(channel, Shape::glyphs(samples, steps), round).run().await);
        idle(channel).await?;
    }
    Ok(records)
}

/// Makes four requests at once, after which nothing else arrives; only the last one knows of all
/// others.
async fn together(channel: &Channel, round: u64) -> anyhow::Result<Vec<Record>> {
    let mut calls = JoinSet::new();
    let mut last = None;
    for (number, (samples, steps)) in
        [(32, 50), (8, 100), (64, 20), (48, 50)].into_iter().enumerate()
    {
        let made = call(channel, Shape::glyphs(samples, steps), round);
        if number == 3 {
            last = Some(made.run().await);
        } else {
            calls.spawn(made.run());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    calls.join_all().await;
    idle(channel).await?;
    Ok(last.into_iter().collect())
}

fn call(channel: &Channel, shape: Shape, seed: u64) -> Call {
    let reader = Reader::Eager;
    let planned = Planned { at: Duration::ZERO, shape, reader, seed, deadline: None };
    Call::new(channel.clone(), planned, Instant::now())
}

fn judge(records: &[Record], busy: bool, verdict: &mut Verdict) {
    let (mut errors, mut silent) = (Vec::new(), 0);
    let mut texts = Vec::new();
    for record in records {
        let accepted = record.first_event.unwrap_or(record.end);
        let took = (record.end.saturating_sub(accepted)).as_secs_f64();
        match record.eta {
            Some(eta) if record.outcome == Outcome::Completed => {
                errors.push((eta.as_secs_f64() - took).abs() / took);
                let shape = &record.planned.shape;
                let (samples, steps) = (shape.samples, shape.steps);
                texts.push(format!("{samples}x{steps}: {:.2}/{took:.2}", eta.as_secs_f64()));
            }
            _ => silent += 1,
        }
    }
    let name = if busy { "a start under full load" } else { "an idle start" };
    verdict.note(format!("after {name}, expected / real seconds: {}", texts.join(", ")));
    let p90 = quantile(&errors, 0.9);
    verdict.line(
        format!("after {name}, ETA is wrong by at most 15 % at p90"),
        format!("{:.0} % of {} requests; {silent} without", 100.0 * p90, errors.len()),
        p90 <= MOST && silent == 0,
    );
}

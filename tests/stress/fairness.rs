//! Figure 2: a small request does not feel a big one, and two hundred requests get no more than
//! one.

use std::time::Duration;

use ddpm_tests::load::{Mix, Outcome, Planned, Record, Shape, load, open_loop, quantile};
use ddpm_tests::machine::Burners;
use ddpm_tests::report::{Verdict, list};
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::job::{Job, idle, throughput};
use crate::options::Options;
use crate::server::{Server, Setup};

/// Steps of a client's one sample.
const STEPS: u32 = 50;

/// Share of the capacity that the clients ask for.
const SHARE: f64 = 0.2;

/// What clients beside the job may wait, in times of what they wait without it.
const MOST: f64 = 2.0;

/// Share of the rest that the job keeps at least.
const KEEPS: f64 = 0.9;

/// Largest difference between principals, as a share.
const EVEN: f64 = 0.05;

/// What one start of the server gave.
#[derive(Debug)]
struct Start {
    alone: f64,
    beside: f64,
    kept: f64,
    unexpected: usize,
}

/// Parts of a measurement.
const PARTS: u32 = 4;

/// Measures both promises on several starts of the server, every second one while other processes
/// use all cores.
pub(crate) async fn fairness(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut starts = Vec::new();
    for number in 0..options.starts {
        let busy = number % 2 == 1;
        let server = start(options, busy).await?;
        let start = beside_a_job(options, &server, number as u64).await?;
        verdict.note(format!(
            "start {number}{}: p99 alone {:.0} ms, beside the job {:.0} ms ({:.2}x); the job kept \
             {:.3} of the rest",
            if busy { " under load" } else { "" },
            1e3 * start.alone,
            1e3 * start.beside,
            start.beside / start.alone,
            start.kept,
        ));
        starts.push(start);
        server.kill().await?;
    }
    let ratios: Vec<f64> = starts.iter().map(|start| start.beside / start.alone).collect();
    let kept: Vec<f64> = starts.iter().map(|start| start.kept).collect();
    let unexpected: usize = starts.iter().map(|start| start.unexpected).sum();
    let worst = ratios.iter().copied().fold(0.0, f64::max);
    let least = kept.iter().copied().fold(f64::INFINITY, f64::min);
    verdict.line(
        format!("p99 of one sample beside 10,000 at most {MOST}x, {} starts", starts.len()),
        format!("worst {worst:.2}x; by start: {}", list(&ratios, 2)),
        worst <= MOST,
    );
    verdict.line(
        format!("the job keeps at least {KEEPS} of the rest"),
        format!("least {least:.3}; by start: {}", list(&kept, 3)),
        least >= KEEPS,
    );
    verdict.line("every client is served", format!("{unexpected} were not"), unexpected == 0);
    two_principals(options, &mut verdict).await?;
    Ok(verdict)
}

async fn start(options: &Options, busy: bool) -> anyhow::Result<Server> {
    let burners = busy.then(Burners::start).transpose()?;
    let server = Server::start(options, &Setup::default()).await?;
    drop(burners);
    Ok(server)
}

/// Runs the same arrivals without and with a job of 10,000 samples.
async fn beside_a_job(options: &Options, server: &Server, number: u64) -> anyhow::Result<Start> {
    let observer = server.observer().await?;
    let owner = server.connect(2).await?;
    let mut clients: Vec<Channel> = Vec::new();
    for last in 10..18 {
        clients.push(server.connect(last).await?);
    }
    let (length, calibration) = options.pick((40, 4), (15, 3));
    let [length, calibration] = [length, calibration].map(Duration::from_secs);
    let job = || Job::start(&owner, Shape::glyphs(10_000, STEPS), 3);

    let mut large = job();
    large.runs().await?;
    sleep(Duration::from_secs(1)).await;
    let speed = throughput(&observer, calibration).await?;
    drop(large);
    idle(&observer).await?;

    let rate = SHARE * speed / f64::from(STEPS);
    let plan = in_parts(Mix::only(1, STEPS).plan(rate, length, options.seed + number), length);
    let mut alone = Vec::new();
    for part in &plan {
        alone.extend(open_loop(&clients, part).await);
    }
    idle(&observer).await?;

    let mut large = job();
    large.runs().await?;
    sleep(Duration::from_secs(1)).await;
    let (mut beside, mut kept, mut rest) = (Vec::new(), 0.0, 0.0);
    let mut before = throughput(&observer, calibration).await?;
    for part in &plan {
        let (counted, from) = (load(&observer).await?.evals, Instant::now());
        let records = open_loop(&clients, part).await;
        let (done, time) = (load(&observer).await?.evals - counted, from.elapsed().as_secs_f64());
        let after = throughput(&observer, calibration).await?;
        let clients_evals = records.iter().map(|record| record.evals).sum::<u64>() as f64;
        kept += done as f64 - clients_evals;
        // What the job gets when nobody else asks, right before and right after.
        rest += f64::midpoint(before, after) * time - clients_evals;
        beside.extend(records);
        before = after;
    }
    drop(large);
    idle(&observer).await?;

    let unexpected = |records: &[Record]| {
        records.iter().filter(|record| record.outcome != Outcome::Completed).count()
    };
    Ok(Start {
        alone: p99(&alone),
        beside: p99(&beside),
        kept: kept / rest,
        unexpected: unexpected(&alone) + unexpected(&beside),
    })
}

/// Cuts a plan into parts that each begin at once: in between, the machine's speed is measured,
/// which drifts.
fn in_parts(plan: Vec<Planned>, length: Duration) -> Vec<Vec<Planned>> {
    let part = length / PARTS;
    let mut parts = vec![Vec::new(); PARTS as usize];
    for planned in plan {
        let number = (planned.at.div_duration_f64(part) as usize).min(parts.len() - 1);
        let at = planned.at.saturating_sub(part * number as u32);
        parts[number].push(Planned { at, ..planned });
    }
    parts
}

fn p99(records: &[Record]) -> f64 {
    let times: Vec<f64> = records.iter().map(|record| record.end.as_secs_f64()).collect();
    quantile(&times, 0.99)
}

/// Compares what principals with 1 and with 200 requests get.
async fn two_principals(options: &Options, verdict: &mut Verdict) -> anyhow::Result<()> {
    let setup = Setup::default()
        .flag("--max-requests", &300)
        .flag("--principal-max-requests", &250)
        .flag("--max-queue", &400_000);
    let server = Server::start(options, &setup).await?;
    let (one, other) = (server.connect(2).await?, server.connect(3).await?);
    let mut single = Job::start(&one, Shape::glyphs(10_000, STEPS), 1);
    let many: Vec<Job> =
        (0..200).map(|seed| Job::start(&other, Shape::glyphs(1000, STEPS), seed)).collect();
    single.runs().await?;
    sleep(Duration::from_secs(5)).await;
    let done = |jobs: &[Job]| -> u64 { jobs.iter().map(Job::done).sum() };
    let before = (single.done(), done(&many));
    sleep(Duration::from_secs(options.pick(30, 15))).await;
    let (first, second) = (single.done() - before.0, done(&many) - before.1);
    let ratio = second as f64 / first as f64;
    verdict.line(
        format!("principals with 1 and 200 requests within {EVEN}"),
        format!("{first} and {second} evals ({ratio:.3})"),
        (ratio - 1.0).abs() <= EVEN,
    );
    drop((single, many));
    server.kill().await
}

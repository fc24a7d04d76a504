//! Streams that are not read, or a byte a second.

use std::time::Duration;

use anyhow::Context;
use ddpm_tests::attack::StreamEnd;
use ddpm_tests::load::{Shape, median};
use ddpm_tests::report::{Verdict, list};
use tokio::time::sleep;

use crate::attackers::Attacker;
use crate::job::Job;
use crate::options::Options;
use crate::server::{Server, Setup};

/// Streams that are not read at all.
const UNREAD: u32 = 256;

/// Streams that are read a byte a second.
const TRICKLING: u32 = 100;

/// What others may lose, as a share.
const LOSS: f64 = 0.02;

/// Time after the stall time until a stream has ended.
const MORE: f64 = 5.0;

/// Most memory that requests and unread events may hold, in MiB.
const LIMIT_MIB: u32 = 256;

/// Compares the speed of a job without and beside unread streams in turns, then waits for the
/// server to end them.
pub(crate) async fn unread(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let stall = options.pick(30, 5);
    let setup = Setup::default()
        .flag("--stall-seconds", &stall)
        .flag("--max-memory-mib", &LIMIT_MIB)
        .flag("--max-queue", &1_000_000)
        .flag("--max-requests", &1000)
        .flag("--principal-max-requests", &1000);
    let server = Server::start(options, &setup).await?;
    let descriptors = server.descriptors()?;
    let owner = server.connect(2).await?;
    let mut job = Job::start(&owner, Shape::glyphs(50_000, 1000), 1);
    job.runs().await?;
    sleep(Duration::from_secs(2)).await;

    let pairs = options.pick(20, 4);
    let mut ratios = Vec::new();
    for pair in 0..pairs {
        // In turns, and every second pair the other way round: the machine's speed drifts.
        let attacked_first = pair % 2 == 1;
        let quiet_before = if attacked_first { None } else { Some(quiet(&mut job).await?) };
        let attacked = attacked(&mut job, &server).await?;
        let quiet = match quiet_before {
            Some(rate) => rate,
            None => quiet(&mut job).await?,
        };
        ratios.push(attacked / quiet);
    }
    verdict.note(format!("speed beside / without, by pair: {}", list(&ratios, 3)));
    let lost = 1.0 - median(&ratios);
    verdict.line(
        format!("beside {UNREAD} unread and {TRICKLING} trickling streams others lose at most 2 %"),
        format!("{:.1} % (median of {pairs} pairs)", 100.0 * lost),
        lost <= LOSS,
    );
    ends(&mut verdict, &server, f64::from(stall)).await?;
    super::memory(&mut verdict, &server, LIMIT_MIB)?;
    drop(job);
    sleep(Duration::from_secs(1)).await;
    let left = server.descriptors()?;
    verdict.line(
        "descriptors are back",
        format!("{descriptors} -> {left}"),
        left <= descriptors + 3,
    );
    server.kill().await?;
    Ok(verdict)
}

async fn quiet(job: &mut Job) -> anyhow::Result<f64> {
    sleep(Duration::from_millis(500)).await;
    job.rate(Duration::from_secs(3)).await
}

async fn attacked(job: &mut Job, server: &Server) -> anyhow::Result<f64> {
    let time = Duration::from_secs(120);
    let attacker = Attacker::unread(server, UNREAD, TRICKLING, time).await?;
    // What the streams asked for is computed by then: until it is, the attacker has a share.
    sleep(Duration::from_secs(2)).await;
    let rate = job.rate(Duration::from_secs(3)).await?;
    attacker.kill().await?;
    Ok(rate)
}

/// Holds the streams until the server has ended them.
async fn ends(verdict: &mut Verdict, server: &Server, stall: f64) -> anyhow::Result<()> {
    let time = Duration::from_secs_f64(stall + 3.0 * MORE);
    let attacker = Attacker::unread(server, UNREAD, TRICKLING, time).await?;
    let text = attacker.wait(time + Duration::from_secs(20)).await?;
    let ends: Vec<StreamEnd> = serde_json::from_str(&text).context("what the attacker says")?;
    let late = |end: &&StreamEnd| {
        let last = end.last_event.unwrap_or(0.0);
        end.ended.is_none_or(|ended| ended - last > stall + MORE)
    };
    let early = |end: &&StreamEnd| {
        let last = end.last_event.unwrap_or(0.0);
        end.ended.is_some_and(|ended| ended - last < 0.8 * stall)
    };
    let (late, early) = (ends.iter().filter(late).count(), ends.iter().filter(early).count());
    let waits: Vec<f64> =
        ends.iter().filter_map(|end| Some(end.ended? - end.last_event.unwrap_or(0.0))).collect();
    verdict.line(
        format!("each ends within {stall} + {MORE} s of its last whole event"),
        format!(
            "{late} of {} did not, {early} ended too early; median {:.1} s",
            ends.len(),
            median(&waits)
        ),
        late == 0 && early == 0,
    );
    Ok(())
}

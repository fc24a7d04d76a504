//! Figure 5: what cannot be done in time is refused at once, and what is late costs nothing.

use std::time::Duration;

use ddpm_tests::attack::{Peer, wire};
use ddpm_tests::load::{
    Isolated, Mix, Outcome, Planned, Reader, Record, Shape, load, open_loop, quantile, request,
};
use ddpm_tests::report::Verdict;
use tokio::time::{Instant, sleep, timeout_at};

use crate::goodput::count;
use crate::job::{idle, saturation};
use crate::options::Options;
use crate::server::{Server, Setup, principal};

/// Share of saturation that is asked for.
const LOAD: f64 = 1.5;

/// Deadlines are from 2 to 8 times the time alone, and 100 ms.
const FACTORS: std::ops::Range<f64> = 2.0..8.0;

/// Added to every deadline.
const MORE: Duration = Duration::from_millis(100);

/// Most time of a refusal, in ms.
const REFUSAL_MS: f64 = 5.0;

/// Measures deadlines in overload, then those of a client that never resets.
pub(crate) async fn deadlines(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let server = Server::start(options, &Setup::default().flag("--max-requests", &1000)).await?;
    overload(options, &server, &mut verdict).await?;
    never_resets(&server, &mut verdict).await?;
    server.kill().await?;
    Ok(verdict)
}

async fn overload(options: &Options, server: &Server, verdict: &mut Verdict) -> anyhow::Result<()> {
    let observer = server.observer().await?;
    let mut clients = Vec::new();
    for last in 10..26 {
        clients.push(server.connect(last).await?);
    }
    // No leavers: whether a deadline is kept must be seen. No request longer than the run.
    let steps = vec![(10, 0.6), (50, 0.3), (250, 0.1)];
    let mix = Mix { steps, leaving: 0.0, slow: 0.0, ..Mix::serving() };
    let capacity = saturation(&observer, Duration::from_secs(options.pick(8, 4))).await?;
    let isolated = Isolated::measure(&observer, &mix).await?;
    let rate = LOAD * capacity / mix.mean_evals();
    let length = Duration::from_secs(options.pick(90, 20));
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut plan = mix.plan(rate, length, options.seed);
    for planned in &mut plan {
        let factor = FACTORS.start + random.f64() * (FACTORS.end - FACTORS.start);
        planned.deadline = Some(isolated.objective(planned, factor, MORE));
    }
    let before = load(&observer).await?.evals;
    let records = open_loop(&clients, &plan).await;
    idle(&observer).await?;
    let done = load(&observer).await?.evals - before;
    judge(&records, done, verdict);
    verdict.note(format!(
        "{rate:.2} requests/s at {LOAD} of {capacity:.0} evals/s for {} s: {:?}",
        length.as_secs(),
        count(&records)
    ));
    Ok(())
}

/// Judges what came of requests with deadlines.
///
/// * `done`: evals that the server counted meanwhile.
fn judge(records: &[Record], done: u64, verdict: &mut Verdict) {
    let accepted: Vec<&Record> =
        records.iter().filter(|record| record.first_event.is_some()).collect();
    let makes = |record: &&&Record| {
        let due = record.planned.deadline.map(|deadline| record.sent + deadline);
        record.outcome == Outcome::Completed && due.is_some_and(|due| record.end <= due)
    };
    let made: Vec<&&Record> = accepted.iter().filter(makes).collect();
    let share = made.len() as f64 / accepted.len() as f64;
    verdict.line(
        format!("at {LOAD} of saturation 99 % of accepted calls make their deadline"),
        format!("{:.1} % of {} of {}", 100.0 * share, accepted.len(), records.len()),
        share >= 0.99 && !accepted.is_empty(),
    );
    let missed = accepted.iter().filter(|record| !makes(record)).map(|record| {
        let shape = &record.planned.shape;
        let allowed = record.planned.deadline.unwrap_or_default();
        let (samples, steps, end) = (shape.samples, shape.steps, record.end - record.sent);
        format!("{samples}x{steps} in {:.2} of {:.2} s", end.as_secs_f64(), allowed.as_secs_f64())
    });
    let missed: Vec<String> = missed.collect();
    verdict.note(format!("accepted and missed: {}", missed.join(", ")));
    let useful: u64 = made.iter().map(|record| record.planned.shape.evals()).sum();
    let wasted = done.saturating_sub(useful) as f64 / done as f64;
    verdict.line(
        "at most 1 % of evals go to calls that miss",
        format!("{:.1} % of {done}", 100.0 * wasted),
        wasted <= 0.01,
    );
    let refused: Vec<&Record> =
        records.iter().filter(|record| matches!(record.outcome, Outcome::Refused { .. })).collect();
    let ms = |time: Duration| 1e3 * time.as_secs_f64();
    let theirs: Vec<f64> = refused.iter().filter_map(|record| record.decided.map(ms)).collect();
    let ours: Vec<f64> = refused.iter().map(|record| ms(record.end - record.sent)).collect();
    let p95 = quantile(&theirs, 0.95);
    verdict.line(
        format!("refusals take at most {REFUSAL_MS} ms at p95 on the server's clock"),
        format!(
            "{p95:.2} ms ({} of {} refusals say it; {:.1} ms on the client's clock)",
            theirs.len(),
            refused.len(),
            quantile(&ours, 0.95)
        ),
        p95 <= REFUSAL_MS && theirs.len() == refused.len(),
    );
}

/// Sends `grpc-timeout` by hand, reads on for ever, and looks whether the server still computes.
async fn never_resets(server: &Server, verdict: &mut Verdict) -> anyhow::Result<()> {
    let observer = server.observer().await?;
    let planned = Planned {
        at: Duration::ZERO,
        shape: Shape::glyphs(1000, 1000),
        reader: Reader::Eager,
        seed: 1,
        deadline: None,
    };
    let body = wire::message(&request(&planned.shape, planned.seed));
    let block = wire::headers("/ddpm.v1.SamplingService/Generate", &[("grpc-timeout", "1000m")]);
    let mut peer = Peer::open(server.address, principal(5), 1 << 24).await?;
    let head = wire::frame(wire::kind::HEADERS, wire::END_HEADERS, 1, &block);
    let data = wire::frame(wire::kind::DATA, wire::END_STREAM, 1, &body);
    let start = Instant::now();
    peer.send(&[head, data].concat()).await?;
    let reader = tokio::spawn(async move {
        let mut ended = None;
        let until = start + Duration::from_secs(5);
        while let Ok(Ok(frame)) = timeout_at(until, peer.next_frame()).await {
            let last = frame.kind == wire::kind::RST_STREAM
                || (frame.stream == 1 && frame.flags & wire::END_STREAM != 0);
            if last && frame.kind != wire::kind::SETTINGS {
                ended.get_or_insert(start.elapsed());
            }
        }
        ended
    });
    // A call of the network may begin just before the end, and takes at most a quarter of a second.
    sleep(Duration::from_millis(1300)).await;
    let first = load(&observer).await?;
    sleep(Duration::from_secs(3)).await;
    let second = load(&observer).await?;
    let ended = reader.await?;
    let more = second.evals - first.evals;
    verdict.line(
        "a client that never resets costs no eval after its deadline",
        format!(
            "{more} evals later than one call after it; {} before; the stream ended {}",
            first.evals,
            ended.map_or("never".to_owned(), |at| format!("after {:.2} s", at.as_secs_f64()))
        ),
        more == 0 && first.requests == 0 && ended.is_some(),
    );
    Ok(())
}

//! Tens of thousands of calls whose clients leave.

use std::time::Duration;

use anyhow::ensure;
use ddpm_tests::load::{Call, Outcome, Planned, Reader, Shape, open_loop, wait_until_idle};
use ddpm_tests::report::Verdict;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use crate::options::Options;
use crate::server::{Server, Setup};

/// Requests whose bits are compared before and after.
const COMPARED: u64 = 100;

/// Time until a server has forgotten all of them.
const FORGETS: Duration = Duration::from_secs(1);

/// Most memory that requests may hold, in MiB.
const LIMIT_MIB: u32 = 256;

/// Cancels calls for a minute and compares what comes after with what came before.
pub(crate) async fn cancels(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let setup = Setup::default()
        .flag("--max-memory-mib", &LIMIT_MIB)
        .flag("--max-requests", &1000)
        .flag("--principal-max-requests", &1000);
    let server = Server::start(options, &setup).await?;
    let observer = server.observer().await?;
    let mut clients = Vec::new();
    for last in 10..42 {
        clients.push(server.connect(last).await?);
    }
    let before = digests(&observer).await?;
    let (descriptors, threads) = (server.descriptors()?, server.threads()?);

    let (calls, length) = options.pick((40_000, 60), (4_000, 6));
    let (calls, length): (u32, _) = (calls, Duration::from_secs(length));
    let plan = plan(calls, length, options.seed);
    let start = Instant::now();
    let records = open_loop(&clients, &plan).await;
    let took = start.elapsed();
    let forgotten = wait_until_idle(&observer, Duration::from_secs(10)).await?;
    let after = digests(&observer).await?;

    let left = records.iter().filter(|record| record.outcome == Outcome::Left).count();
    let refused = records.len() - left;
    let forgotten_text = forgotten
        .map_or("not within 10 s".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()));
    verdict.line(
        format!("{calls} calls cancelled in {} s are forgotten within 1 s", length.as_secs()),
        format!(
            "{left} left and {refused} ended before, in {:.0} s; {forgotten_text}",
            took.as_secs_f64()
        ),
        forgotten.is_some_and(|time| time <= FORGETS) && took < length + Duration::from_secs(5),
    );
    let equal = before.iter().zip(&after).filter(|(one, other)| one == other).count();
    verdict.line(
        format!("the next {COMPARED} requests are equal in bits"),
        format!("{equal} are"),
        equal as u64 == COMPARED,
    );
    memory(&mut verdict, &server).await?;
    sleep(Duration::from_secs(1)).await;
    verdict.line(
        "tasks and descriptors are back",
        format!(
            "{descriptors} -> {} descriptors, {threads} -> {} threads",
            server.descriptors()?,
            server.threads()?
        ),
        server.descriptors()? <= descriptors + 2,
    );
    server.kill().await?;
    Ok(verdict)
}

async fn memory(verdict: &mut Verdict, server: &Server) -> anyhow::Result<()> {
    super::memory(verdict, server, LIMIT_MIB)
}

/// Plans calls at equal distances, each of which is left within 50 ms.
fn plan(calls: u32, length: Duration, seed: u64) -> Vec<Planned> {
    let mut random = fastrand::Rng::with_seed(seed);
    let planned = |number| Planned {
        at: length * number / calls,
        shape: Shape::glyphs(random.u32(1..64), random.u32(1..200)),
        reader: Reader::Leaves(Duration::from_micros(random.u64(..50_000))),
        seed: u64::from(number),
        deadline: None,
    };
    (0..calls).map(planned).collect()
}

/// Returns the digests of the samples of 100 requests.
async fn digests(channel: &Channel) -> anyhow::Result<Vec<[u8; 32]>> {
    let mut digests = Vec::new();
    for seed in 0..COMPARED {
        let shape = Shape::glyphs(1 + (seed % 3) as u32, 4);
        let reader = Reader::Eager;
        let planned = Planned { at: Duration::ZERO, shape, reader, seed, deadline: None };
        let call = Call::new(channel.clone(), planned, Instant::now());
        let (record, digest) = call.run_hashed().await;
        ensure!(record.outcome == Outcome::Completed, "request {seed}: {:?}", record.outcome);
        digests.push(digest);
    }
    Ok(digests)
}

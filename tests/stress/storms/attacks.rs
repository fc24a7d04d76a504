//! Everything else that a hostile peer can do over HTTP/2.

use std::time::Duration;

use ddpm_tests::attack::Kind;
use ddpm_tests::report::Verdict;
use tokio::time::sleep;

use crate::attackers::Attacker;
use crate::options::Options;
use crate::server::{Server, Setup};
use crate::victims::{Waits, ask};

/// What others may wait, in times of what they wait without the attack.
const MOST: f64 = 2.0;

/// Most memory that requests may hold, in MiB.
const LIMIT_MIB: u32 = 64;

/// Descriptors of the server that is attacked with silent connections.
const DESCRIPTORS: u32 = 256;

/// Time until an attack has built up before others are measured.
const BUILD_UP: Duration = Duration::from_millis(1500);

/// Time that a server has to forget an attack's connections: those that say nothing have it to
/// themselves to close, all others end with their peer.
const FORGETS: Duration = Duration::from_secs(3);

/// Compares the waits of others without and beside each attack, from one address and from many.
pub(crate) async fn attacks(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let few = Setup::default().flag("--max-memory-mib", &LIMIT_MIB);
    for kind in options.attacks() {
        let scarce = matches!(kind, Kind::Silent | Kind::Idle | Kind::SlowHeaders);
        let descriptors = scarce.then_some(DESCRIPTORS);
        let server = Server::start(options, &Setup { descriptors, ..few.clone() }).await?;
        for many in [false, true] {
            if let Err(error) = attack(options, &server, kind, many, &mut verdict).await {
                verdict.line(title(kind, many), format!("{error:#}"), false);
            }
        }
        super::memory(&mut verdict, &server, LIMIT_MIB)?;
        server.kill().await?;
    }
    Ok(verdict)
}

fn title(kind: Kind, many: bool) -> String {
    format!("{kind:?} from {}: p99 of others at most {MOST}x", if many { "64" } else { "one" })
}

async fn attack(
    options: &Options,
    server: &Server,
    kind: Kind,
    many: bool,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let rounds = options.pick(2, 1);
    let length = Duration::from_secs(options.pick(6, 4));
    let descriptors = server.descriptors()?;
    let (mut quiet, mut attacked, mut did) = (Waits::default(), Waits::default(), String::new());
    for round in 0..rounds {
        let seed = options.seed + round;
        // An attacker who keeps a core busy slows everybody on this machine down by that alone.
        let burner = match kind.is_flood() {
            true => Some(Attacker::start(Kind::Burn, server, many, length + BUILD_UP)?),
            false => None,
        };
        sleep(BUILD_UP).await;
        quiet.add(ask(server.address, length, seed).await?);
        drop(burner);
        // Whoever waits longest is given up after 10 s.
        let attacker = Attacker::start(kind, server, many, BUILD_UP + length)?;
        sleep(BUILD_UP).await;
        let waits = ask(server.address, length, seed).await;
        did = attacker.wait(Duration::from_secs(60)).await?;
        attacked.add(waits?);
        sleep(Duration::from_millis(500)).await;
    }
    sleep(FORGETS).await;
    let left = server.descriptors()?;
    let ((health, sample), (health_beside, sample_beside)) = (quiet.p99(), attacked.p99());
    let (health_ratio, sample_ratio) = (health_beside / health, sample_beside / sample);
    let errors = attacked.errors.len();
    verdict.note(format!(
        "{kind:?}{}: {did}; health p99 {:.1} -> {:.1} ms, sample p99 {:.0} -> {:.0} ms; \
         {:.0} MiB; errors {:?}",
        if many { " from many" } else { "" },
        1e3 * health,
        1e3 * health_beside,
        1e3 * sample,
        1e3 * sample_beside,
        server.resident_mib()?,
        attacked.errors.first(),
    ));
    verdict.line(
        title(kind, many),
        format!(
            "health {health_ratio:.2}x, sample {sample_ratio:.2}x, {errors} errors, descriptors \
             {descriptors} -> {left}"
        ),
        health_ratio <= MOST && sample_ratio <= MOST && errors == 0 && left <= descriptors + 4,
    );
    Ok(())
}

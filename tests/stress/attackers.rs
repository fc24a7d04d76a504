//! Attackers in processes of their own: how they are started, and what they do there.

use std::process::Stdio;
use std::time::Duration;

use anyhow::Context;
use ddpm_tests::attack::{Kind, StreamEnd, Target, Unread};
use ddpm_tests::load::{Shape, request};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::options::{Attack, UnreadStreams};
use crate::server::Server;

/// Streams on one connection.
const STREAMS: u32 = 64;

/// Time that unread streams have until each has got its first event.
const READY: Duration = Duration::from_secs(60);

/// A running attacker; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Attacker {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Attacker {
    /// Attacks a server for a time.
    ///
    /// # Errors
    ///
    /// The process does not start.
    pub(crate) fn start(
        kind: Kind,
        server: &Server,
        many: bool,
        time: Duration,
    ) -> anyhow::Result<Self> {
        let name = clap::ValueEnum::to_possible_value(&kind).context("every attack has a name")?;
        let seconds = time.as_secs_f64().to_string();
        let address = server.address.to_string();
        let mut arguments = vec!["attack", name.get_name(), &address, "--seconds", &seconds];
        arguments.extend(many.then_some("--many"));
        Self::spawn(&arguments)
    }

    /// Opens streams and does not read them; returns once each has got its first event.
    ///
    /// # Errors
    ///
    /// The streams are not accepted.
    pub(crate) async fn unread(
        server: &Server,
        unread: u32,
        trickling: u32,
        time: Duration,
    ) -> anyhow::Result<Self> {
        let [unread, trickling] = [unread, trickling].map(|count| count.to_string());
        let (address, seconds) = (server.address.to_string(), time.as_secs_f64().to_string());
        let mut attacker = Self::spawn(&[
            "unread",
            &address,
            "--unread",
            &unread,
            "--trickling",
            &trickling,
            "--seconds",
            &seconds,
        ])?;
        let line = timeout(READY + READY, attacker.lines.next_line()).await??;
        anyhow::ensure!(line.as_deref() == Some("ready"), "unread streams: {line:?}");
        Ok(attacker)
    }

    fn spawn(arguments: &[&str]) -> anyhow::Result<Self> {
        // Below the others in priority: an attacker has a machine of its own.
        let mut child = Command::new("nice")
            .args(["-n", "5"])
            .arg(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("its output is piped")?;
        Ok(Self { child, lines: BufReader::new(stdout).lines() })
    }

    /// Waits for the end of an attack and returns what it says it did.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub(crate) async fn wait(mut self, limit: Duration) -> anyhow::Result<String> {
        let line =
            timeout(limit, self.lines.next_line()).await.context("an attack never ends")??;
        self.child.kill().await?;
        line.context("an attack says nothing")
    }

    /// Ends it now.
    pub(crate) async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// Makes an attack in this process.
///
/// # Errors
///
/// None, so far.
pub(crate) async fn attack(attack: &Attack) -> anyhow::Result<()> {
    let target = Target {
        server: attack.server,
        sources: Target::sources(attack.many),
        until: Instant::now() + Duration::from_secs_f64(attack.seconds),
    };
    println!("{}", attack.kind.run(target).await);
    Ok(())
}

/// Opens streams, says `ready` once each has got an event, holds them, and prints as JSON how they
/// ended.
///
/// # Errors
///
/// A connection fails.
pub(crate) async fn unread(streams: &UnreadStreams) -> anyhow::Result<()> {
    let until = Instant::now() + Duration::from_secs_f64(streams.seconds);
    let (ready, mut are_ready) = mpsc::channel(1);
    let mut connections = JoinSet::new();
    for (count, trickles) in [(streams.unread, false), (streams.trickling, true)] {
        for first in (0..count).step_by(STREAMS as usize) {
            let size = STREAMS.min(count - first);
            // Cheap to compute and larger than any window: they wait for their reader only.
            let shape = Shape { model: "toy".to_owned(), ..Shape::glyphs(200, 2) };
            let (server, source) = (streams.server, streams.source);
            let request = request(&shape, u64::from(first));
            let held = Unread::open(server, source, size, trickles, &request).await?;
            connections.spawn(hold(held, size as usize, until, ready.clone()));
        }
    }
    drop(ready);
    // Ends when every connection has dropped its sender.
    while are_ready.recv().await.is_some() {}
    println!("ready");
    let ends: Vec<StreamEnd> = connections.join_all().await.into_iter().flatten().collect();
    println!("{}", serde_json::to_string(&ends)?);
    Ok(())
}

async fn hold(
    mut held: Unread,
    count: usize,
    until: Instant,
    ready: mpsc::Sender<()>,
) -> Vec<StreamEnd> {
    let limit = Instant::now() + READY;
    while Instant::now() < limit {
        let (started, ended) = held.progress();
        if started + ended >= count {
            break;
        }
        held.hold(Instant::now() + Duration::from_millis(100)).await;
    }
    drop(ready);
    held.hold(until).await;
    held.ends()
}

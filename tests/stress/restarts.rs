//! Figure 7: servers end and come back, and `ddpm sample` does not notice.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use ddpm_tests::report::Verdict;
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::job::saturation;
use crate::options::Options;
use crate::relay::Relay;
use crate::server::{Server, Setup, free_port};

/// Indices whose bytes are compared with those of an undisturbed run.
const COMPARED: &str = "0-49,4000-4049,9900-9999";

/// The same for the short form.
const COMPARED_SHORT: &str = "0-49,500-549,950-999";

/// Time that a run has after the last restart.
const PATIENCE: Duration = Duration::from_secs(900);

/// A run of `ddpm sample`.
struct Run {
    child: Child,
    folder: PathBuf,
    log: PathBuf,
}

/// What a job asks for.
#[derive(Debug, Clone, Copy)]
struct Work {
    samples: u32,
    steps: u32,
}

impl Run {
    fn start(
        options: &Options,
        server: SocketAddr,
        work: Work,
        name: &str,
        indices: Option<&str>,
    ) -> anyhow::Result<Self> {
        let folder = options.out.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        let log = options.out.join(format!("{name}.log"));
        let mut command = Command::new(&options.client);
        command.args(["--server", &format!("http://{server}"), "sample", "glyphs"]);
        match indices {
            Some(indices) => command.args(["--indices", indices]),
            None => command.args(["--count", &work.samples.to_string()]),
        };
        command.args(["--steps", &work.steps.to_string(), "--seed", "9", "--format", "u8"]);
        command.arg("--no-grid").arg("--out").arg(&folder);
        let output = fs::File::create(&log)?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).kill_on_drop(true);
        Ok(Self { child: command.spawn()?, folder, log })
    }

    fn is_over(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for the end and returns the exit code and the digest of each file.
    async fn wait(&mut self) -> anyhow::Result<(i32, BTreeMap<String, [u8; 32]>)> {
        let status = timeout(PATIENCE, self.child.wait()).await.context("`ddpm` never ends")??;
        Ok((status.code().unwrap_or(-1), digests(&self.folder)?))
    }

    fn last_line(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        text.lines().last().unwrap_or_default().trim().chars().take(120).collect()
    }
}

fn digests(folder: &Path) -> anyhow::Result<BTreeMap<String, [u8; 32]>> {
    let mut digests = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "u8") {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            digests.insert(name, Sha256::digest(fs::read(&path)?).into());
        }
    }
    Ok(digests)
}

/// Two replicas behind a relay.
struct Replicas {
    ports: [u16; 2],
    servers: [Option<Server>; 2],
    relay: Relay,
    drain: u64,
}

impl Replicas {
    async fn start(options: &Options, drain: u64) -> anyhow::Result<Self> {
        let ports = [free_port()?, free_port()?];
        let relay = Relay::start(ports.map(|port| (Ipv4Addr::LOCALHOST, port).into())).await?;
        let mut replicas = Self { ports, servers: [None, None], relay, drain };
        for number in 0..2 {
            replicas.restart(options, number).await?;
        }
        Ok(replicas)
    }

    async fn restart(&mut self, options: &Options, number: usize) -> anyhow::Result<()> {
        let setup = Setup { port: self.ports[number], ..Setup::default() };
        let setup = setup.flag("--drain-seconds", &self.drain);
        self.servers[number] = Some(Server::start(options, &setup).await?);
        Ok(())
    }

    fn take(&mut self, number: usize) -> anyhow::Result<Server> {
        self.servers[number].take().context("it was started")
    }

    /// Chooses steps such that a job of `samples` takes about `seconds`.
    async fn work(&self, samples: u32, seconds: f64) -> anyhow::Result<Work> {
        let server = self.servers[0].as_ref().context("it was started")?;
        let observer = server.observer().await?;
        let capacity = saturation(&observer, Duration::from_secs(3)).await?;
        let steps = (capacity * seconds / f64::from(samples)).round();
        Ok(Work { samples, steps: (steps as u32).clamp(4, 1000) })
    }
}

/// Kills the replica that serves, again and again, within one job.
pub(crate) async fn kills(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let (kills, samples, seconds) = options.pick((50, 10_000, 280.0), (5, 1000, 35.0));
    let mut replicas = Replicas::start(options, 25).await?;
    let work = replicas.work(samples, seconds).await?;
    let mut run = Run::start(options, replicas.relay.address, work, "kills", None)?;
    let mut random = fastrand::Rng::with_seed(options.seed);
    let mut done = 0;
    for number in 0..kills {
        let victim = number % 2;
        sleep(Duration::from_millis(random.u64(500..2000))).await;
        if run.is_over()? {
            break;
        }
        replicas.relay.prefer(1 - victim);
        replicas.take(victim)?.kill().await?;
        done += 1;
        replicas.restart(options, victim).await?;
    }
    let goal = format!("{kills} kill -9 within one job of {samples} samples");
    finish(options, &replicas, &mut run, work, goal, done == kills, &mut verdict).await?;
    verdict.note(format!(
        "{done} kills, {} steps; `ddpm` said last: {}",
        work.steps,
        run.last_line()
    ));
    Ok(verdict)
}

/// Restarts the replica that serves, again and again, with a drain.
pub(crate) async fn rolling(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let (restarts, samples, seconds) = options.pick((10, 10_000, 240.0), (2, 1000, 20.0));
    let drain = options.pick(25, 5);
    let mut replicas = Replicas::start(options, drain).await?;
    let work = replicas.work(samples, seconds).await?;
    let mut run = Run::start(options, replicas.relay.address, work, "rolling", None)?;
    let (mut done, mut codes) = (0, Vec::new());
    for number in 0..restarts {
        let victim = number % 2;
        sleep(Duration::from_secs(2)).await;
        if run.is_over()? {
            break;
        }
        let server = replicas.take(victim)?;
        server.terminate()?;
        // A balancer learns from the health check that it is not to be used.
        sleep(Duration::from_millis(500)).await;
        replicas.relay.prefer(1 - victim);
        codes.push(server.wait(Duration::from_secs(drain + 10)).await?.code());
        replicas.restart(options, victim).await?;
        done += 1;
    }
    let goal = format!("{restarts} rolling restarts with a drain of {drain} s within one job");
    finish(options, &replicas, &mut run, work, goal, done == restarts, &mut verdict).await?;
    verdict.note(format!(
        "{done} restarts, exit codes {codes:?}, {} steps; `ddpm` said last: {}",
        work.steps,
        run.last_line()
    ));
    Ok(verdict)
}

/// Sends two SIGTERMs while a job runs, and starts the server again.
pub(crate) async fn second_signal(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let rounds = options.pick(5, 2);
    let work = Work { samples: 200, steps: 50 };
    let port = free_port()?;
    let setup = Setup { port, ..Setup::default() }.flag("--drain-seconds", &25);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut held = 0;
    let mut reference = None;
    for round in 0..rounds {
        let server = Server::start(options, &setup).await?;
        if reference.is_none() {
            let mut run = Run::start(options, address, work, "second-reference", None)?;
            reference = Some(run.wait().await?);
        }
        let mut run = Run::start(options, address, work, &format!("second-{round}"), None)?;
        sleep(Duration::from_millis(1200 + 130 * round)).await;
        server.terminate()?;
        sleep(Duration::from_millis(200)).await;
        server.terminate()?;
        let code = server.wait(Duration::from_secs(10)).await?.code();
        let server = Server::start(options, &setup).await?;
        let result = run.wait().await?;
        held += u64::from(Some(&result) == reference.as_ref());
        verdict.note(format!(
            "round {round}: the server ended with {code:?}, `ddpm` with {} and {} files: {}",
            result.0,
            result.1.len(),
            run.last_line()
        ));
        server.kill().await?;
    }
    verdict.line(
        format!("a second SIGTERM, {rounds} times: every index once, equal bytes, exit 0"),
        format!("{held} of {rounds}"),
        held == rounds,
    );
    Ok(verdict)
}

/// Waits for the job and compares a part of it with an undisturbed run.
async fn finish(
    options: &Options,
    replicas: &Replicas,
    run: &mut Run,
    work: Work,
    goal: String,
    enough: bool,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let (code, files) = run.wait().await?;
    let server = replicas.servers.iter().flatten().next().context("a replica runs")?;
    let indices = options.pick(COMPARED, COMPARED_SHORT);
    let mut undisturbed = Run::start(options, server.address, work, "undisturbed", Some(indices))?;
    let (reference_code, reference) = undisturbed.wait().await?;
    ensure!(reference_code == 0 && !reference.is_empty(), "the undisturbed run failed");
    let equal = reference.iter().filter(|(name, digest)| files.get(*name) == Some(*digest)).count();
    verdict.line(
        format!("{goal}: every index once, equal bytes, exit 0"),
        format!(
            "exit {code}, {} files, {equal} of {} compared are equal{}",
            files.len(),
            reference.len(),
            if enough { "" } else { "; the job ended too soon" }
        ),
        code == 0 && files.len() == work.samples as usize && equal == reference.len() && enough,
    );
    Ok(())
}

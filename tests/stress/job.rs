//! Large jobs whose speed is watched.

use std::time::Duration;

use anyhow::{Context, ensure};
use ddpm_tests::load::{Call, Planned, Reader, Shape, load};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::Channel;

/// A request that runs and is read; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Job {
    evals: watch::Receiver<(Instant, u64)>,
    task: AbortHandle,
}

impl Drop for Job {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Job {
    /// Starts a request.
    pub(crate) fn start(channel: &Channel, shape: Shape, seed: u64) -> Self {
        let now = Instant::now();
        let (sender, evals) = watch::channel((now, 0));
        let reader = Reader::Eager;
        let planned = Planned { at: Duration::ZERO, shape, reader, seed, deadline: None };
        let call = Call::new(channel.clone(), planned, now).watched(sender);
        let task = tokio::spawn(async move {
            let record = call.run().await;
            eprintln!("  a job ended: {}", record.outcome.name());
        });
        Self { evals, task: task.abort_handle() }
    }

    /// Waits until the server says that evals were done.
    ///
    /// # Errors
    ///
    /// None were within 60 s.
    pub(crate) async fn runs(&mut self) -> anyhow::Result<()> {
        let first = self.evals.wait_for(|(_, evals)| *evals > 0);
        timeout(Duration::from_secs(60), first).await.context("a job does not start")??;
        Ok(())
    }

    /// Returns the evals that are known to be done.
    pub(crate) fn done(&self) -> u64 {
        self.evals.borrow().1
    }

    /// Returns evals a second over about `time`, between two of the server's own reports.
    ///
    /// # Errors
    ///
    /// The job has ended, or the server reports nothing for long.
    pub(crate) async fn rate(&mut self, time: Duration) -> anyhow::Result<f64> {
        let patience = Duration::from_secs(20);
        self.evals.mark_unchanged();
        timeout(patience, self.evals.changed()).await.context("no progress is reported")??;
        let (from, before) = *self.evals.borrow_and_update();
        sleep(time).await;
        self.evals.mark_unchanged();
        timeout(patience, self.evals.changed()).await.context("no progress is reported")??;
        let (to, after) = *self.evals.borrow_and_update();
        Ok((after - before) as f64 / (to - from).as_secs_f64())
    }
}

/// Measures what a server can do: evals a second with four streams of 256 samples of 50 steps each.
///
/// # Errors
///
/// The server does nothing.
pub(crate) async fn saturation(channel: &Channel, time: Duration) -> anyhow::Result<f64> {
    let jobs: Vec<Job> =
        (0..4).map(|seed| Job::start(channel, Shape::glyphs(256, 1000), seed)).collect();
    sleep(Duration::from_secs(1)).await;
    let rate = throughput(channel, time).await?;
    drop(jobs);
    ensure!(rate > 0.0, "the server computes nothing");
    idle(channel).await?;
    Ok(rate)
}

/// Returns the evals a second that the server counts over a time.
pub(crate) async fn throughput(channel: &Channel, time: Duration) -> anyhow::Result<f64> {
    let (before, start) = (load(channel).await?.evals, Instant::now());
    sleep(time).await;
    let after = load(channel).await?.evals;
    Ok((after - before) as f64 / start.elapsed().as_secs_f64())
}

/// Waits until the server has nothing to do.
///
/// # Errors
///
/// It still has after 60 s.
pub(crate) async fn idle(channel: &Channel) -> anyhow::Result<()> {
    let limit = Duration::from_secs(60);
    let waited = ddpm_tests::load::wait_until_idle(channel, limit).await?;
    waited.context("the server is not idle after 60 s").map(|_| ())
}

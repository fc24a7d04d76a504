//! Everybody else: clients who want one sample and to know that the server is well.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ddpm_tests::load::{self, Call, Mix, Outcome, Planned, quantile};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::server::principal;

/// Health checks a second; every second one comes over a connection of its own.
const CHECKS: f64 = 50.0;

/// Requests for one sample a second.
const SAMPLES: f64 = 12.0;

/// Steps of a sample.
const STEPS: u32 = 10;

/// What does not come within this time counts as an error.
const PATIENCE: Duration = Duration::from_secs(10);

/// The victims' address.
const LAST: u8 = 30;

/// Seconds that victims waited.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    /// For health.
    pub(crate) health: Vec<f64>,
    /// For one sample.
    pub(crate) samples: Vec<f64>,
    /// What went wrong, as words; each counts as a wait of 10 s too.
    pub(crate) errors: Vec<String>,
}

impl Waits {
    /// Adds more of the same kind.
    pub(crate) fn add(&mut self, more: Self) {
        self.health.extend(more.health);
        self.samples.extend(more.samples);
        self.errors.extend(more.errors);
    }

    /// Returns the 99 % quantiles of health and samples, in seconds.
    pub(crate) fn p99(&self) -> (f64, f64) {
        (quantile(&self.health, 0.99), quantile(&self.samples, 0.99))
    }
}

/// Asks for health and samples for a while, open loop.
///
/// # Errors
///
/// Not even one connection can be made before the rest begins.
pub(crate) async fn ask(server: SocketAddr, length: Duration, seed: u64) -> anyhow::Result<Waits> {
    let channel = load::connect(server, principal(LAST)).await?;
    let mut waits = Waits::default();
    let start = Instant::now();
    let mut checks = JoinSet::new();
    for (number, at) in load::poisson(CHECKS, length, seed).into_iter().enumerate() {
        let channel = (number % 2 == 0).then(|| channel.clone());
        checks.spawn(check(server, principal(LAST), channel, start + at));
    }
    let mut calls = JoinSet::new();
    for planned in Mix::only(1, STEPS).plan(SAMPLES, length, seed + 1) {
        calls.spawn(sample(channel.clone(), planned, start));
    }
    let mut all = |results: Vec<Result<f64, String>>| {
        let each = results.into_iter().map(|result| {
            result.unwrap_or_else(|error| {
                waits.errors.push(error);
                PATIENCE.as_secs_f64()
            })
        });
        each.collect::<Vec<f64>>()
    };
    let health = all(checks.join_all().await);
    let samples = all(calls.join_all().await);
    Ok(Waits { health, samples, ..waits })
}

async fn check(
    server: SocketAddr,
    source: IpAddr,
    channel: Option<Channel>,
    at: Instant,
) -> Result<f64, String> {
    sleep_until(at).await;
    let work = async {
        let channel = match channel {
            Some(channel) => channel,
            None => load::connect(server, source).await.map_err(|error| format!("{error:#}"))?,
        };
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await;
        answer.map(|_| at.elapsed().as_secs_f64()).map_err(|status| status.to_string())
    };
    let result = timeout(PATIENCE, work).await;
    result.unwrap_or_else(|_| Err("no health within 10 s".to_owned()))
}

async fn sample(channel: Channel, planned: Planned, start: Instant) -> Result<f64, String> {
    let from = start + planned.at;
    sleep_until(from).await;
    let result = timeout(PATIENCE, Call::new(channel, planned, from).run()).await;
    match result.map(|record| (record.end, record.outcome)) {
        Ok((end, Outcome::Completed)) => Ok(end.as_secs_f64()),
        Ok((_, outcome)) => Err(outcome.name()),
        Err(_) => Err("no sample within 10 s".to_owned()),
    }
}

//! Figure 3: the mix of a service at 60 % of saturation, and the same engine held to whole
//! requests.

use std::collections::BTreeMap;
use std::time::Duration;

use ddpm_tests::load::{
    Isolated, Mix, Order, Outcome, Planned, Record, goodput as share, open_loop, quantile,
    whole_requests,
};
use ddpm_tests::report::Verdict;
use tonic::transport::Channel;

use crate::job::{idle, saturation};
use crate::options::Options;
use crate::server::{Server, Setup};

/// Share of saturation that is asked for.
const LOAD: f64 = 0.6;

/// An objective is this many times the time alone, and [`MORE`].
const FACTOR: f64 = 4.0;

/// Added to every objective.
const MORE: Duration = Duration::from_millis(50);

/// Share of requests that meet their objective.
const GOAL: f64 = 0.9;

/// Measures goodput open loop, and held to whole requests in the best of several ways, with the
/// same arrivals.
pub(crate) async fn goodput(options: &Options) -> anyhow::Result<Verdict> {
    let mut verdict = Verdict::default();
    let server = Server::start(options, &Setup::default().flag("--max-requests", &1000)).await?;
    let observer = server.observer().await?;
    let mut clients = Vec::new();
    for last in 10..26 {
        clients.push(server.connect(last).await?);
    }
    let mix = Mix::serving();
    let capacity = saturation(&observer, Duration::from_secs(options.pick(10, 4))).await?;
    let isolated = Isolated::measure(&observer, &mix).await?;
    let rate = LOAD * capacity / mix.mean_evals();
    verdict.note(format!(
        "saturation {capacity:.0} evals/s; {rate:.2} requests/s of {:.0} evals on average; an \
         objective is {FACTOR} times the time alone and {} ms; goodput leaves out clients that \
         leave as planned",
        mix.mean_evals(),
        MORE.as_millis(),
    ));
    let objective = |planned: &Planned| isolated.objective(planned, FACTOR, MORE);

    let length = Duration::from_secs(options.pick(180, 30));
    let plan = mix.plan(rate, length, options.seed);
    let ours = open_loop(&clients, &plan).await;
    idle(&observer).await?;
    let theirs = held(options, &clients, &plan, &observer, &objective, &mut verdict).await?;

    let reached = share(&ours, objective);
    verdict.line(
        format!("goodput at {LOAD} of saturation at least {GOAL}"),
        format!(
            "{reached:.3} of {} requests, beside {theirs:.3} for the same engine held to whole \
             requests; first event p99 {:.0} ms",
            ours.len(),
            1e3 * first_event(&ours),
        ),
        reached >= GOAL && reached > theirs,
    );
    let outcomes = count(&ours);
    let expected =
        ours.iter().all(|record| matches!(record.outcome, Outcome::Completed | Outcome::Left));
    verdict.line("no unexpected status", format!("{outcomes:?}"), expected);
    server.kill().await?;
    Ok(verdict)
}

/// Tunes whole requests on a shorter plan, runs the whole plan in the best way, and returns its
/// goodput.
///
/// The generator admits requests one by one, so this is the engine of the server, its batching
/// and its network, without sharing between requests beyond the number that is admitted. It is kind
/// to whole requests: real ones of different settings could not share a batch.
async fn held(
    options: &Options,
    clients: &[Channel],
    plan: &[Planned],
    observer: &Channel,
    objective: &impl Fn(&Planned) -> Duration,
    verdict: &mut Verdict,
) -> anyhow::Result<f64> {
    let short = Duration::from_secs(options.pick(40, 10));
    let part: Vec<Planned> =
        plan.iter().take_while(|planned| planned.at < short).cloned().collect();
    let mut best = (-1.0, 1, Order::Arrival);
    for at_once in [1, 2, 4] {
        for order in [Order::Arrival, Order::LeastWork] {
            let reached = share(&whole_requests(clients, &part, at_once, order).await, objective);
            idle(observer).await?;
            verdict.note(format!("whole requests, {at_once} at once, {order:?}: {reached:.3}"));
            if reached > best.0 {
                best = (reached, at_once, order);
            }
        }
    }
    let (_, at_once, order) = best;
    let records = whole_requests(clients, plan, at_once, order).await;
    idle(observer).await?;
    let reached = share(&records, objective);
    verdict.note(format!(
        "whole requests at their best, {at_once} at once, {order:?}, the whole plan: {reached:.3}; \
         first event p99 {:.0} ms",
        1e3 * first_event(&records),
    ));
    Ok(reached)
}

fn first_event(records: &[Record]) -> f64 {
    let times: Vec<f64> = records
        .iter()
        .filter_map(|record| record.first_event.map(|time| time.as_secs_f64()))
        .collect();
    quantile(&times, 0.99)
}

/// Counts outcomes by name.
pub(crate) fn count(records: &[Record]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records {
        *counts.entry(record.outcome.name()).or_default() += 1;
    }
    counts
}

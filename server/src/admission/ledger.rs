//! What each principal's requests still take.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::forecast::{self, Load};
use super::quota::EvalRate;
use super::{Demand, Forecast, Limits};
use crate::cost::{CostCurve, Costs};
use crate::error::Error;
use crate::principal::Principal;
use crate::scheduler::{ModelId, Priority, alone};

/// Number of an admitted request.
pub(super) type RequestId = u64;

/// Principals that are remembered for their quota of evals.
const REMEMBERED: usize = 4096;

/// What principals asked for is expected again at the same rate: a mean that forgets over this
/// time.
const LATELY: Duration = Duration::from_secs(5);

/// Part of the time until a deadline that may be promised: calls do not take equally long.
const PROMISED: f64 = 0.9;

/// What a request still takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Remaining {
    pub(super) model: ModelId,
    pub(super) samples: u64,
    pub(super) evals: u64,
    pub(super) priority: Priority,
    /// Bytes of its rows and inputs.
    bytes: u64,
    pub(super) deadline: Option<Instant>,
    /// Whether it waits for its reader.
    pub(super) blocked: bool,
}

/// The admitted requests by principal, and their sums.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    accounts: BTreeMap<Principal, Account>,
    next_id: RequestId,
    requests: u32,
    blocked: u32,
    /// Samples of requests that are not blocked.
    samples: u64,
    evals: u64,
}

#[derive(Debug)]
struct Account {
    requests: BTreeMap<RequestId, Remaining>,
    rate: EvalRate,
    /// When its latest request was admitted.
    seen: Instant,
    /// Seconds of the device that were admitted lately, as of `seen`.
    lately: f64,
}

impl Remaining {
    /// Returns the seconds that it takes if nothing shares its calls.
    fn alone(&self, costs: &Costs) -> f64 {
        costs.with(self.model, |curve| alone(curve, self.evals, self.samples))
    }

    /// Returns the seconds of the device that it takes in calls of the best size.
    fn seconds(&self, prices: &Prices) -> f64 {
        self.evals as f64 * prices.0[self.model]
    }

    /// Returns the seconds that may go before work of the same principal that is due at a time.
    fn due(&self, by: Instant, prices: &Prices) -> f64 {
        let urgent = self.priority.urgent_for().as_secs_f64();
        match self.deadline {
            Some(deadline) if deadline > by => 0.0,
            Some(_) => self.seconds(prices),
            None if self.blocked => 0.0,
            None => self.seconds(prices).min(urgent),
        }
    }

    /// Returns the samples that hold places.
    fn places(&self) -> u64 {
        if self.blocked { 0 } else { self.samples }
    }
}

impl From<&Demand> for Remaining {
    fn from(demand: &Demand) -> Self {
        let Demand { model, samples, evals, priority, bytes, deadline } = *demand;
        Self { model, samples, evals, priority, bytes, deadline, blocked: false }
    }
}

/// Seconds per eval in calls of the best size, of each model.
struct Prices(Vec<f64>);

impl Prices {
    fn of(costs: &Costs) -> Self {
        Self(costs.lock().iter().map(CostCurve::seconds_per_eval).collect())
    }
}

impl Ledger {
    pub(super) fn requests(&self) -> u32 {
        self.requests
    }

    pub(super) fn blocked(&self) -> u32 {
        self.blocked
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Counts the samples of one principal, blocked or not.
    pub(super) fn samples_of(&self, principal: &Principal) -> u64 {
        self.accounts.get(principal).map_or(0, Account::samples)
    }

    pub(super) fn evals(&self) -> u64 {
        self.evals
    }

    /// Counts the principals with requests.
    pub(super) fn principals(&self) -> u32 {
        self.accounts.values().filter(|account| !account.requests.is_empty()).count() as u32
    }

    /// Returns the seconds of the device that all requests take in calls of the best size.
    pub(super) fn seconds(&self, costs: &Costs) -> f64 {
        let prices = Prices::of(costs);
        self.accounts.values().map(|account| account.seconds(&prices)).sum()
    }

    /// Adds a request and returns its number.
    pub(super) fn add(
        &mut self,
        principal: &Principal,
        remaining: Remaining,
        costs: &Costs,
        now: Instant,
    ) -> RequestId {
        let id = self.next_id;
        self.next_id += 1;
        self.requests += 1;
        self.samples += remaining.samples;
        self.evals += remaining.evals;
        let account = self.accounts.entry(principal.clone());
        let account = account.or_insert_with(|| Account::new(now));
        account.lately = account.lately(now) + remaining.seconds(&Prices::of(costs));
        account.seen = now;
        account.requests.insert(id, remaining);
        id
    }

    /// Removes a request with what it still takes.
    pub(super) fn remove(&mut self, principal: &Principal, id: RequestId) {
        let Some(account) = self.accounts.get_mut(principal) else { return };
        let Some(remaining) = account.requests.remove(&id) else { return };
        self.requests -= 1;
        self.blocked -= u32::from(remaining.blocked);
        self.samples -= remaining.places();
        self.evals -= remaining.evals;
    }

    /// Takes off work that is done.
    pub(super) fn give_back(
        &mut self,
        principal: &Principal,
        id: RequestId,
        samples: u64,
        evals: u64,
    ) {
        let account = self.accounts.get_mut(principal);
        let Some(remaining) = account.and_then(|account| account.requests.get_mut(&id)) else {
            return;
        };
        let (samples, evals) = (samples.min(remaining.samples), evals.min(remaining.evals));
        let before = remaining.places();
        remaining.samples -= samples;
        remaining.evals -= evals;
        self.samples -= before - remaining.places();
        self.evals -= evals;
    }

    /// Takes a request's samples out of the queue while it waits for its reader, or back.
    pub(super) fn set_blocked(&mut self, principal: &Principal, id: RequestId, blocked: bool) {
        let account = self.accounts.get_mut(principal);
        let Some(remaining) = account.and_then(|account| account.requests.get_mut(&id)) else {
            return;
        };
        if remaining.blocked == blocked {
            return;
        }
        remaining.blocked = blocked;
        match blocked {
            true => {
                self.blocked += 1;
                self.samples -= remaining.samples;
            }
            false => {
                self.blocked -= 1;
                self.samples += remaining.samples;
            }
        }
    }

    /// Says what a request may expect.
    pub(super) fn forecast(
        &self,
        principal: &Principal,
        demand: &Demand,
        costs: &Costs,
    ) -> Forecast {
        let remaining = Remaining::from(demand);
        Forecast {
            queue_position: self.samples,
            compute: remaining.seconds(&Prices::of(costs)),
            eta: self.finish(principal, None, &remaining, costs),
        }
    }

    /// Returns the seconds until a request is done, if nothing else arrives.
    pub(super) fn eta(&self, principal: &Principal, id: RequestId, costs: &Costs) -> f64 {
        let account = self.accounts.get(principal);
        let remaining = account.and_then(|account| account.requests.get(&id));
        remaining.map_or(0.0, |remaining| self.finish(principal, Some(id), remaining, costs))
    }

    fn finish(
        &self,
        principal: &Principal,
        id: Option<RequestId>,
        remaining: &Remaining,
        costs: &Costs,
    ) -> f64 {
        let prices = Prices::of(costs);
        let load = |request: &Remaining, seconds| Load { seconds, priority: request.priority };
        let own = self.accounts.get(principal).into_iter().flat_map(|account| &account.requests);
        let own = own.filter(|(other, request)| Some(**other) != id && !request.blocked);
        let own: Vec<Load> =
            own.map(|(_, request)| load(request, request.seconds(&prices))).collect();
        let others = self.accounts.iter().filter(|(other, _)| *other != principal);
        let others: Vec<f64> = others.map(|(_, account)| account.ready_seconds(&prices)).collect();
        forecast::finish(load(remaining, remaining.alone(costs)), &own, &others)
    }

    /// Checks that a request can make its deadline, and lets those that were admitted make theirs.
    ///
    /// Within a principal the earliest deadline goes first, and what is urgent of requests without
    /// one may go before: so at each deadline, all of that must fit into the principal's share of
    /// the time. The others share what they still take, and what they will ask for if they go on as
    /// they did lately. The call in flight comes before all of them.
    ///
    /// # Errors
    ///
    /// [`Error::Infeasible`].
    pub(super) fn check_deadline(
        &self,
        principal: &Principal,
        demand: &Demand,
        costs: &Costs,
        now: Instant,
    ) -> Result<(), Error> {
        let Some(deadline) = demand.deadline else { return Ok(()) };
        let prices = Prices::of(costs);
        let asked = Remaining::from(demand);
        let call = self.longest_call(costs);
        let check = |work: f64, by: Instant| {
            let available = by.saturating_duration_since(now);
            let shared = self.with_others(principal, work, available, &prices, now);
            let needed = call + shared / PROMISED;
            if needed <= available.as_secs_f64() {
                return Ok(());
            }
            let needed = Duration::try_from_secs_f64(needed).unwrap_or(Duration::MAX);
            Err(Error::Infeasible { needed, available, decided_in: Duration::ZERO })
        };
        let own = || {
            let account = self.accounts.get(principal).into_iter();
            account.flat_map(|account| account.requests.values())
        };
        let due = |by: Instant| -> f64 {
            asked.seconds(&prices) + own().map(|other| other.due(by, &prices)).sum::<f64>()
        };
        check(due(deadline).max(asked.alone(costs)), deadline)?;
        let later = own().filter_map(|other| other.deadline.filter(|other| *other > deadline));
        later.into_iter().try_for_each(|other| check(due(other), other))
    }

    /// Returns the seconds of the longest call that may be in flight, which nobody can stop; 0 if
    /// there are no requests.
    fn longest_call(&self, costs: &Costs) -> f64 {
        let requests = self.accounts.values().flat_map(|account| account.requests.values());
        let mut samples: BTreeMap<ModelId, u64> = BTreeMap::new();
        for request in requests {
            *samples.entry(request.model).or_default() += request.places();
        }
        let costs = costs.lock();
        let calls = samples.into_iter().map(|(model, samples)| {
            let curve = &costs[model];
            curve.seconds(samples.min(u64::from(curve.bulk())) as u32)
        });
        calls.fold(0.0, f64::max)
    }

    /// Returns the seconds until a principal has been given `work` seconds.
    fn with_others(
        &self,
        principal: &Principal,
        work: f64,
        available: Duration,
        prices: &Prices,
        now: Instant,
    ) -> f64 {
        let others = self.accounts.iter().filter(|(other, _)| *other != principal);
        let share = |account: &Account| {
            let expected = account.lately(now) / LATELY.as_secs_f64() * available.as_secs_f64();
            work.min(account.ready_seconds(prices) + expected)
        };
        work + others.map(|(_, account)| share(account)).sum::<f64>()
    }

    /// Checks the quotas of a principal and spends its evals.
    ///
    /// # Errors
    ///
    /// [`Error::Quota`].
    pub(super) fn check_quotas(
        &mut self,
        principal: &Principal,
        demand: &Demand,
        limits: &Limits,
        costs: &Costs,
        now: Instant,
    ) -> Result<(), Error> {
        self.forget(limits, now);
        let account = self.accounts.entry(principal.clone());
        let account = account.or_insert_with(|| Account::new(now));
        let quota = |what, limit: String, retry_after: f64| {
            let principal = principal.to_string();
            let retry_after = Duration::from_secs_f64(retry_after.clamp(1.0, 60.0));
            Err(Error::Quota { principal, what, limit, retry_after })
        };
        let prices = Prices::of(costs);
        let seconds = account.seconds(&prices);
        if account.requests.len() as u64 >= u64::from(limits.max_principal_requests) {
            let limit = limits.max_principal_requests.to_string();
            let average = seconds / account.requests.len() as f64;
            return quota("requests at once", limit, average);
        }
        let samples = account.samples();
        // A request of more than that is admitted if it is alone.
        if samples > 0 && samples.saturating_add(demand.samples) > limits.max_principal_samples {
            let limit = limits.max_principal_samples.to_string();
            return quota("queued samples", limit, seconds);
        }
        let bytes: u64 = account.requests.values().map(|other| other.bytes).sum();
        let most = limits.max_held_bytes / 2;
        if bytes > 0 && bytes.saturating_add(demand.bytes) > most {
            return quota("bytes of rows and inputs", most.to_string(), seconds);
        }
        if let Some(most) = limits.max_principal_backlog {
            let asked = Remaining::from(demand).seconds(&prices);
            let over = seconds + asked - most.as_secs_f64();
            // A request of more than that is admitted if it is alone.
            if over > 0.0 && seconds > 0.0 {
                let limit = format!("{} s", most.as_secs_f64());
                return quota("queued time of the device", limit, over.min(seconds));
            }
        }
        if let Some(per_minute) = limits.max_principal_evals
            && let Err(pause) = account.rate.spend(demand.evals, per_minute, now)
        {
            return quota("evals per minute", per_minute.to_string(), pause.as_secs_f64());
        }
        Ok(())
    }

    /// Counts the principals that are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.accounts.len()
    }

    /// Forgets principals that have no requests and have spent no quota; if there are too many,
    /// those that were seen first.
    fn forget(&mut self, limits: &Limits, now: Instant) {
        if self.accounts.len() < REMEMBERED {
            return;
        }
        let per_minute = limits.max_principal_evals.unwrap_or(1);
        self.accounts.retain(|_, account| {
            !account.requests.is_empty() || !account.rate.is_idle(per_minute, now)
        });
        while self.accounts.len() >= REMEMBERED {
            let idle = self.accounts.iter().filter(|(_, account)| account.requests.is_empty());
            let oldest = idle.min_by_key(|(_, account)| account.seen);
            let Some(name) = oldest.map(|(name, _)| name.clone()) else { return };
            self.accounts.remove(&name);
        }
    }
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { requests: BTreeMap::new(), rate: EvalRate::new(now), seen: now, lately: 0.0 }
    }

    /// Counts the samples of all requests.
    fn samples(&self) -> u64 {
        self.requests.values().map(|request| request.samples).sum()
    }

    /// Returns the seconds that all requests take.
    fn seconds(&self, prices: &Prices) -> f64 {
        self.requests.values().map(|request| request.seconds(prices)).sum()
    }

    /// Returns the seconds that the requests take that do not wait for their readers.
    fn ready_seconds(&self, prices: &Prices) -> f64 {
        let ready = self.requests.values().filter(|request| !request.blocked);
        ready.map(|request| request.seconds(prices)).sum()
    }

    /// Returns the seconds that were admitted lately.
    fn lately(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.lately * (-passed / LATELY.as_secs_f64()).exp()
    }
}

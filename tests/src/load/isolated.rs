//! What a request takes when it is alone: the measure of every objective.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::ensure;
use tokio::time::Instant;
use tonic::transport::Channel;

use crate::load::call::Call;
use crate::load::mix::{Mix, Planned, Reader, Shape};
use crate::load::quantiles::median;
use crate::load::record::Outcome;

/// Seconds of a request alone: for each number of samples and each use of guidance, a constant and
/// seconds a step.
#[derive(Debug, Clone)]
pub struct Isolated(BTreeMap<(u32, bool), (f64, f64)>);

/// Steps at which times are measured; the others lie on the line through the two.
const STEPS: [u32; 2] = [10, 50];

/// Runs of one sample, of which the median counts; the more samples, the fewer, since many in
/// one run even out.
const RUNS: u32 = 5;

impl Isolated {
    /// Measures the shapes of a mix on an idle server.
    ///
    /// # Errors
    ///
    /// A request did not complete.
    pub async fn measure(channel: &Channel, mix: &Mix) -> anyhow::Result<Self> {
        let mut lines = BTreeMap::new();
        for (samples, _) in &mix.samples {
            for guided in [false, true] {
                if guided && mix.guided <= 0.0 {
                    continue;
                }
                let mut times = [0.0; 2];
                for (time, steps) in times.iter_mut().zip(STEPS) {
                    let model = mix.model.clone();
                    *time =
                        alone(channel, Shape { model, samples: *samples, steps, guided }).await?;
                }
                let slope = (times[1] - times[0]).max(0.0) / f64::from(STEPS[1] - STEPS[0]);
                let constant = (times[0] - slope * f64::from(STEPS[0])).max(0.0);
                lines.insert((*samples, guided), (constant, slope));
            }
        }
        Ok(Self(lines))
    }

    /// Returns the time of a shape alone; `None` if its number of samples was not measured.
    #[must_use]
    pub fn time(&self, shape: &Shape) -> Option<Duration> {
        let (constant, slope) = self.0.get(&(shape.samples, shape.guided))?;
        Some(Duration::from_secs_f64(constant + slope * f64::from(shape.steps)))
    }

    /// Returns `factor` times the time alone, and `more`; no time at all for unknown shapes.
    #[must_use]
    pub fn objective(&self, planned: &Planned, factor: f64, more: Duration) -> Duration {
        self.time(&planned.shape).map_or(Duration::ZERO, |time| time.mul_f64(factor) + more)
    }
}

async fn alone(channel: &Channel, shape: Shape) -> anyhow::Result<f64> {
    let mut times = Vec::new();
    for seed in 0..u64::from((16 / shape.samples.max(1)).clamp(1, RUNS)) {
        let reader = Reader::Eager;
        let planned =
            Planned { at: Duration::ZERO, shape: shape.clone(), reader, seed, deadline: None };
        let record = Call::new(channel.clone(), planned, Instant::now()).run().await;
        ensure!(record.outcome == Outcome::Completed, "{shape:?} alone: {:?}", record.outcome);
        times.push(record.end.as_secs_f64());
    }
    Ok(median(&times))
}

//! What a trainer of a team has beyond one that is alone.

use std::sync::Arc;

use ddpm_torch::distributed::Reducer;
use tch::{TchError, Tensor};

use super::super::{Stop, TrainError};
use super::{Order, Team};

/// One of several networks that hold the same weights and take the same steps.
#[derive(Debug)]
pub(in crate::train) struct Replica {
    reducer: Reducer,
    team: Arc<Team>,
    stop: Stop,
}

impl Replica {
    /// Averages the gradients of `parameters` over the team from here on.
    ///
    /// * `stop`: is asked as soon as that of any rank is.
    pub(in crate::train) fn new(
        team: Arc<Team>,
        parameters: &[Tensor],
        stop: Stop,
    ) -> Result<Self, TrainError> {
        let reducer = Reducer::new(team.group(), parameters, Reducer::BUCKET_BYTES)?;
        Ok(Self { reducer, team, stop })
    }

    pub(in crate::train) fn team(&self) -> &Team {
        &self.team
    }

    /// Before a step: rank 0 tells the others to take it too.
    pub(in crate::train) fn begin_step(&self) -> Result<(), TrainError> {
        if self.team.leads() { Order::Step.give(&self.team) } else { Ok(()) }
    }

    /// The backward pass of this rank's share; leaves the gradients of the whole batch.
    pub(in crate::train) fn backward(&self, loss: &Tensor) -> Result<(), TrainError> {
        self.reducer.prepare()?;
        loss.f_backward().map_err(|error| self.explain(error))
    }

    /// The loss of the whole batch, from that of this rank's share. Every rank learns here of a
    /// signal that another one got.
    pub(in crate::train) fn end_step(&self, loss: f64) -> Result<f64, TrainError> {
        let mut numbers = vec![0.0; 1 + self.team.size()];
        numbers[0] = loss;
        numbers[1 + self.team.rank()] = f64::from(self.stop.requested().unwrap_or(0));
        let numbers = self.team.sum(&numbers)?;
        // Signals are small numbers, which sums of zeros keep exactly.
        let signal = numbers[1..].iter().fold(0.0_f64, |signal, &other| signal.max(other));
        if signal > 0.0 && self.stop.requested().is_none() {
            self.stop.request(signal as i32);
        }
        Ok(numbers[0] / self.team.size() as f64)
    }

    /// While rank 0 does something alone: it tells the others that it is still there.
    pub(in crate::train) fn hold(&self) -> Result<(), TrainError> {
        if self.team.leads() { Order::Wait.give(&self.team) } else { Ok(()) }
    }

    /// After the last step: rank 0 tells the others that it was.
    pub(in crate::train) fn end(&self, signal: Option<i32>) -> Result<(), TrainError> {
        if self.team.leads() {
            Order::End { signal }.give(&self.team)?;
        }
        self.team.meet()
    }

    /// An error of the backward pass is one of libtorch, or of the collectives inside it.
    fn explain(&self, error: TchError) -> TrainError {
        match &error {
            TchError::Torch(words) if words.contains("gloo") || words.contains("NCCL") => {
                let error = ddpm_torch::Error::Torch(words.clone());
                self.team.group().lost("the mean of the gradients", error).into()
            }
            _ => error.into(),
        }
    }
}

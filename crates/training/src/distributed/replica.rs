//! What a trainer needs in addition when it is part of a team.

use std::sync::Arc;

use ddpm_torch::distributed::Reducer;
use tch::{TchError, Tensor};

use crate::distributed::command::Command;
use crate::distributed::team::Team;
use crate::error::TrainError;
use crate::signals::Signals;

/// One of several networks that hold the same weights and take the same steps.
#[derive(Debug)]
pub(crate) struct Replica {
    reducer: Reducer,
    team: Arc<Team>,
    signals: Signals,
}

impl Replica {
    /// Averages the gradients of `parameters` over the team from here on.
    ///
    /// * `signals`: a request on one rank becomes a request on every rank.
    pub(crate) fn new(
        team: Arc<Team>,
        parameters: &[Tensor],
        signals: Signals,
    ) -> Result<Self, TrainError> {
        let reducer = Reducer::new(team.group(), parameters, Reducer::BUCKET_BYTES)?;
        Ok(Self { reducer, team, signals })
    }

    pub(crate) fn team(&self) -> &Team {
        &self.team
    }

    /// Makes the other ranks take the next step too; does nothing on those.
    pub(crate) fn begin_step(&self) -> Result<(), TrainError> {
        if self.team.leads() { Command::Step.send(&self.team) } else { Ok(()) }
    }

    /// Runs the backward pass of this rank's share; leaves the gradients of the whole batch.
    pub(crate) fn backward(&self, loss: &Tensor) -> Result<(), TrainError> {
        self.reducer.prepare()?;
        loss.f_backward().map_err(|error| self.explain(error))
    }

    /// Returns the loss of the whole batch, given that of this rank's share. It also passes on the
    /// signals that any rank has received.
    pub(crate) fn end_step(&self, loss: f64) -> Result<f64, TrainError> {
        let mut numbers = vec![0.0; 2 + self.team.size()];
        numbers[0] = loss;
        numbers[1] = f64::from(u8::from(self.signals.take_save_request()));
        numbers[2 + self.team.rank()] = f64::from(self.signals.stop_requested().unwrap_or(0));
        let numbers = self.team.sum(&numbers)?;
        // Only rank 0 saves.
        if numbers[1] > 0.0 && self.team.leads() {
            self.signals.request_save();
        }
        // Each signal is added to zeros only, so the sum is exact.
        let signal = numbers[2..].iter().fold(0.0_f64, |signal, &other| signal.max(other));
        if signal > 0.0 && self.signals.stop_requested().is_none() {
            self.signals.request_stop(signal as i32);
        }
        Ok(numbers[0] / self.team.size() as f64)
    }

    /// Tells the other ranks that rank 0 is busy with something that it does alone.
    pub(crate) fn keep_alive(&self) -> Result<(), TrainError> {
        if self.team.leads() { Command::Wait.send(&self.team) } else { Ok(()) }
    }

    /// Tells the other ranks that there are no more steps, and waits for all of them.
    pub(crate) fn end(&self, signal: Option<i32>) -> Result<(), TrainError> {
        if self.team.leads() {
            Command::End { signal }.send(&self.team)?;
        }
        self.team.barrier()
    }

    /// Distinguishes errors of collectives inside a backward pass from libtorch's other errors.
    fn explain(&self, error: TchError) -> TrainError {
        match &error {
            TchError::Torch(message) if message.contains("gloo") || message.contains("NCCL") => {
                let error = ddpm_torch::Error::Torch(message.clone());
                self.team.group().lost("the mean of the gradients", error).into()
            }
            _ => error.into(),
        }
    }
}

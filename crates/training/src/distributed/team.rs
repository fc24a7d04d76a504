//! Processes that train one network together, and their collective operations.

use std::ops::Range;
use std::time::Duration;

use ddpm_torch::distributed::{Backend, GroupError, Launch, ProcessGroup, Reduce};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Device, Tensor};

use crate::error::TrainError;

/// The connected processes of a run.
#[derive(Debug)]
pub struct Team {
    group: ProcessGroup,
    device: Device,
}

impl Team {
    /// Connects to the other processes.
    ///
    /// * `device`: where this process computes; the same kind of device on all ranks.
    /// * `timeout`: how long a rank may be silent before the others give up.
    ///
    /// # Errors
    ///
    /// As [`ProcessGroup::join`].
    pub fn join(launch: Launch, device: Device, timeout: Duration) -> Result<Self, GroupError> {
        Ok(Self { group: ProcessGroup::join(launch, Backend::of(device), timeout)?, device })
    }

    /// Returns the number of this process, from 0.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.group.launch().rank
    }

    /// Returns the number of processes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.group.launch().world_size
    }

    /// Returns whether this process leads: it writes, and the others follow.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.group.launch().leads()
    }

    /// Returns whether the launcher has started the processes again after one of them failed.
    #[must_use]
    pub fn restarted(&self) -> bool {
        self.group.launch().restarts > 0
    }

    /// Returns the positions of a batch that this process trains on.
    ///
    /// # Errors
    ///
    /// [`TrainError::Setting`] if the batch cannot be shared evenly: then the mean over ranks would
    /// not be the mean over the batch.
    pub fn share(&self, batch_size: usize) -> Result<Range<usize>, TrainError> {
        share(batch_size, self.rank(), self.size())
    }

    /// Sends a message of rank 0 to all ranks; the others pass `None`.
    ///
    /// # Errors
    ///
    /// [`TrainError::Group`] if a rank is lost.
    ///
    /// # Panics
    ///
    /// If rank 0 passes no message, or the message cannot be written as JSON.
    pub fn broadcast<T: Serialize + DeserializeOwned>(
        &self,
        message: Option<&T>,
    ) -> Result<T, TrainError> {
        let json = if self.leads() {
            let message = message.expect("rank 0 passes a message");
            serde_json::to_vec(message).expect("settings are JSON")
        } else {
            Vec::new()
        };
        let [len] = self.broadcast_numbers([json.len() as i64])?;
        let mut bytes = if self.leads() {
            Tensor::f_from_slice(&json)?.f_to_device(self.device)?
        } else {
            Tensor::f_zeros([len], (tch::Kind::Uint8, self.device))?
        };
        self.group.broadcast(&mut bytes, 0)?.wait()?;
        let json = Vec::<u8>::try_from(bytes.f_to_device(Device::Cpu)?)?;
        Ok(serde_json::from_slice(&json).expect("rank 0 runs the same program"))
    }

    /// Sends the numbers of rank 0 to all ranks.
    pub(super) fn broadcast_numbers<const N: usize>(
        &self,
        numbers: [i64; N],
    ) -> Result<[i64; N], TrainError> {
        let mut tensor = Tensor::f_from_slice(&numbers)?.f_to_device(self.device)?;
        self.group.broadcast(&mut tensor, 0)?.wait()?;
        let received = Vec::<i64>::try_from(tensor.f_to_device(Device::Cpu)?)?;
        Ok(std::array::from_fn(|i| received[i]))
    }

    /// Sums the numbers of all ranks elementwise.
    pub(super) fn sum(&self, numbers: &[f64]) -> Result<Vec<f64>, TrainError> {
        let mut tensor = Tensor::f_from_slice(numbers)?.f_to_device(self.device)?;
        self.group.all_reduce(&mut tensor, Reduce::Sum)?.wait()?;
        Ok(Vec::<f64>::try_from(tensor.f_to_device(Device::Cpu)?)?)
    }

    /// Copies the tensors of rank 0 into those of the other ranks.
    pub(crate) fn broadcast_tensors(
        &self,
        tensors: Vec<(String, Tensor)>,
    ) -> Result<(), TrainError> {
        let _no_grad = tch::no_grad_guard();
        for (_, mut tensor) in tensors {
            // A broadcast copies memory as it lies, which may be channels last on some ranks.
            let mut plain = tensor.f_detach()?.f_contiguous()?;
            self.group.broadcast(&mut plain, 0)?.wait()?;
            if !self.leads() {
                tensor.f_copy_(&plain)?;
            }
        }
        Ok(())
    }

    /// Concatenates the values of all ranks, equally many on each, on rank 0; returns an empty
    /// vector on the others.
    pub(crate) fn gather(&self, values: &[f32]) -> Result<Vec<f32>, TrainError> {
        let mine = Tensor::f_from_slice(values)?.f_to_device(self.device)?;
        let mut parts = Vec::new();
        if self.leads() {
            for _ in 0..self.size() {
                parts.push(mine.f_zeros_like()?);
            }
        }
        self.group.gather(&mine, &mut parts, 0)?.wait()?;
        let parts: Vec<Vec<f32>> = parts
            .iter()
            .map(|part| Vec::try_from(part.f_to_device(Device::Cpu)?))
            .collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }

    /// Waits until every rank has called this.
    pub(super) fn barrier(&self) -> Result<(), TrainError> {
        Ok(self.group.barrier()?)
    }

    pub(super) fn group(&self) -> &ProcessGroup {
        &self.group
    }
}

fn share(batch_size: usize, rank: usize, size: usize) -> Result<Range<usize>, TrainError> {
    if !batch_size.is_multiple_of(size) {
        let (below, above) = (batch_size / size * size, batch_size.div_ceil(size) * size);
        let near = if below > 0 { format!("{below} or {above}") } else { above.to_string() };
        let problem = format!(
            "is {batch_size}, which {size} processes cannot share evenly: use {near}, or another \
             number of processes"
        );
        return Err(TrainError::Setting { setting: "batch_size", problem });
    }
    let each = batch_size / size;
    Ok(rank * each..(rank + 1) * each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_the_whole_batch_in_the_order_of_ranks() {
        let positions: Vec<_> = (0..3).flat_map(|rank| share(12, rank, 3).unwrap()).collect();
        assert!(positions.into_iter().eq(0..12));
        assert_eq!(share(7, 0, 1).unwrap(), 0..7);
    }

    #[test]
    fn a_batch_that_does_not_divide_is_refused_with_sizes_that_do() {
        let refused = |batch_size, size| share(batch_size, 0, size).unwrap_err().to_string();
        assert!(
            refused(10, 4).contains("batch_size is 10, which 4 processes"),
            "{}",
            refused(10, 4)
        );
        assert!(refused(10, 4).contains("use 8 or 12"));
        assert!(refused(3, 4).contains("use 4, or"));
    }
}

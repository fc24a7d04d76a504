//! The rows of a batch on all cores of the processor, each thread with its share.
//!
//! libtorch splits every operation over its threads, which wait for each other after each: in small
//! networks and for small batches about as long as they compute. Here each thread takes whole rows
//! through the whole network and back by itself, and they meet once a pass.
//!
//! Dropout does not depend on the shares, and gradients are added in their order: other threads round
//! sums otherwise, and with as many, a run gives the same bits whenever it is run.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use ddpm_torch::{clear_grads, move_grads};
use tch::{Device, Tensor, nn};

use super::pass::Pass;
use super::{Batch, Draws, TrainError};
use crate::model::Network;

/// Every worker has gradients of its own: this is how much memory those of all may take.
const GRADIENT_BYTES: usize = 1 << 30;

/// Updates of fewer bytes of parameters are over before other threads have woken up.
const SMALL_BYTES: usize = 4 << 20;

/// Threads that share the work of a pass.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Vec<Worker>,
    bytes: usize,
}

/// While it lives, operations of this thread are not split over others. After one that is, the
/// others look out for the next for some milliseconds, and take their cores from the workers.
pub(super) struct OneThread(());

/// One of them, and its copy of the network: the weights are the trainer's own, the gradients are not.
#[derive(Debug)]
struct Worker {
    parameters: Vec<Tensor>,
    jobs: Option<SyncSender<Job>>,
    losses: Receiver<Result<f64, TrainError>>,
    thread: Option<JoinHandle<()>>,
}

/// Rows to take through the network and back.
struct Job {
    rows: Batch,
    /// What their loss counts.
    share: f64,
}

impl Workers {
    /// As many as there are threads, rows and memory for; none if that is one. Threads that are left
    /// over share the operations of a worker.
    ///
    /// * `rows`: of a pass.
    /// * `threads`: of libtorch.
    pub(super) fn start(
        network: &Network,
        pass: Pass,
        draws: &Draws,
        rows: usize,
        threads: usize,
    ) -> Result<Option<Self>, TrainError> {
        let parameters = network.parameters();
        let bytes = parameters.iter().map(|(_, tensor)| 4 * tensor.numel()).sum::<usize>();
        let count = threads.min(rows).min(GRADIENT_BYTES / bytes.max(1));
        if pass.device != Device::Cpu || count < 2 {
            return Ok(None);
        }
        let workers = (0..count).map(|_| Worker::start(network, pass, draws, threads / count));
        let workers = workers.collect::<Result<_, _>>()?;
        // What a thread asks of libtorch for itself is also what new threads begin with.
        tch::set_num_threads(threads as i32);
        Ok(Some(Self { workers, bytes }))
    }

    pub(super) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Updates of small networks are for this thread alone, while the guard lives.
    pub(super) fn narrow(&self) -> Option<OneThread> {
        (self.bytes < SMALL_BYTES).then(OneThread::begin)
    }

    /// Takes a batch in `accumulation` parts through the network and back.
    ///
    /// Returns its loss; the gradients are added to those of `parameters`.
    pub(super) fn gradients(
        &mut self,
        batch: &Batch,
        accumulation: usize,
        parameters: &[Tensor],
    ) -> Result<f64, TrainError> {
        for worker in &self.workers {
            clear_grads(&worker.parameters)?;
        }
        let mut loss = 0.0;
        for (part_share, part) in batch.parts(accumulation) {
            let mut busy = Vec::new();
            let shares = part.parts(self.workers.len());
            for (worker, (share, rows)) in self.workers.iter_mut().zip(shares) {
                worker.give(Job { rows, share: part_share * share });
                busy.push(worker);
            }
            // All are heard, so that none is at work when a step is given up.
            let losses: Vec<_> = busy.into_iter().map(Worker::hear).collect();
            for share in losses {
                loss += share?;
            }
        }
        for worker in &self.workers {
            move_grads(&worker.parameters, parameters)?;
        }
        Ok(loss)
    }
}

impl OneThread {
    fn begin() -> Self {
        tch::set_num_threads(1);
        Self(())
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        tch::set_num_threads(threads() as i32);
    }
}

impl Worker {
    fn start(
        network: &Network,
        pass: Pass,
        draws: &Draws,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let copy = Network::new(&nn::VarStore::new(Device::Cpu).root(), network.config())?;
        let parameters: Vec<Tensor> = copy.parameters().into_iter().map(|(_, own)| own).collect();
        for ((_, shared), own) in network.parameters().iter().zip(&parameters) {
            own.shallow_clone().f_set_data(&shared.f_detach()?)?;
        }
        let (jobs, given) = sync_channel(1);
        let (done, losses) = sync_channel(1);
        let draws = draws.clone();
        let (ready, started) = sync_channel(1);
        let thread = thread::spawn(move || {
            // A thread that has not asked yet takes the global number when it first computes.
            tch::get_num_threads();
            tch::set_num_threads(threads as i32);
            let heard = ready.send(()).is_ok();
            let work = |job| work(&copy, pass, &draws, &job);
            while heard && let Ok(job) = given.recv() {
                if done.send(work(job)).is_err() {
                    break; // Nobody wants more.
                }
            }
        });
        // If it died instead, its first job finds out.
        let _ = started.recv();
        Ok(Self { parameters, jobs: Some(jobs), losses, thread: Some(thread) })
    }

    fn give(&self, job: Job) {
        // Who cannot take it has panicked, which `hear` passes on.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// The loss of the job that was given, counted by its share.
    ///
    /// # Panics
    ///
    /// If the thread did.
    fn hear(&mut self) -> Result<f64, TrainError> {
        match self.losses.recv() {
            Ok(loss) => loss,
            Err(_) => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => resume_unwind(panic),
                _ => unreachable!("a worker ends only when its trainer does"),
            },
        }
    }
}

impl Drop for Worker {
    /// Ends the thread.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic was already printed; nobody wants its gradients any more.
            let _ = thread.join();
        }
    }
}

fn work(network: &Network, pass: Pass, draws: &Draws, job: &Job) -> Result<f64, TrainError> {
    let loss = pass.loss(network, Some(draws), &job.rows)? * job.share;
    loss.f_backward()?;
    Ok(loss.f_double_value(&[])?)
}

/// How many threads libtorch has on the CPU, as it was when training began: from then on workers
/// ask it for other numbers.
pub(super) fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests;

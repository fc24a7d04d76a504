//! Spreads the rows of a batch over the cores of the processor.
//!
//! libtorch splits every operation over its threads, which wait for each other after each one: for
//! small networks and small batches, about as long as they compute. Here each thread takes whole
//! rows through the whole network and back by itself, and they meet once per pass.
//!
//! Dropout does not depend on the shares, and gradients are added in a fixed order. So the number
//! of threads affects how sums are rounded, and a run with the same number gives the same bits.

use std::panic::resume_unwind;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use ddpm_network::Network;
use ddpm_torch::{clear_grads, move_grads};
use tch::{Device, Tensor, nn};

use crate::batching::{Batch, StepDraws};
use crate::error::TrainError;
use crate::step::pass::Pass;

/// Most memory for gradients: every worker has its own.
const GRADIENT_BYTES: usize = 1 << 30;

/// An update of fewer parameter bytes ends before other threads wake up.
const SMALL_BYTES: usize = 4 << 20;

/// Threads that share the work of a pass.
#[derive(Debug)]
pub(crate) struct Workers {
    workers: Vec<Worker>,
    bytes: usize,
}

/// While it lives, libtorch does not split operations of this thread over others. After an
/// operation that is split, the other threads spin for some milliseconds, on cores that the workers
/// need.
pub(crate) struct SingleThread(());

/// A thread with its copy of the network, which shares the trainer's weights but not its gradients.
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
    /// The weight of their loss.
    share: f64,
}

impl Workers {
    /// Starts as many workers as threads, rows and memory allow; none if that is only one.
    /// Left-over threads share the operations of the workers.
    ///
    /// * `rows`: rows per pass.
    /// * `threads`: libtorch's threads.
    pub(crate) fn start(
        network: &Network,
        pass: Pass,
        draws: &StepDraws,
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
        // A worker sets its own number, which also becomes the default of new threads: restore it.
        tch::set_num_threads(threads as i32);
        Ok(Some(Self { workers, bytes }))
    }

    pub(crate) fn count(&self) -> usize {
        self.workers.len()
    }

    /// Keeps the updates of a small network on this thread while the guard lives.
    pub(crate) fn single_thread(&self) -> Option<SingleThread> {
        (self.bytes < SMALL_BYTES).then(SingleThread::begin)
    }

    /// Takes a batch in `accumulation` parts through the network and back.
    ///
    /// Returns its loss, and adds the gradients to those of `parameters`.
    pub(crate) fn gradients(
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
                worker.send(Job { rows, share: part_share * share });
                busy.push(worker);
            }
            // Waits for all of them even after an error: none may still be at work on return.
            let losses: Vec<_> = busy.into_iter().map(Worker::receive).collect();
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

impl SingleThread {
    fn begin() -> Self {
        tch::set_num_threads(1);
        Self(())
    }
}

impl Drop for SingleThread {
    fn drop(&mut self) {
        tch::set_num_threads(threads() as i32);
    }
}

impl Worker {
    fn start(
        network: &Network,
        pass: Pass,
        draws: &StepDraws,
        threads: usize,
    ) -> Result<Self, TrainError> {
        let copy = Network::new(&nn::VarStore::new(Device::Cpu).root(), network.config())?;
        let parameters: Vec<Tensor> = copy.parameters().into_iter().map(|(_, own)| own).collect();
        for ((_, shared), own) in network.parameters().iter().zip(&parameters) {
            own.shallow_clone().f_set_data(&shared.f_detach()?)?;
        }
        let (jobs, incoming) = sync_channel(1);
        let (results, losses) = sync_channel(1);
        let draws = draws.clone();
        let (ready, started) = sync_channel(1);
        let thread = thread::spawn(move || {
            // libtorch resets a thread's number to the global one at first use: do that now.
            tch::get_num_threads();
            tch::set_num_threads(threads as i32);
            let awaited = ready.send(()).is_ok();
            let work = |job| work(&copy, pass, &draws, &job);
            while awaited && let Ok(job) = incoming.recv() {
                if results.send(work(job)).is_err() {
                    break; // The trainer is gone.
                }
            }
        });
        // If the thread has died instead, its first job finds out.
        let _ = started.recv();
        Ok(Self { parameters, jobs: Some(jobs), losses, thread: Some(thread) })
    }

    fn send(&self, job: Job) {
        // A thread that cannot receive has panicked, which `receive` passes on.
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send(job);
        }
    }

    /// Waits for the weighted loss of the job that was sent.
    ///
    /// # Panics
    ///
    /// If the thread has panicked.
    fn receive(&mut self) -> Result<f64, TrainError> {
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
            // A panic was already printed, and the gradients are no longer needed.
            let _ = thread.join();
        }
    }
}

fn work(network: &Network, pass: Pass, draws: &StepDraws, job: &Job) -> Result<f64, TrainError> {
    let loss = pass.loss(network, Some(draws), &job.rows)? * job.share;
    loss.f_backward()?;
    Ok(loss.f_double_value(&[])?)
}

/// Returns libtorch's number of threads on the CPU at the first call: later, workers set other
/// numbers.
pub(crate) fn threads() -> usize {
    static THREADS: OnceLock<usize> = OnceLock::new();
    *THREADS.get_or_init(|| usize::try_from(tch::get_num_threads()).unwrap_or(1).max(1))
}

#[cfg(test)]
mod tests;

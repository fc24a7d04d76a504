//! Connected processes and their collectives.

use std::ffi::{CString, c_int, c_void};
use std::marker::PhantomData;
use std::time::Duration;
use std::{env, fmt, ptr};

use tch::{Device, Tensor};

use super::{GroupError, Launch};
use crate::Error;
use crate::ffi::{self, Status, check, raw, raw_list};

/// Longest time that processes wait for each other to start.
const JOIN_LIMIT: Duration = Duration::from_secs(300);

/// Whether this build has NCCL, through which GPUs work together. It is linked if its headers lie
/// beside libtorch, where `make setup DEVICE=cuda` puts them. The program then needs libtorch's
/// CUDA libraries to start, but no GPU.
pub const HAS_NCCL: bool = cfg!(nccl);

/// Transport of tensors between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// TCP, for tensors on the CPU. GLOO_SOCKET_IFNAME overrides the network interface, by default
    /// that of the host's name.
    Gloo,
    /// NCCL, for tensors on the GPU of this number.
    Nccl(usize),
}

impl Backend {
    /// Returns the backend for tensors on `device`.
    #[must_use]
    pub fn of(device: Device) -> Self {
        match device {
            Device::Cuda(gpu) => Self::Nccl(gpu),
            _ => Self::Gloo,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gloo => "gloo",
            Self::Nccl(_) => "nccl",
        }
    }

    /// Returns the number of the GPU; −1 for none.
    fn gpu(self) -> c_int {
        match self {
            Self::Gloo => -1,
            Self::Nccl(gpu) => gpu as c_int,
        }
    }
}

/// How the values of all ranks are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduce {
    /// Their sum.
    Sum,
    /// The largest.
    Max,
}

/// Connected processes. Each must call the same collectives in the same order.
pub struct ProcessGroup {
    raw: *mut c_void,
    launch: Launch,
    backend: Backend,
    timeout: Duration,
}

// SAFETY: c10d's process groups may be called from any thread.
unsafe impl Send for ProcessGroup {}
// SAFETY: they lock the state that calls share.
unsafe impl Sync for ProcessGroup {}

impl ProcessGroup {
    /// Connects to the other processes described by the variables of [`Launch::from_env`].
    ///
    /// # Errors
    ///
    /// As [`ProcessGroup::join`], and [`GroupError::Launch`] if the variables are missing.
    pub fn from_env(backend: Backend, timeout: Duration) -> Result<Self, GroupError> {
        Self::join(Launch::from_env()?, backend, timeout)
    }

    /// Connects to the other processes, waiting for all of them at most five minutes or `timeout`,
    /// whichever is shorter.
    ///
    /// * `timeout`: time limit of a collective, including the slowest rank's work before it.
    ///
    /// # Errors
    ///
    /// [`GroupError::Join`] if not all connect, or their backends differ; [`GroupError::NoNccl`] if
    /// the backend is not part of this build.
    pub fn join(launch: Launch, backend: Backend, timeout: Duration) -> Result<Self, GroupError> {
        if backend != Backend::Gloo && !HAS_NCCL {
            return Err(GroupError::NoNccl);
        }
        let mut out = ptr::null_mut();
        let failed = |reason: String| GroupError::Join {
            rank: launch.rank,
            world_size: launch.world_size,
            address: format!("{}:{}", launch.master_addr, launch.master_port),
            reason,
        };
        let text = |text: String| {
            CString::new(text).map_err(|_| failed("a variable holds a zero byte".to_owned()))
        };
        let host = text(launch.master_addr.clone())?;
        // Launchers keep their store across restarts, so each start has its own keys.
        let prefix = text(format!("ddpm/{}", launch.restarts))?;
        let greeting = text(format!("{} {}", env!("CARGO_PKG_VERSION"), backend.name()))?;
        let interface = text(env::var("GLOO_SOCKET_IFNAME").unwrap_or_default())?;
        // SAFETY: passes strings that outlive the call, and a place for the group.
        let status = unsafe {
            ffi::ddpm_torch_group_join(
                host.as_ptr(),
                launch.master_port,
                c_int::from(launch.leads() && !launch.agent_store),
                launch.rank as c_int,
                launch.world_size as c_int,
                prefix.as_ptr(),
                greeting.as_ptr(),
                c_int::from(backend != Backend::Gloo),
                interface.as_ptr(),
                millis(timeout.min(JOIN_LIMIT)),
                millis(timeout),
                &mut out,
            )
        };
        check(status).map_err(|error| failed(reason(error)))?;
        Ok(Self { raw: out, launch, backend, timeout })
    }

    /// Returns rank and address of this process.
    #[must_use]
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Returns the transport of the tensors.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// Starts to replace `tensor` on all ranks by the sum or maximum over the ranks.
    ///
    /// # Errors
    ///
    /// [`GroupError::Lost`] if it cannot start.
    pub fn all_reduce<'t>(
        &self,
        tensor: &'t mut Tensor,
        reduce: Reduce,
    ) -> Result<Work<'t>, GroupError> {
        let max = c_int::from(reduce == Reduce::Max);
        // SAFETY: passes a live group and tensor, and a place for the work.
        self.start("all_reduce", |out| unsafe {
            ffi::ddpm_torch_all_reduce(self.raw, raw(tensor), max, out)
        })
    }

    /// Starts to copy `tensor` from rank `root` to all others; it has the same shape and type on
    /// all.
    ///
    /// # Errors
    ///
    /// [`GroupError::Lost`] if it cannot start.
    pub fn broadcast<'t>(
        &self,
        tensor: &'t mut Tensor,
        root: usize,
    ) -> Result<Work<'t>, GroupError> {
        // SAFETY: passes a live group and tensor, and a place for the work.
        self.start("broadcast", |out| unsafe {
            ffi::ddpm_torch_broadcast(self.raw, raw(tensor), root as c_int, out)
        })
    }

    /// Starts to copy `tensor` from every rank to rank `root`; all have one shape.
    ///
    /// * `parts`: on rank `root` one tensor like `tensor` per rank, in rank order; empty on the
    ///   others.
    ///
    /// # Errors
    ///
    /// [`GroupError::Lost`] if it cannot start.
    pub fn gather<'t>(
        &self,
        tensor: &'t Tensor,
        parts: &'t mut [Tensor],
        root: usize,
    ) -> Result<Work<'t>, GroupError> {
        let parts = raw_list(parts);
        // SAFETY: passes a live group and tensors, and a place for the work.
        self.start("gather", |out| unsafe {
            let (parts, len) = (parts.as_ptr(), parts.len());
            ffi::ddpm_torch_gather(self.raw, raw(tensor), parts, len, root as c_int, out)
        })
    }

    /// Waits until every rank has called this.
    ///
    /// # Errors
    ///
    /// [`GroupError::Lost`] if one does not.
    pub fn barrier(&self) -> Result<(), GroupError> {
        // SAFETY: passes a live group, and a place for the work.
        self.start("barrier", |out| unsafe {
            ffi::ddpm_torch_barrier(self.raw, self.backend.gpu(), out)
        })?
        .wait()
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.raw
    }

    fn start<'t>(
        &self,
        doing: &'static str,
        call: impl FnOnce(*mut *mut c_void) -> Status,
    ) -> Result<Work<'t>, GroupError> {
        let mut out = ptr::null_mut();
        check(call(&mut out)).map_err(|error| self.lost(doing, error))?;
        let lost = Lost { launch: self.launch.clone(), timeout: self.timeout, doing };
        Ok(Work { raw: out, lost, _tensors: PhantomData })
    }

    /// Converts libtorch's error in a collective.
    #[must_use]
    pub fn lost(&self, doing: &'static str, error: Error) -> GroupError {
        Lost { launch: self.launch.clone(), timeout: self.timeout, doing }.because(error)
    }
}

impl fmt::Debug for ProcessGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessGroup")
            .field("launch", &self.launch)
            .field("backend", &self.backend)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // SAFETY: created by `join`, and freed once.
        unsafe { ffi::ddpm_torch_group_free(self.raw) };
    }
}

/// A collective in progress. Its tensors are valid after [`wait`](Self::wait).
#[derive(Debug)]
#[must_use = "tensors are not valid before `wait`"]
pub struct Work<'t> {
    raw: *mut c_void,
    lost: Lost,
    _tensors: PhantomData<&'t mut Tensor>,
}

impl Work<'_> {
    /// Waits until it completes.
    ///
    /// # Errors
    ///
    /// [`GroupError::Lost`] if another rank ended, or did not take part in time.
    pub fn wait(self) -> Result<(), GroupError> {
        // SAFETY: passes a live work.
        check(unsafe { ffi::ddpm_torch_work_wait(self.raw) })
            .map_err(|error| self.lost.because(error))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        // SAFETY: created by `start`, and freed once; c10d holds the tensors until it completes.
        unsafe { ffi::ddpm_torch_work_free(self.raw) };
    }
}

/// Context for a [`GroupError::Lost`].
#[derive(Debug, Clone)]
struct Lost {
    launch: Launch,
    timeout: Duration,
    doing: &'static str,
}

impl Lost {
    fn because(&self, error: Error) -> GroupError {
        GroupError::Lost {
            rank: self.launch.rank,
            world_size: self.launch.world_size,
            doing: self.doing,
            timeout: self.timeout,
            reason: reason(error),
        }
    }
}

/// Returns the first line of libtorch's message: its stack and advice to its developers follow.
fn reason(error: Error) -> String {
    let message = match error {
        Error::Torch(message) => message,
        other => other.to_string(),
    };
    message.lines().next().unwrap_or_default().to_owned()
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

//! The C interface of the shim: declarations, and errors converted to `Result`.

use std::ffi::{CStr, c_char, c_double, c_int, c_void};

use tch::Tensor;

use crate::Error;

/// Null for success, or a message that the C++ side owns until this thread's next call.
pub(crate) type Status = *const c_char;

/// A borrowed `at::Tensor*`.
pub(crate) type RawTensor = *const c_void;

unsafe extern "C" {
    pub(crate) fn ddpm_torch_load_cuda() -> Status;
    pub(crate) fn ddpm_torch_fused_adam(
        params: *const RawTensor,
        grads: *const RawTensor,
        exp_avg: *const RawTensor,
        exp_avg_sq: *const RawTensor,
        steps: *const RawTensor,
        len: usize,
        lr: c_double,
        beta1: c_double,
        beta2: c_double,
        eps: c_double,
        weight_decay: c_double,
    ) -> Status;
    pub(crate) fn ddpm_torch_lerp(
        targets: *const RawTensor,
        sources: *const RawTensor,
        len: usize,
        weight: c_double,
    ) -> Status;
    pub(crate) fn ddpm_torch_clip_grad_norm(
        grads: *const RawTensor,
        len: usize,
        max_norm: c_double,
        norm: *mut c_double,
    ) -> Status;
    pub(crate) fn ddpm_torch_clear_grads(params: *const RawTensor, len: usize) -> Status;
    pub(crate) fn ddpm_torch_move_grads(
        from: *const RawTensor,
        into: *const RawTensor,
        len: usize,
    ) -> Status;
    pub(crate) fn ddpm_torch_leaky_relu(
        tensor: RawTensor,
        slope: c_double,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_autocast_get(
        cuda: c_int,
        enabled: *mut c_int,
        dtype: *mut c_int,
    ) -> Status;
    pub(crate) fn ddpm_torch_autocast_enter_bf16(cuda: c_int) -> Status;
    pub(crate) fn ddpm_torch_autocast_leave(cuda: c_int, enabled: c_int, dtype: c_int) -> Status;
    pub(crate) fn ddpm_torch_keep_freed_memory();
    pub(crate) fn ddpm_torch_set_channels_last(tensor: RawTensor) -> Status;
    pub(crate) fn ddpm_torch_group_join(
        host: *const c_char,
        port: u16,
        serves: c_int,
        rank: c_int,
        size: c_int,
        prefix: *const c_char,
        greeting: *const c_char,
        use_nccl: c_int,
        interface: *const c_char,
        join_ms: i64,
        timeout_ms: i64,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_group_free(group: *mut c_void);
    pub(crate) fn ddpm_torch_all_reduce(
        group: *mut c_void,
        tensor: RawTensor,
        max: c_int,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_broadcast(
        group: *mut c_void,
        tensor: RawTensor,
        root: c_int,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_gather(
        group: *mut c_void,
        tensor: RawTensor,
        parts: *const RawTensor,
        len: usize,
        root: c_int,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_barrier(
        group: *mut c_void,
        cuda: c_int,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_work_wait(work: *mut c_void) -> Status;
    pub(crate) fn ddpm_torch_work_free(work: *mut c_void);
    pub(crate) fn ddpm_torch_reducer_new(
        group: *mut c_void,
        params: *const RawTensor,
        len: usize,
        bucket_bytes: usize,
        out: *mut *mut c_void,
    ) -> Status;
    pub(crate) fn ddpm_torch_reducer_prepare(reducer: *mut c_void) -> Status;
    pub(crate) fn ddpm_torch_reducer_free(reducer: *mut c_void);
}

pub(crate) fn raw(tensor: &Tensor) -> RawTensor {
    tensor.as_ptr().cast()
}

pub(crate) fn raw_list(tensors: &[Tensor]) -> Vec<RawTensor> {
    tensors.iter().map(raw).collect()
}

pub(crate) fn check(status: Status) -> Result<(), Error> {
    if status.is_null() {
        return Ok(());
    }
    // SAFETY: a status that is not null is a C string, valid until this thread's next call.
    let message = unsafe { CStr::from_ptr(status) };
    Err(Error::Torch(message.to_string_lossy().into_owned()))
}

//! What memory a call of a session reads and writes: decided once, used by every call after.
//!
//! `ort` copies borrowed memory that is bound as an input, so this is ONNX Runtime's own interface.

use std::ffi::CString;
use std::ptr::{self, NonNull};

use ort::AsPointer;
use ort::memory::MemoryInfo;
use ort::session::Session;
use ort::sys;

use super::buffer::Element;
use crate::Error;

/// Tensors bound to the inputs and outputs of a session. They are views: the buffers that they look
/// at must neither move nor end before the binding does.
#[derive(Debug)]
pub(super) struct Binding {
    binding: NonNull<sys::OrtIoBinding>,
    /// By the name of the input or output.
    views: Vec<(&'static str, View)>,
}

// SAFETY: ONNX Runtime ties a binding to no thread, and `run` takes it by an exclusive reference.
unsafe impl Send for Binding {}

impl Binding {
    pub(super) fn new(session: &Session) -> Result<Self, Error> {
        let mut binding = ptr::null_mut();
        // SAFETY: the session is alive, and the result is checked before it is used.
        check(unsafe { (ort::api().CreateIoBinding)(session.ptr().cast_mut(), &raw mut binding) })?;
        let binding = NonNull::new(binding).ok_or_else(|| Error::Run("no binding".into()))?;
        Ok(Self { binding, views: Vec::new() })
    }

    /// Binds an input, in place of what was bound to it.
    pub(super) fn input(&mut self, name: &'static str, view: View) -> Result<(), Error> {
        let c_name = c_name(name)?;
        let (binding, value) = (self.binding.as_ptr(), view.0.as_ptr());
        // SAFETY: binding, name and value are alive during the call, and the value is kept.
        check(unsafe { (ort::api().BindInput)(binding, c_name.as_ptr(), value) })?;
        self.keep(name, view);
        Ok(())
    }

    /// Binds an output, in place of what was bound to it.
    pub(super) fn output(&mut self, name: &'static str, view: View) -> Result<(), Error> {
        let c_name = c_name(name)?;
        let (binding, value) = (self.binding.as_ptr(), view.0.as_ptr());
        // SAFETY: as for an input.
        check(unsafe { (ort::api().BindOutput)(binding, c_name.as_ptr(), value) })?;
        self.keep(name, view);
        Ok(())
    }

    fn keep(&mut self, name: &'static str, view: View) {
        match self.views.iter_mut().find(|(other, _)| *other == name) {
            Some((_, old)) => *old = view,
            None => self.views.push((name, view)),
        }
    }

    /// Runs the session on what is bound.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn run(&mut self, session: &mut Session) -> Result<(), Error> {
        let (session, binding) = (session.ptr().cast_mut(), self.binding.as_ptr());
        // SAFETY: both are alive, and nobody else runs the session.
        check(unsafe { (ort::api().RunWithBinding)(session, ptr::null(), binding) })
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        // SAFETY: it was created by ONNX Runtime and is released once, before its views.
        unsafe { (ort::api().ReleaseIoBinding)(self.binding.as_ptr()) };
    }
}

/// A tensor over memory that it does not own.
#[derive(Debug)]
pub(super) struct View(NonNull<sys::OrtValue>);

// SAFETY: ONNX Runtime ties a tensor to no thread.
unsafe impl Send for View {}

impl View {
    /// * `memory`: where the data is.
    /// * `data`: at least as many elements as the shape has.
    ///
    /// # Safety
    ///
    /// The data must be there, in that memory, as long as the view is bound or used.
    pub(super) unsafe fn new<T: Element>(
        memory: &MemoryInfo<'_>,
        data: *mut T,
        shape: &[usize],
    ) -> Result<Self, Error> {
        let extents: Vec<i64> = shape.iter().map(|extent| *extent as i64).collect();
        let bytes = shape.iter().product::<usize>() * size_of::<T>();
        let mut value = ptr::null_mut();
        // SAFETY: ONNX Runtime copies the shape; the caller vouches for the pointer.
        check(unsafe {
            (ort::api().CreateTensorWithDataAsOrtValue)(
                memory.ptr(),
                data.cast(),
                bytes,
                extents.as_ptr(),
                extents.len(),
                T::TYPE,
                &raw mut value,
            )
        })?;
        NonNull::new(value).map(Self).ok_or_else(|| Error::Run("no tensor".into()))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: it was created by ONNX Runtime and is released once.
        unsafe { (ort::api().ReleaseValue)(self.0.as_ptr()) };
    }
}

fn c_name(name: &str) -> Result<CString, Error> {
    CString::new(name).map_err(|error| Error::Run(error.to_string()))
}

fn check(status: sys::OrtStatusPtr) -> Result<(), Error> {
    // SAFETY: the status is ONNX Runtime's own and is used nowhere else.
    unsafe { ort::Error::<()>::result_from_status(status) }
        .map_err(|error| Error::Run(error.to_string()))
}

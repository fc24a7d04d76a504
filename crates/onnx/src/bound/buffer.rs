//! Memory that sessions read and write: of the host, which fills it before a call or reads it
//! after, and of the device, where samples stay.

use std::ptr::NonNull;
use std::rc::Rc;
use std::slice;
use std::sync::Arc;

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{Session, SharedSessionInner};
use ort::sys::ONNXTensorElementDataType as Type;

use super::binding::View;
use crate::{Device, Error};

/// A type of elements.
pub(super) trait Element: Copy + Default + 'static {
    /// Its name in ONNX Runtime.
    const TYPE: Type;
}

impl Element for f32 {
    const TYPE: Type = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}

impl Element for f64 {
    const TYPE: Type = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE;
}

impl Element for i64 {
    const TYPE: Type = Type::ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
}

/// Lines of equal length in the host's memory. They stay where they are until there are more.
///
/// Sessions keep pointers to them, so they are reached by a pointer here too, and never borrowed
/// for longer than a caller reads or writes a line.
#[derive(Debug)]
pub(super) struct HostLines<T> {
    elements: NonNull<[T]>,
    line: usize,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl<T: Send> Send for HostLines<T> {}

impl<T: Element> HostLines<T> {
    /// * `line`: elements of a line; at least 1.
    pub(super) fn new(line: usize) -> Self {
        Self { elements: allocated(0), line }
    }

    /// Makes room for so many lines and keeps those that are there. What is bound to it must be
    /// bound again.
    pub(super) fn grow(&mut self, lines: usize) {
        let mut larger = Self { elements: allocated(lines * self.line), line: self.line };
        let kept = self.elements.len().min(larger.elements.len());
        larger.range_mut(0, kept).copy_from_slice(self.range(0, kept));
        *self = larger;
    }

    /// Returns a line.
    pub(super) fn line(&self, at: usize) -> &[T] {
        self.range(at * self.line, self.line)
    }

    /// Returns a line to write to.
    pub(super) fn line_mut(&mut self, at: usize) -> &mut [T] {
        self.range_mut(at * self.line, self.line)
    }

    /// Writes one line over another.
    pub(super) fn copy_line(&mut self, from: usize, to: usize) {
        let line = self.line(from).to_vec();
        self.line_mut(to).copy_from_slice(&line);
    }

    /// Returns the first lines as a tensor.
    ///
    /// * `shape`: as many elements as there are, or fewer.
    pub(super) fn view(&mut self, shape: &[usize]) -> Result<View, Error> {
        let wanted = shape.iter().product::<usize>();
        assert!(wanted <= self.elements.len(), "a view ends within its buffer");
        // SAFETY: it ends within the buffer, and whoever makes that larger unbinds it first.
        unsafe { View::new(&MemoryInfo::default(), self.elements.cast::<T>().as_ptr(), shape) }
    }

    fn range(&self, first: usize, count: usize) -> &[T] {
        assert!(first + count <= self.elements.len(), "a line lies within its buffer");
        // SAFETY: it does, and nobody writes to it while the host has its turn.
        unsafe { slice::from_raw_parts(self.elements.cast::<T>().as_ptr().add(first), count) }
    }

    fn range_mut(&mut self, first: usize, count: usize) -> &mut [T] {
        assert!(first + count <= self.elements.len(), "a line lies within its buffer");
        // SAFETY: as for `range`.
        unsafe { slice::from_raw_parts_mut(self.elements.cast::<T>().as_ptr().add(first), count) }
    }
}

impl<T> Drop for HostLines<T> {
    fn drop(&mut self) {
        // SAFETY: `allocated` made it from a box, and it is freed once.
        drop(unsafe { Box::from_raw(self.elements.as_ptr()) });
    }
}

/// Allocates elements that `HostLines` frees.
fn allocated<T: Element>(count: usize) -> NonNull<[T]> {
    let elements = vec![T::default(); count].into_boxed_slice();
    NonNull::from(Box::leak(elements))
}

/// Where a device's memory comes from.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    allocator: Rc<Allocator>,
    info: Rc<MemoryInfo<'static>>,
    is_host: bool,
    /// The owner of the device's allocator; ends after it.
    _session: Arc<SharedSessionInner>,
}

// SAFETY: ONNX Runtime's allocators are tied to no thread, and all that share one here belong to
// one model, which moves from thread to thread as a whole.
unsafe impl Send for Memory {}

impl Memory {
    /// * `session`: any that runs on the device.
    pub(super) fn of(device: &Device, session: &Session) -> Result<Self, Error> {
        let fault = |error: ort::Error| Error::Run(error.to_string());
        let (allocator, info, is_host) = match device.cuda() {
            None => (Allocator::default(), MemoryInfo::default(), true),
            Some(number) => {
                let info = || {
                    MemoryInfo::new(
                        AllocationDevice::CUDA,
                        number as i32,
                        AllocatorType::Device,
                        MemoryType::Default,
                    )
                };
                let allocator = Allocator::new(session, info().map_err(fault)?).map_err(fault)?;
                (allocator, info().map_err(fault)?, false)
            }
        };
        let (allocator, info) = (Rc::new(allocator), Rc::new(info));
        Ok(Self { allocator, info, is_host, _session: session.inner() })
    }

    /// Returns the host's memory, treated as if it were a device's.
    #[cfg(test)]
    pub(super) fn treated_as_a_device(self) -> Self {
        Self { is_host: false, ..self }
    }

    /// Returns whether sessions read the host's memory where it is. If not, what the host has
    /// written is copied when it is bound.
    pub(super) fn is_host(&self) -> bool {
        self.is_host
    }
}

/// Lines of equal length in a device's memory, each at least once written before it is read.
#[derive(Debug)]
pub(super) struct DeviceLines {
    memory: Memory,
    data: Option<NonNull<f32>>,
    lines: usize,
    line: usize,
}

// SAFETY: the memory belongs to this value alone, and no thread is special to its allocator.
unsafe impl Send for DeviceLines {}

impl DeviceLines {
    /// * `line`: elements of a line; at least 1.
    pub(super) fn new(memory: &Memory, line: usize) -> Self {
        Self { memory: memory.clone(), data: None, lines: 0, line }
    }

    /// Returns others with room for so many lines, and nothing in them.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the device has no room.
    pub(super) fn with_room(&self, lines: usize) -> Result<Self, Error> {
        let block = self.memory.allocator.alloc::<f32>(lines * self.line);
        let block = block.map_err(|error| Error::Run(error.to_string()))?;
        let data = NonNull::new(block.into_raw().cast());
        Ok(Self { memory: self.memory.clone(), data, lines, line: self.line })
    }

    /// Returns the first lines as a tensor.
    ///
    /// * `shape`: as many elements as there are, or fewer.
    pub(super) fn view(&mut self, shape: &[usize]) -> Result<View, Error> {
        let wanted = shape.iter().product::<usize>();
        assert!(wanted <= self.lines * self.line, "a view ends within its buffer");
        let data = self.data.unwrap_or(NonNull::dangling());
        // SAFETY: as for `HostLines`.
        unsafe { View::new(&self.memory.info, data.as_ptr(), shape) }
    }

    /// Returns a line of memory that is the host's, whatever it is treated as.
    #[cfg(test)]
    pub(super) fn host_line(&mut self, at: usize) -> &mut [f32] {
        assert!(at < self.lines);
        let first = self.data.unwrap().as_ptr();
        // SAFETY: the line lies within memory that is ours.
        unsafe { slice::from_raw_parts_mut(first.add(at * self.line), self.line) }
    }

    /// Returns how many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.lines
    }
}

impl Drop for DeviceLines {
    fn drop(&mut self) {
        if let Some(data) = self.data {
            // SAFETY: it was allocated here, by this allocator, and is freed once.
            unsafe { self.memory.allocator.free(data.as_ptr()) };
        }
    }
}

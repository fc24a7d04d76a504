//! Memory that sessions read and write in place.

use ort::sys::ONNXTensorElementDataType as Type;

use super::binding::View;
use crate::Error;

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

/// Lines of equal length, one after another, in memory that stays where it is until it grows.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    elements: Box<[T]>,
    line: usize,
}

impl<T: Element> Buffer<T> {
    /// * `line`: elements of a line; at least 1.
    pub(super) fn new(line: usize) -> Self {
        Self { elements: Box::default(), line }
    }

    /// Makes room for so many lines and keeps those that are there. What is bound to it must be
    /// bound again.
    pub(super) fn grow(&mut self, lines: usize) {
        let mut elements = vec![T::default(); lines * self.line].into_boxed_slice();
        let kept = self.elements.len().min(elements.len());
        elements[..kept].copy_from_slice(&self.elements[..kept]);
        self.elements = elements;
    }

    /// Returns a line.
    pub(super) fn line(&self, at: usize) -> &[T] {
        &self.elements[at * self.line..][..self.line]
    }

    /// Returns a line to write to.
    pub(super) fn line_mut(&mut self, at: usize) -> &mut [T] {
        &mut self.elements[at * self.line..][..self.line]
    }

    /// Returns the first lines as a tensor.
    ///
    /// * `shape`: as many elements as there are, or fewer.
    pub(super) fn view(&mut self, shape: &[usize]) -> Result<View, Error> {
        let wanted = shape.iter().product::<usize>();
        assert!(wanted <= self.elements.len(), "a view ends within its buffer");
        View::new(self.elements.as_mut_ptr(), shape)
    }
}

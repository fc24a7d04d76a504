//! What somebody looks at, brought to the host.

use ddpm_graph::rows::{names, shown};

use super::binding::Binding;
use super::buffer::{DeviceLines, HostLines, Memory};
use super::call::{Bind, Call};
use super::open;
use crate::{Device, Error, Runtime};

/// Lines that there is room for at first; doubled when they are short.
const FIRST: usize = 16;

/// Gathers and scales lines of a device's memory, and brings them to the host.
#[derive(Debug)]
pub(super) struct Shown {
    call: Call,
    which: HostLines<i64>,
    scales: HostLines<f32>,
    lines: HostLines<f32>,
    count: usize,
    room: usize,
    len: usize,
}

struct Showing<'a> {
    from: &'a mut DeviceLines,
    which: &'a mut HostLines<i64>,
    scales: &'a mut HostLines<f32>,
    lines: &'a mut HostLines<f32>,
    count: usize,
    len: usize,
}

impl Shown {
    /// * `len`: elements of a line.
    pub(super) fn new(
        runtime: &Runtime,
        device: &Device,
        memory: &Memory,
        len: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            call: Call::new(open(runtime, device, &shown(len))?, !memory.is_host()),
            which: HostLines::new(1),
            scales: HostLines::new(1),
            lines: HostLines::new(len),
            count: 0,
            room: 0,
            len,
        })
    }

    /// Begins to list what is looked at.
    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Adds a line, multiplied by a scale; returns its place among those that are shown.
    pub(super) fn push(&mut self, line: usize, scale: f32) -> usize {
        let at = self.count;
        if at >= self.room {
            self.room = (2 * self.room).max(FIRST);
            self.which.grow(self.room);
            self.scales.grow(self.room);
            self.lines.grow(self.room);
            self.call.unbind();
        }
        self.which.line_mut(at)[0] = line as i64;
        self.scales.line_mut(at)[0] = scale;
        self.count += 1;
        at
    }

    /// Brings what is listed, unless nothing is.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn bring(&mut self, from: &mut DeviceLines) -> Result<(), Error> {
        let Self { call, which, scales, lines, count, len, .. } = self;
        let (count, len) = (*count, *len);
        match count {
            0 => Ok(()),
            _ => call.run(count, Showing { from, which, scales, lines, count, len }),
        }
    }

    /// Returns a line that was brought.
    pub(super) fn line(&self, at: usize) -> &[f32] {
        self.lines.line(at)
    }

    /// Forgets what is bound, because what it looks at moved.
    pub(super) fn unbind(&mut self) {
        self.call.unbind();
    }
}

impl Bind for Showing<'_> {
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let all = [self.from.lines(), self.len];
        binding.input(names::FROM, self.from.view(&all)?)?;
        // Of a device, ONNX Runtime copies it to where it is bound.
        binding.output(names::TO, self.lines.view(&[self.count, self.len])?)
    }

    fn feed(&mut self, binding: &mut Binding) -> Result<(), Error> {
        binding.input(names::WHICH, self.which.view(&[self.count])?)?;
        binding.input(names::SCALES, self.scales.view(&[self.count, 1])?)
    }
}

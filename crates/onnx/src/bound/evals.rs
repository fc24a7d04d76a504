//! The network of a call: its inputs gathered from the arenas, and its outputs.

use ddpm_diffusion::Row;
use ddpm_graph::rows::{inputs, names};
use ddpm_package::Manifest;

use super::arenas::Arenas;
use super::binding::Binding;
use super::buffer::{DeviceLines, HostLines, Memory};
use super::call::{Bind, Call};
use super::open;
use crate::graph::check_interface;
use crate::{Batch, Device, Error, Runtime};

/// Evals that there is room for at first; doubled when they are short.
const FIRST: usize = 16;

/// The network with its inputs, one line per eval, and its outputs.
#[derive(Debug)]
pub(super) struct Evals {
    // Sessions end before the memory that they look at.
    inputs: Call,
    network: Call,
    lines: Lines,
    sample: DeviceLines,
    outputs: DeviceLines,
    count: usize,
    sample_shape: Vec<usize>,
    output_shape: Vec<usize>,
    conditional: bool,
}

/// What the host says of each eval.
#[derive(Debug)]
struct Lines {
    slots: HostLines<i64>,
    c_in: HostLines<f32>,
    timestep: HostLines<f32>,
    labels: HostLines<i64>,
    /// Inputs and outputs of evals that are no samples'.
    probed: [HostLines<f32>; 2],
}

/// What the session of inputs reads and writes.
struct Gathering<'a> {
    arenas: &'a mut Arenas,
    lines: &'a mut Lines,
    sample: &'a mut DeviceLines,
    count: usize,
    shape: &'a [usize],
}

/// What the network reads and writes.
struct Evaluating<'a> {
    lines: &'a mut Lines,
    sample: &'a mut DeviceLines,
    outputs: &'a mut DeviceLines,
    count: usize,
    sample_shape: &'a [usize],
    output_shape: &'a [usize],
    conditional: bool,
    /// Whether the inputs are the host's.
    is_probe: bool,
}

impl Evals {
    pub(super) fn open(
        runtime: &Runtime,
        device: &Device,
        manifest: &Manifest,
        bytes: &[u8],
    ) -> Result<(Self, Memory), Error> {
        let network = open(runtime, device, bytes)?;
        check_interface(&network, manifest).map_err(Error::Graph)?;
        let memory = Memory::of(device, &network)?;
        let feeds = !memory.is_host();
        let sample_shape = manifest.sample_shape.clone();
        let (len, output_len) = (manifest.sample_len(), manifest.output_len());
        let mut output_shape = sample_shape.clone();
        output_shape[0] *= output_len / len;
        let evals = Self {
            inputs: Call::new(open(runtime, device, &inputs(&sample_shape))?, feeds),
            network: Call::new(network, feeds),
            lines: Lines {
                slots: HostLines::new(1),
                c_in: HostLines::new(1),
                timestep: HostLines::new(1),
                labels: HostLines::new(1),
                probed: [HostLines::new(len), HostLines::new(output_len)],
            },
            sample: DeviceLines::new(&memory, len),
            outputs: DeviceLines::new(&memory, output_len),
            count: 0,
            sample_shape,
            output_shape,
            conditional: !manifest.classes.is_empty(),
        };
        Ok((evals, memory))
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }

    /// Returns the outputs of the last call.
    pub(super) fn outputs(&mut self) -> &mut DeviceLines {
        &mut self.outputs
    }

    /// Makes room for evals.
    ///
    /// * `unbind`: called before the outputs move; what is bound to them must be bound again.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the device has no room.
    pub(super) fn reserve(&mut self, evals: usize, unbind: impl FnOnce()) -> Result<(), Error> {
        let there = self.outputs.lines();
        if evals <= there {
            return Ok(());
        }
        let room = evals.max(2 * there).max(FIRST);
        let (sample, outputs) = (self.sample.with_room(room)?, self.outputs.with_room(room)?);
        self.unbind();
        self.network.unbind();
        unbind();
        (self.sample, self.outputs) = (sample, outputs);
        self.lines.grow(room);
        Ok(())
    }

    /// Adds an eval of a row, for which there is room.
    pub(super) fn push(&mut self, slot: usize, row: &Row, label: i64) {
        let (at, lines) = (self.count, &mut self.lines);
        lines.slots.line_mut(at)[0] = slot as i64;
        lines.c_in.line_mut(at)[0] = row.c_in as f32;
        lines.timestep.line_mut(at)[0] = row.t as f32;
        lines.labels.line_mut(at)[0] = label;
        self.count += 1;
    }

    /// Gathers the network's inputs.
    pub(super) fn gather(&mut self, arenas: &mut Arenas) -> Result<(), Error> {
        let Self { inputs, lines, sample, count, sample_shape: shape, .. } = self;
        inputs.run(*count, Gathering { arenas, lines, sample, count: *count, shape })
    }

    /// Calls the network on what was gathered.
    pub(super) fn evaluate(&mut self) -> Result<(), Error> {
        self.call(false)
    }

    /// Calls the network on rows of the caller's.
    pub(super) fn probe(&mut self, batch: Batch<'_>) -> Result<(), Error> {
        let (rows, len) = (batch.timestep.len(), self.sample_shape.iter().product::<usize>());
        self.count = rows;
        for row in 0..rows {
            self.lines.probed[0].line_mut(row).copy_from_slice(&batch.sample[row * len..][..len]);
            self.lines.timestep.line_mut(row)[0] = batch.timestep[row];
            if self.conditional {
                self.lines.labels.line_mut(row)[0] = batch.class_labels[row];
            }
        }
        self.network.unbind();
        let result = self.call(true);
        self.network.unbind();
        result
    }

    /// Returns the output of a row of the caller's.
    pub(super) fn probed(&self, row: usize) -> &[f32] {
        self.lines.probed[1].line(row)
    }

    fn call(&mut self, is_probe: bool) -> Result<(), Error> {
        let Self { network, lines, sample, outputs, count, .. } = self;
        let (sample_shape, output_shape) = (&self.sample_shape[..], &self.output_shape[..]);
        let (count, conditional) = (*count, self.conditional);
        let evaluating = Evaluating {
            lines,
            sample,
            outputs,
            count,
            sample_shape,
            output_shape,
            conditional,
            is_probe,
        };
        network.run(count, evaluating)
    }

    /// Forgets what is bound to the arenas, because they moved.
    pub(super) fn unbind(&mut self) {
        self.inputs.unbind();
    }
}

impl Bind for Gathering<'_> {
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let len = self.shape.iter().product::<usize>();
        let arena = [self.arenas.slots(), len];
        binding.input(names::STATE[0].0, self.arenas.points().view(&arena)?)?;
        binding.output(names::SAMPLE, self.sample.view(&batched(self.count, self.shape))?)
    }

    fn feed(&mut self, binding: &mut Binding) -> Result<(), Error> {
        binding.input(names::SLOTS, self.lines.slots.view(&[self.count])?)?;
        binding.input(names::C_IN, self.lines.c_in.view(&[self.count, 1])?)
    }
}

impl Bind for Evaluating<'_> {
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let output_shape = batched(self.count, self.output_shape);
        if self.is_probe {
            return binding.output("out_sample", self.lines.probed[1].view(&output_shape)?);
        }
        let shape = batched(self.count, self.sample_shape);
        binding.input("sample", self.sample.view(&shape)?)?;
        binding.output("out_sample", self.outputs.view(&output_shape)?)
    }

    fn feed(&mut self, binding: &mut Binding) -> Result<(), Error> {
        if self.is_probe {
            let shape = batched(self.count, self.sample_shape);
            binding.input("sample", self.lines.probed[0].view(&shape)?)?;
        }
        binding.input("timestep", self.lines.timestep.view(&[self.count])?)?;
        if self.conditional {
            binding.input("class_labels", self.lines.labels.view(&[self.count])?)?;
        }
        Ok(())
    }
}

impl Lines {
    fn grow(&mut self, room: usize) {
        self.slots.grow(room);
        self.c_in.grow(room);
        self.timestep.grow(room);
        self.labels.grow(room);
        self.probed.iter_mut().for_each(|lines| lines.grow(room));
    }
}

fn batched(count: usize, shape: &[usize]) -> Vec<usize> {
    [&[count], shape].concat()
}

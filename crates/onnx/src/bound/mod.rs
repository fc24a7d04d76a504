//! A model whose samples stay where the network runs: their state is memory of the device, and all
//! that happens between two calls of the network happens in sessions of ONNX Runtime that read and
//! write it in place.
//!
//! * `binding`: what memory a call reads and writes;
//! * `buffer`: that memory;
//! * `call`: a session with its bindings by size;
//! * `rows`: the rows of a call, and the graph that applies them.
//!
//! A call goes through three sessions: the points of the slots, scaled, become the network's
//! inputs; the network; the rows. What comes from the host is a table of numbers and the noise.
//! [`ddpm_graph::rows`] says what they compute, and that the bits are those of
//! [`Kernel`](ddpm_diffusion::Kernel).

mod binding;

mod buffer;

mod call;

mod rows;

use std::time::{Duration, Instant};

use ddpm_diffusion::Row;
use ddpm_graph::rows::{inputs, names};
use ddpm_package::{GraphName, Package};

use self::buffer::Buffer;
use self::call::Call;
use self::rows::Rows;
use crate::graph::check_interface;
use crate::{Batch, Device, Error, Runtime};

/// Evals that there is room for at first; doubled when they are short.
const FIRST: usize = 16;

/// A row of one sample.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The place of the sample's state.
    pub slot: usize,
    /// The row.
    pub row: &'a Row,
    /// Whether the row's program keeps an anchor.
    pub uses_anchor: bool,
    /// The label of the sample.
    pub label: i64,
    /// The label that means none.
    pub unlabelled: i64,
}

/// A model on a device, with the state of its samples.
///
/// Calls are put together with [`Bound::clear`] and [`Bound::push`], and made by [`Bound::run`].
#[derive(Debug)]
pub struct Bound {
    // Sessions end before the memory that they look at.
    inputs: Call,
    network: Call,
    rows: Rows,
    evals: Evals,
    outputs: Buffer<f32>,
    runtime: &'static Runtime,
    device: Device,
    sample_shape: Vec<usize>,
    output_len: usize,
    conditional: bool,
}

/// The network's inputs, one line per eval.
#[derive(Debug)]
struct Evals {
    slots: Buffer<i64>,
    c_in: Buffer<f32>,
    sample: Buffer<f32>,
    timestep: Buffer<f32>,
    labels: Buffer<i64>,
    count: usize,
    room: usize,
}

impl Bound {
    /// Opens a graph of a package.
    ///
    /// # Errors
    ///
    /// [`Error::Package`] if the package cannot be read or lacks the graph, [`Error::Graph`] if a
    /// graph cannot be loaded or differs from the manifest.
    pub fn open(
        runtime: &'static Runtime,
        device: &Device,
        package: &Package,
        graph: GraphName,
    ) -> Result<Self, Error> {
        let manifest = package.manifest();
        let open = |bytes: &[u8]| {
            let mut builder = device.session(runtime).map_err(Error::Graph)?;
            builder.commit_from_memory(bytes).map_err(|error| Error::Graph(error.to_string()))
        };
        let network = open(&package.graph(graph)?)?;
        check_interface(&network, manifest).map_err(Error::Graph)?;
        let (len, output_len) = (manifest.sample_len(), manifest.output_len());
        Ok(Self {
            inputs: Call::new(open(&inputs(&manifest.sample_shape))?),
            network: Call::new(network),
            rows: Rows::new(len, output_len),
            evals: Evals::new(len),
            outputs: Buffer::new(output_len),
            runtime,
            device: device.clone(),
            sample_shape: manifest.sample_shape.clone(),
            output_len,
            conditional: !manifest.classes.is_empty(),
        })
    }

    /// Puts a sample's first state into a slot.
    ///
    /// * `u`: its first point, which is its first anchor too; the history is 0.
    /// * `known`: image and mask, for rows that read them.
    ///
    /// # Panics
    ///
    /// If a length is not that of a sample.
    pub fn start(&mut self, slot: usize, u: &[f32], known: Option<[&[f32]; 2]>) {
        if self.rows.start(slot, u, known) {
            self.inputs.unbind();
        }
    }

    /// Begins to put a call together.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.evals.count = 0;
    }

    /// Adds a row to the call; returns where its noise goes, if it adds any.
    ///
    pub fn push(&mut self, step: Step<'_>) -> &mut [f32] {
        let Step { slot, row, uses_anchor, label, unlabelled } = step;
        let first = self.evals.count;
        for with_label in row.evals.with_label() {
            self.reserve(self.evals.count + 1);
            let label = if *with_label { label } else { unlabelled };
            self.evals.push(slot, row, label);
        }
        self.rows.push(slot, row, uses_anchor, first)
    }

    /// Makes the call: every row is applied to its sample. Returns the time inside the network.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails, [`Error::Graph`] if it cannot load a graph of rows.
    /// Then no sample has advanced, unless the rows themselves failed.
    pub fn run(&mut self) -> Result<Duration, Error> {
        if self.rows.count() == 0 {
            return Ok(Duration::ZERO);
        }
        self.reserve(1);
        let mut time = Duration::ZERO;
        if self.evals.count > 0 {
            self.gather()?;
            let started = Instant::now();
            self.evaluate()?;
            time = started.elapsed();
        }
        let Self { rows, outputs, evals, runtime, device, .. } = self;
        rows.run(runtime, device, outputs, evals.room)?;
        Ok(time)
    }

    /// Calls the network on rows of the caller's. Returns the time inside it.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    ///
    /// # Panics
    ///
    /// If the batch has fewer numbers than its rows need.
    pub fn probe(&mut self, batch: Batch<'_>) -> Result<Duration, Error> {
        let rows = batch.timestep.len();
        self.clear();
        self.reserve(rows);
        self.evals.count = rows;
        let len = self.sample_shape.iter().product::<usize>();
        for row in 0..rows {
            self.evals.sample.line_mut(row).copy_from_slice(&batch.sample[row * len..][..len]);
            self.evals.timestep.line_mut(row)[0] = batch.timestep[row];
            if self.conditional {
                self.evals.labels.line_mut(row)[0] = batch.class_labels[row];
            }
        }
        let started = Instant::now();
        self.evaluate()?;
        Ok(started.elapsed())
    }

    /// Returns the point in a slot.
    #[must_use]
    pub fn u(&self, slot: usize) -> &[f32] {
        self.rows.arenas.u.line(slot)
    }

    /// Returns the prediction of x_0 by a row of the last call.
    ///
    /// * `position`: of the row in the call.
    #[must_use]
    pub fn x_0(&self, position: usize) -> &[f32] {
        self.rows.x_0.line(position)
    }

    /// Makes room for evals.
    fn reserve(&mut self, evals: usize) {
        if evals > self.evals.room {
            let room = evals.max(2 * self.evals.room).max(FIRST);
            self.evals.grow(room);
            self.outputs.grow(room);
            self.inputs.unbind();
            self.network.unbind();
            self.rows.unbind();
        }
    }

    /// Fills the network's `sample`.
    fn gather(&mut self) -> Result<(), Error> {
        let Self { inputs, rows, evals, sample_shape, .. } = self;
        let (count, len) = (evals.count, sample_shape.iter().product::<usize>());
        inputs.run(count, |binding| {
            let slots = rows.arenas.slots;
            binding.input(names::U, rows.arenas.u.view(&[slots, len])?)?;
            binding.input(names::SLOTS, evals.slots.view(&[count])?)?;
            binding.input(names::C_IN, evals.c_in.view(&[count, 1])?)?;
            binding.output(names::SAMPLE, evals.sample.view(&batched(count, sample_shape))?)
        })
    }

    /// Calls the network.
    fn evaluate(&mut self) -> Result<(), Error> {
        let Self { network, evals, outputs, sample_shape, output_len, conditional, .. } = self;
        let count = evals.count;
        network.run(count, |binding| {
            let mut output_shape = batched(count, sample_shape);
            output_shape[1] *= *output_len / sample_shape.iter().product::<usize>();
            binding.input("sample", evals.sample.view(&batched(count, sample_shape))?)?;
            binding.input("timestep", evals.timestep.view(&[count])?)?;
            if *conditional {
                binding.input("class_labels", evals.labels.view(&[count])?)?;
            }
            binding.output("out_sample", outputs.view(&output_shape)?)
        })
    }
}

impl Evals {
    fn new(len: usize) -> Self {
        Self {
            slots: Buffer::new(1),
            c_in: Buffer::new(1),
            sample: Buffer::new(len),
            timestep: Buffer::new(1),
            labels: Buffer::new(1),
            count: 0,
            room: 0,
        }
    }

    fn grow(&mut self, room: usize) {
        self.slots.grow(room);
        self.c_in.grow(room);
        self.sample.grow(room);
        self.timestep.grow(room);
        self.labels.grow(room);
        self.room = room;
    }

    fn push(&mut self, slot: usize, row: &Row, label: i64) {
        let at = self.count;
        self.slots.line_mut(at)[0] = slot as i64;
        self.c_in.line_mut(at)[0] = row.c_in as f32;
        self.timestep.line_mut(at)[0] = row.t as f32;
        self.labels.line_mut(at)[0] = label;
        self.count += 1;
    }
}

fn batched(count: usize, shape: &[usize]) -> Vec<usize> {
    [&[count], shape].concat()
}

#[cfg(test)]
mod tests;

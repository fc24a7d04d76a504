//! A model whose samples stay where the network runs: their state is memory of the device, and all
//! that happens between two calls of the network happens in sessions of ONNX Runtime that read and
//! write it in place.
//!
//! * `buffer`: memory of the host and of the device;
//! * `binding`: what memory a call of a session reads and writes;
//! * `call`: a session with its bindings by size;
//! * `arenas`: the state of samples by slot;
//! * `evals`: the network, with its inputs gathered from the arenas;
//! * `rows`: the rows of a call, applied to the arenas;
//! * `shown`: what somebody looks at, brought to the host.
//!
//! A call goes through these in this order. The host sends first states, a line of numbers per row
//! and per eval, and the noise; it gets what is shown. Where the device is not the host, ONNX
//! Runtime copies these when they are bound, and nothing else. [`ddpm_graph::rows`] says what the
//! graphs compute, and that the bits are those of [`Kernel`](ddpm_diffusion::Kernel).

mod buffer;

mod binding;

mod call;

mod arenas;

mod evals;

mod rows;

mod shown;

use std::time::{Duration, Instant};

use ddpm_diffusion::Row;
use ddpm_package::{Comparison, GraphName, Package};
use ort::session::Session;

use self::arenas::Arenas;
use self::evals::Evals;
use self::rows::Rows;
use self::shown::Shown;
use crate::denoiser::{compare, judge};
use crate::{Batch, Device, Error, Runtime};

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

/// Something to look at after a call, multiplied by a scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Look {
    /// The prediction of x_0 by a row, by its position in the call.
    X0(usize),
    /// The point in a slot, and its scale.
    Point(usize, f32),
}

/// What [`Bound::look`] returned for one thing to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Its place among the predictions.
    X0(usize),
    /// Its place among the points.
    Point(usize),
}

/// A model on a device, with the state of its samples.
///
/// Calls are put together with [`Bound::clear`] and [`Bound::push`], and made by [`Bound::run`].
#[derive(Debug)]
pub struct Bound {
    evals: Evals,
    arenas: Arenas,
    rows: Rows,
    predictions: Shown,
    points: Shown,
    provider: &'static str,
    graph: GraphName,
    /// Slots that must have room.
    slots: usize,
}

impl Bound {
    /// Opens a graph of a package.
    ///
    /// # Errors
    ///
    /// [`Error::Package`] if the package cannot be read or lacks the graph, [`Error::Graph`] if a
    /// graph cannot be loaded or differs from the manifest.
    pub fn open(
        runtime: &Runtime,
        device: &Device,
        package: &Package,
        graph: GraphName,
    ) -> Result<Self, Error> {
        let manifest = package.manifest();
        let (len, output_len) = (manifest.sample_len(), manifest.output_len());
        let (evals, memory) = Evals::open(runtime, device, manifest, &package.graph(graph)?)?;
        Ok(Self {
            evals,
            arenas: Arenas::new(runtime, device, &memory, len)?,
            rows: Rows::new(runtime, device, &memory, (len, output_len))?,
            predictions: Shown::new(runtime, device, &memory, len)?,
            points: Shown::new(runtime, device, &memory, len)?,
            provider: device.provider(),
            graph,
            slots: 0,
        })
    }

    /// Notes a sample's first state, which the next call writes.
    ///
    /// * `u`: its first point, which is its first anchor too; the history is 0.
    /// * `known`: image and mask, for rows that read them.
    ///
    /// # Panics
    ///
    /// If a length is not that of a sample.
    pub fn start(&mut self, slot: usize, u: &[f32], known: Option<[&[f32]; 2]>) {
        self.slots = self.slots.max(slot + 1);
        self.arenas.start(slot, u, known);
    }

    /// Begins to put a call together.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.evals.clear();
    }

    /// Adds a row to the call; returns where its noise goes, if it adds any.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the device has no room.
    pub fn push(&mut self, step: Step<'_>) -> Result<&mut [f32], Error> {
        let Step { slot, row, uses_anchor, label, unlabelled } = step;
        let first = self.evals.count();
        self.reserve(first + row.evals.count())?;
        for with_label in row.evals.with_label() {
            self.evals.push(slot, row, if *with_label { label } else { unlabelled });
        }
        let Self { rows, predictions, .. } = self;
        rows.reserve(|| predictions.unbind())?;
        Ok(self.rows.push(slot, row, uses_anchor, first))
    }

    /// Makes the call: every row is applied to its sample. Returns the time inside the network.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails or the device has no room. Then the samples of the call
    /// can only be released.
    pub fn run(&mut self) -> Result<Duration, Error> {
        let Self { arenas, evals, rows, points, .. } = self;
        arenas.reserve(self.slots, || {
            evals.unbind();
            rows.unbind();
            points.unbind();
        })?;
        self.arenas.write()?;
        if self.rows.count() == 0 {
            return Ok(Duration::ZERO);
        }
        // Rows without evals read an output too, with no weight.
        self.reserve(1)?;
        let mut time = Duration::ZERO;
        if self.evals.count() > 0 {
            self.evals.gather(&mut self.arenas)?;
            let started = Instant::now();
            self.evals.evaluate()?;
            time = started.elapsed();
        }
        let Self { evals, arenas, rows, .. } = self;
        rows.run(arenas, evals.outputs())?;
        Ok(time)
    }

    /// Brings to the host what somebody looks at, all of it at once; `seen` says where each is.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub fn look(
        &mut self,
        looks: impl Iterator<Item = Look>,
        mut seen: impl FnMut(Seen),
    ) -> Result<(), Error> {
        self.predictions.clear();
        self.points.clear();
        for look in looks {
            seen(match look {
                Look::X0(position) => Seen::X0(self.predictions.push(position, 1.0)),
                Look::Point(slot, scale) => Seen::Point(self.points.push(slot, scale)),
            });
        }
        self.predictions.bring(self.rows.x_0())?;
        self.points.bring(self.arenas.points())
    }

    /// Returns what [`Bound::look`] brought.
    #[must_use]
    pub fn seen(&self, seen: Seen) -> &[f32] {
        match seen {
            Seen::X0(at) => self.predictions.line(at),
            Seen::Point(at) => self.points.line(at),
        }
    }

    /// Checks that the graph reproduces the golden outputs of its package within the tolerance of
    /// its provider.
    ///
    /// # Errors
    ///
    /// [`Error::Golden`] if it does not, [`Error::Package`] if they cannot be read, [`Error::Run`]
    /// if ONNX Runtime fails.
    pub fn check_golden(&mut self, package: &Package) -> Result<Comparison, Error> {
        let (graph, provider) = (self.graph, self.provider);
        let comparison = compare(package, graph, |batch, out| self.evaluate(batch, out))?;
        judge(package, (graph, provider), comparison)
    }

    /// Evaluates the network on every row of a batch into `out`, `[rows, …output shape]`.
    ///
    /// # Errors
    ///
    /// As [`Bound::probe`].
    ///
    /// # Panics
    ///
    /// As [`Bound::probe`].
    pub fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), Error> {
        self.probe(batch)?;
        out.clear();
        (0..batch.timestep.len()).for_each(|row| out.extend(self.evals.probed(row)));
        Ok(())
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
        self.clear();
        self.reserve(batch.timestep.len())?;
        let started = Instant::now();
        self.evals.probe(batch)?;
        Ok(started.elapsed())
    }

    /// Makes room for evals.
    fn reserve(&mut self, evals: usize) -> Result<(), Error> {
        let Self { rows, .. } = self;
        self.evals.reserve(evals, || rows.unbind())
    }
}

/// Opens a graph on a device.
fn open(runtime: &Runtime, device: &Device, bytes: &[u8]) -> Result<Session, Error> {
    let mut builder = device.session(runtime).map_err(Error::Graph)?;
    builder.commit_from_memory(bytes).map_err(|error| Error::Graph(error.to_string()))
}

#[cfg(test)]
mod tests;

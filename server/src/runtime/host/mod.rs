//! A device with its state in host memory, the network wherever ONNX Runtime runs it,
//! and the kernel in Rust. Serves the CPU, and CUDA by copying inputs and outputs.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ddpm_diffusion::{Kernel, Known, Noise, State};

use super::{Device, Evaluator, Outcome, RuntimeError, Slot, SlotStart, TickTimes, Work};
use crate::request::KnownImage;
use crate::scheduler::ModelId;

mod inputs;
pub(crate) use inputs::Inputs;

/// How calls of the network are padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// Not at all.
    None,
    /// To the next power of two: CUDA searches for algorithms at each new shape.
    PowerOfTwo,
}

impl Padding {
    fn rows(self, rows: usize) -> usize {
        match self {
            Self::None => rows,
            Self::PowerOfTwo => rows.next_power_of_two(),
        }
    }
}

/// A model as this device runs it.
pub(crate) struct HostModel {
    pub(crate) network: Box<dyn Evaluator>,
    pub(crate) sample_len: usize,
    pub(crate) output_len: usize,
    /// The number of classes, which is also the label for no class.
    pub(crate) classes: usize,
    pub(crate) padding: Padding,
    /// Rows to measure calls with; at least one.
    pub(crate) examples: Inputs,
}

/// A device whose samples live in host memory.
pub(crate) struct HostDevice {
    models: Vec<(HostModel, Kernel<f32>)>,
    slots: Vec<Option<Sample>>,
    free: Vec<Slot>,
    inputs: Inputs,
    outputs: Vec<f32>,
}

/// A sample's state, the address of its noise, and its known image.
struct Sample {
    state: State<f32>,
    noise: Noise,
    index: u64,
    label: i64,
    known: Option<Arc<KnownImage>>,
}

impl HostModel {
    /// Calls the network on padded inputs. Returns the time inside the call.
    pub(crate) fn call(
        &mut self,
        inputs: &mut Inputs,
        outputs: &mut Vec<f32>,
    ) -> Result<Duration, RuntimeError> {
        inputs.pad(self.padding.rows(inputs.rows()));
        let started = Instant::now();
        self.network.evaluate(inputs.batch(), outputs)?;
        Ok(started.elapsed())
    }

    /// Calls the network on `evals` of its examples. Returns the time inside the call.
    ///
    /// * `inputs`, `outputs`: scratch space.
    ///
    /// # Errors
    ///
    /// If the network could not be run.
    pub(crate) fn probe(
        &mut self,
        evals: u32,
        inputs: &mut Inputs,
        outputs: &mut Vec<f32>,
    ) -> Result<Duration, RuntimeError> {
        inputs.clear();
        for row in 0..evals as usize {
            inputs.push_row(&self.examples, row % self.examples.rows());
        }
        self.call(inputs, outputs)
    }
}

impl HostDevice {
    pub(crate) fn new(models: Vec<HostModel>) -> Self {
        let with_kernel = |model: HostModel| {
            let kernel = Kernel::new(model.sample_len);
            (model, kernel)
        };
        Self {
            models: models.into_iter().map(with_kernel).collect(),
            slots: Vec::new(),
            free: Vec::new(),
            inputs: Inputs::default(),
            outputs: Vec::new(),
        }
    }

    /// Gathers the evals of a tick and calls the network once, unless there are none.
    /// Returns the time inside the call.
    fn evaluate(&mut self, model: ModelId, work: &[Work<'_>]) -> Result<Duration, RuntimeError> {
        self.inputs.clear();
        let unlabelled = self.models[model].0.classes as i64;
        for item in work {
            let sample =
                self.slots[item.slot].as_ref().expect("work names slots that were started");
            for with_label in item.row.evals.with_label() {
                let label = if *with_label { sample.label } else { unlabelled };
                self.inputs.push(sample.state.u(), item.row.c_in, item.row.t, label);
            }
        }
        if self.inputs.rows() == 0 {
            return Ok(Duration::ZERO);
        }
        self.models[model].0.call(&mut self.inputs, &mut self.outputs)
    }
}

impl Device for HostDevice {
    fn start(&mut self, model: ModelId, start: SlotStart<'_>) -> Slot {
        let (model, _) = &self.models[model];
        let label = start.class_label.map_or(model.classes as i64, i64::from);
        let SlotStart { program, noise, index, known, .. } = start;
        let state = match start.initial {
            Some(initial) => State::from_point(program, initial),
            None => State::start(program, noise, index, model.sample_len),
        };
        let sample = Sample { state, noise: noise.clone(), index, label, known };
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[slot] = Some(sample);
        slot
    }

    fn tick(
        &mut self,
        model: ModelId,
        work: &[Work<'_>],
        outcomes: &mut Vec<Result<Outcome, RuntimeError>>,
    ) -> Result<TickTimes, RuntimeError> {
        let started = Instant::now();
        outcomes.clear();
        let network = self.evaluate(model, work)?;
        let mut first = 0;
        for item in work {
            let advance = AssertUnwindSafe(|| self.advance(model, item, first));
            let outcome = panic::catch_unwind(advance);
            outcomes.push(outcome.map_err(|payload| RuntimeError::panicked(&*payload)));
            first += item.row.evals.count();
        }
        Ok(TickTimes { network, kernel: started.elapsed().saturating_sub(network) })
    }

    fn probe(&mut self, model: ModelId, evals: u32) -> Result<Duration, RuntimeError> {
        self.models[model].0.probe(evals, &mut self.inputs, &mut self.outputs)
    }

    fn release(&mut self, slot: Slot) {
        if self.slots[slot].take().is_some() {
            self.free.push(slot);
        }
    }

    fn slots(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl HostDevice {
    /// Applies one row to one sample and copies out what its work requests. After a panic
    /// the scratch space is still usable; only that sample's state is invalid.
    ///
    /// * `first`: position of the sample's first row in the outputs of the network.
    fn advance(&mut self, model: ModelId, item: &Work<'_>, first: usize) -> Outcome {
        let (HostModel { output_len, .. }, kernel) = &mut self.models[model];
        let sample = self.slots[item.slot].as_mut().expect("work names slots that were started");
        let evals = item.row.evals.count();
        let mut outputs: [&[f32]; 2] = [&[]; 2];
        let rows = self.outputs.chunks_exact(*output_len).skip(first);
        outputs.iter_mut().zip(rows).take(evals).for_each(|(output, row)| *output = row);
        let Sample { state, noise, index, known, .. } = sample;
        let known = known.as_ref().map(|known| Known { image: &known.image, mask: &known.mask });
        let outputs = &outputs[..evals];
        kernel.advance(item.row, item.position, state, outputs, noise, *index, known);
        let scaled = |scale: f64| state.u().iter().map(|u| scale as f32 * u).collect();
        let outcome = Outcome {
            x_0: item.show_x_0.then(|| kernel.x_0().to_vec()),
            x_t: item.show_x_t.map(scaled),
            sample: item.last.then(|| state.u().to_vec()),
        };
        if item.last {
            self.release(item.slot);
        }
        outcome
    }
}

#[cfg(test)]
mod tests;

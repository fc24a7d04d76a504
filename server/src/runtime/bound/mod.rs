//! A device whose samples stay with ONNX Runtime: their state is its memory, and the kernel is a
//! graph that it runs. The host sends a table of numbers and the noise, and reads what somebody
//! looks at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ddpm_diffusion::Noise;
use ddpm_onnx::{Bound, Look, Seen, Step};

use super::{Device, HostModel, Inputs, Outcome, RuntimeError, Slot, SlotStart, TickTimes, Work};
use crate::request::KnownImage;
use crate::scheduler::ModelId;

/// A model as this device runs it.
pub(crate) struct BoundModel {
    bound: Bound,
    sample_len: usize,
    /// The number of classes, which is also the label for no class.
    classes: i64,
    /// Rows to measure calls with; at least one.
    examples: Inputs,
    /// Places of states that were freed, and how many there are in all.
    free: Vec<usize>,
    places: usize,
}

/// A device whose samples live in the memory of ONNX Runtime's device.
pub(crate) struct BoundDevice {
    models: Vec<BoundModel>,
    slots: Vec<Option<Sample>>,
    free: Vec<Slot>,
    inputs: Inputs,
    /// What the work of a tick requests, and where it is; kept to reuse their memory.
    looks: Vec<Look>,
    seen: Vec<Seen>,
}

/// Where a sample's state is, and what the rows need besides.
struct Sample {
    model: ModelId,
    place: usize,
    uses_anchor: bool,
    noise: Noise,
    index: u64,
    label: i64,
    known: Option<Arc<KnownImage>>,
}

impl BoundModel {
    /// * `model`: whose network keeps the state of samples.
    pub(crate) fn new(model: HostModel) -> Self {
        let HostModel { network, sample_len, classes, examples, .. } = model;
        let bound = network.into_bound().expect("the model was loaded to keep samples");
        Self { bound, sample_len, classes: classes as i64, examples, free: Vec::new(), places: 0 }
    }

    fn take_place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places += 1;
            self.places - 1
        })
    }
}

impl BoundDevice {
    pub(crate) fn new(models: Vec<BoundModel>) -> Self {
        Self {
            models,
            slots: Vec::new(),
            free: Vec::new(),
            inputs: Inputs::default(),
            looks: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn sample(&self, slot: Slot) -> &Sample {
        self.slots[slot].as_ref().expect("work names slots that were started")
    }

    /// Returns whether a row reads a known image that its sample does not have.
    fn lacks_image(&self, item: &Work<'_>) -> bool {
        item.row.reads_known() && self.sample(item.slot).known.is_none()
    }

    /// Puts a row into the call, with its noise.
    fn push(&mut self, item: &Work<'_>) -> Result<(), ddpm_onnx::Error> {
        let sample = self.slots[item.slot].as_ref();
        let Sample { model, place, uses_anchor, noise, index, label, .. } =
            sample.expect("work names slots that were started");
        let BoundModel { bound, classes, .. } = &mut self.models[*model];
        let row = item.row;
        let step = Step {
            slot: *place,
            row,
            uses_anchor: *uses_anchor,
            label: *label,
            unlabelled: *classes,
        };
        let into = bound.push(step)?;
        if row.adds_noise() {
            let draw = row.noise.draw.unwrap_or(item.position as u32 + 1);
            noise.normal(row.noise.index.unwrap_or(*index), draw, into);
        }
        Ok(())
    }

    /// Makes the call of a tick, and brings what its work requests. Returns the time inside the
    /// network.
    fn run(&mut self, model: ModelId, work: &[Work<'_>]) -> Result<Duration, ddpm_onnx::Error> {
        self.models[model].bound.clear();
        for item in work {
            if !self.lacks_image(item) {
                self.push(item)?;
            }
        }
        let network = self.models[model].bound.run()?;
        self.looks.clear();
        let mut position = 0;
        for item in work {
            if self.lacks_image(item) {
                continue;
            }
            let place = self.sample(item.slot).place;
            self.looks.extend(item.show_x_0.then_some(Look::X0(position)));
            let scaled = |scale: f64| Look::Point(place, scale as f32);
            self.looks.extend(item.show_x_t.map(scaled));
            self.looks.extend(item.last.then_some(Look::Point(place, 1.0)));
            position += 1;
        }
        self.seen.clear();
        let Self { models, looks, seen, .. } = self;
        models[model].bound.look(looks.drain(..), |place| seen.push(place))?;
        Ok(network)
    }

    /// Copies out what the work of a sample requests.
    ///
    /// * `seen`: where it is, in order; what is taken of it is passed over.
    fn outcome(&mut self, item: &Work<'_>, seen: &mut impl Iterator<Item = Seen>) -> Outcome {
        let bound = &self.models[self.sample(item.slot).model].bound;
        let mut take = || seen.next().map(|place| bound.seen(place).to_vec());
        let outcome = Outcome {
            x_0: item.show_x_0.then(&mut take).flatten(),
            x_t: item.show_x_t.and_then(|_| take()),
            sample: item.last.then(&mut take).flatten(),
        };
        if item.last {
            self.release(item.slot);
        }
        outcome
    }
}

impl Device for BoundDevice {
    fn start(&mut self, model: ModelId, start: SlotStart<'_>) -> Slot {
        let bound_model = &mut self.models[model];
        let SlotStart { program, noise, index, class_label, initial, known } = start;
        let point = initial.unwrap_or_else(|| {
            let mut x_t = vec![0.0; bound_model.sample_len];
            noise.normal(index, 0, &mut x_t);
            x_t
        });
        let place = bound_model.take_place();
        let images = known.as_ref().map(|known| [&known.image[..], &known.mask[..]]);
        bound_model.bound.start(place, &point, images);
        let sample = Sample {
            model,
            place,
            uses_anchor: program.uses_anchor(),
            noise: noise.clone(),
            index,
            label: class_label.map_or(bound_model.classes, i64::from),
            known,
        };
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
        let network = self.run(model, work).map_err(|error| RuntimeError(error.to_string()))?;
        let seen = std::mem::take(&mut self.seen);
        let mut places = seen.iter().copied();
        for item in work {
            outcomes.push(match self.lacks_image(item) {
                true => Err(RuntimeError("a row reads a known image and there is none".into())),
                false => Ok(self.outcome(item, &mut places)),
            });
        }
        self.seen = seen;
        Ok(TickTimes { network, kernel: started.elapsed().saturating_sub(network) })
    }

    fn probe(&mut self, model: ModelId, evals: u32) -> Result<Duration, RuntimeError> {
        let BoundModel { bound, examples, .. } = &mut self.models[model];
        self.inputs.clear();
        for row in 0..evals as usize {
            self.inputs.push_row(examples, row % examples.rows());
        }
        let time = bound.probe(self.inputs.batch());
        time.map_err(|error| RuntimeError(error.to_string()))
    }

    fn release(&mut self, slot: Slot) {
        if let Some(sample) = self.slots[slot].take() {
            self.models[sample.model].free.push(sample.place);
            self.free.push(slot);
        }
    }

    fn slots(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests;

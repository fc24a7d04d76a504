//! The rows of a call: their state in arenas, what they say, and the graph that applies them.

use std::collections::HashMap;

use ddpm_diffusion::Row;
use ddpm_graph::rows::{self, Needs, Order, WIDTH, names, order};

use super::binding::Binding;
use super::buffer::Buffer;
use super::call::Call;
use crate::{Device, Error, Runtime};

/// Slots and rows at first; doubled when they are short.
const FIRST: usize = 16;

/// The state of samples, by slot.
#[derive(Debug)]
pub(super) struct Arenas {
    pub(super) u: Buffer<f32>,
    /// The anchor, and the history, latest first.
    memory: [Buffer<f32>; 4],
    /// The known image and its mask.
    known: [Buffer<f32>; 2],
    pub(super) slots: usize,
}

/// What the rows of a call say, one line each.
#[derive(Debug)]
struct Lines {
    slots: Buffer<i64>,
    table: Buffer<f32>,
    evals: [Buffer<i64>; 2],
    noise: Buffer<f32>,
    around: Buffer<i64>,
    share_and_most: Buffer<f64>,
    /// Rows that there is room for.
    room: usize,
}

/// Applies rows to samples.
#[derive(Debug)]
pub(super) struct Rows {
    /// Which graphs there are, by what they can do. Released before what they look at.
    calls: HashMap<Needs, Call>,
    pub(super) arenas: Arenas,
    lines: Lines,
    /// The predictions of x_0 of the last call.
    pub(super) x_0: Buffer<f32>,
    /// Rows of the call that is being put together, and what they need.
    count: usize,
    needs: Needs,
    len: usize,
    output_len: usize,
}

impl Rows {
    /// * `len`, `output_len`: elements of a sample and of the network's output.
    pub(super) fn new(len: usize, output_len: usize) -> Self {
        let line = |len| Buffer::new(len);
        let arenas = Arenas {
            u: line(len),
            memory: std::array::from_fn(|_| line(len)),
            known: std::array::from_fn(|_| line(len)),
            slots: 0,
        };
        let lines = Lines {
            slots: Buffer::new(1),
            table: Buffer::new(WIDTH),
            evals: std::array::from_fn(|_| Buffer::new(1)),
            noise: line(len),
            around: Buffer::new(2),
            share_and_most: Buffer::new(2),
            room: 0,
        };
        Self {
            calls: HashMap::new(),
            arenas,
            lines,
            x_0: line(len),
            count: 0,
            needs: Needs::default(),
            len,
            output_len,
        }
    }

    /// Puts a sample's first state into a slot. Returns whether the arenas moved.
    ///
    /// * `known`: image and mask.
    pub(super) fn start(&mut self, slot: usize, u: &[f32], known: Option<[&[f32]; 2]>) -> bool {
        let moved = slot >= self.arenas.slots;
        if moved {
            self.arenas.grow((slot + 1).max(2 * self.arenas.slots).max(FIRST));
            self.unbind();
        }
        let Arenas { u: points, memory: [anchor, history @ ..], known: images, .. } =
            &mut self.arenas;
        points.line_mut(slot).copy_from_slice(u);
        anchor.line_mut(slot).copy_from_slice(u);
        history.iter_mut().for_each(|arena| arena.line_mut(slot).fill(0.0));
        if let Some(known) = known {
            let into = images.iter_mut().zip(known);
            into.for_each(|(arena, image)| arena.line_mut(slot).copy_from_slice(image));
        }
        moved
    }

    /// Begins to put a call together.
    pub(super) fn clear(&mut self) {
        (self.count, self.needs) = (0, Needs::default());
    }

    /// Adds a row to the call; returns where its noise goes.
    ///
    /// * `first_eval`: position of its first eval among those of the call.
    pub(super) fn push(
        &mut self,
        slot: usize,
        row: &Row,
        uses_anchor: bool,
        first_eval: usize,
    ) -> &mut [f32] {
        let at = self.count;
        if at >= self.lines.room {
            self.grow((at + 1).max(2 * self.lines.room).max(FIRST));
        }
        self.count += 1;
        self.needs = self.needs.and(Needs::of(row, uses_anchor));
        let lines = &mut self.lines;
        lines.slots.line_mut(at)[0] = slot as i64;
        if let Ok(line) = lines.table.line_mut(at).try_into() {
            rows::write(row, uses_anchor, line);
        }
        // A row without so many evals has no weight for them: any output will do.
        for (eval, position) in lines.evals.iter_mut().enumerate() {
            let at_most = row.evals.count().saturating_sub(1).min(eval);
            let read = if row.evals.count() == 0 { 0 } else { first_eval + at_most };
            position.line_mut(at)[0] = read as i64;
        }
        let Order { around, share_and_most } = order(row, self.len);
        lines.around.line_mut(at).copy_from_slice(&around);
        lines.share_and_most.line_mut(at).copy_from_slice(&share_and_most);
        lines.noise.line_mut(at)
    }

    /// Returns the number of rows of the call.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Applies the rows of the call.
    ///
    /// * `outputs`: of the network; `evals` lines are there.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if the graph cannot be loaded, [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn run(
        &mut self,
        runtime: &Runtime,
        device: &Device,
        outputs: &mut Buffer<f32>,
        evals: usize,
    ) -> Result<(), Error> {
        let Self { calls, arenas, lines, x_0, needs, count, len, output_len } = self;
        if !calls.contains_key(needs) {
            let bytes = rows::rows(*len, *output_len, *needs);
            let fault = |error: String| Error::Graph(error);
            let mut builder = device.session(runtime).map_err(fault)?;
            let session = builder.commit_from_memory(&bytes);
            calls.insert(*needs, Call::new(session.map_err(|error| fault(error.to_string()))?));
        }
        let Some(call) = calls.get_mut(needs) else {
            return Err(Error::Run("a graph was lost".into()));
        };
        call.run(*count, |binding| {
            binding.input(names::OUTPUTS, outputs.view(&[evals, *output_len])?)?;
            lines.bind(binding, *count, *needs, *len)?;
            arenas.bind(binding, *needs, *len)?;
            binding.output(names::X_0, x_0.view(&[*count, *len])?)
        })
    }

    /// Forgets what is bound, because memory moved.
    pub(super) fn unbind(&mut self) {
        self.calls.values_mut().for_each(Call::unbind);
    }

    fn grow(&mut self, room: usize) {
        self.lines.grow(room);
        self.x_0.grow(room);
        self.unbind();
    }
}

impl Arenas {
    fn grow(&mut self, slots: usize) {
        self.u.grow(slots);
        self.memory.iter_mut().chain(&mut self.known).for_each(|arena| arena.grow(slots));
        self.slots = slots;
    }

    fn bind(&mut self, binding: &mut Binding, needs: Needs, len: usize) -> Result<(), Error> {
        let shape = [self.slots, len];
        let mut in_place = |name: &str, arena: &mut Buffer<f32>| {
            binding.input(name, arena.view(&shape)?)?;
            binding.output(&names::next(name), arena.view(&shape)?)
        };
        in_place(names::U, &mut self.u)?;
        if needs.memory {
            for (name, arena) in names::MEMORY.into_iter().zip(&mut self.memory) {
                in_place(name, arena)?;
            }
        }
        if needs.known {
            for (name, arena) in names::KNOWN.into_iter().zip(&mut self.known) {
                binding.input(name, arena.view(&shape)?)?;
            }
        }
        Ok(())
    }
}

impl Lines {
    fn grow(&mut self, room: usize) {
        self.slots.grow(room);
        self.table.grow(room);
        self.evals.iter_mut().for_each(|positions| positions.grow(room));
        self.noise.grow(room);
        self.around.grow(room);
        self.share_and_most.grow(room);
        self.room = room;
    }

    fn bind(
        &mut self,
        binding: &mut Binding,
        count: usize,
        needs: Needs,
        len: usize,
    ) -> Result<(), Error> {
        binding.input(names::SLOTS, self.slots.view(&[count])?)?;
        binding.input(names::TABLE, self.table.view(&[count, WIDTH])?)?;
        let evals = if needs.guidance { 2 } else { 1 };
        for (name, positions) in names::EVALS.into_iter().zip(&mut self.evals).take(evals) {
            binding.input(name, positions.view(&[count])?)?;
        }
        if needs.noise {
            binding.input(names::NOISE, self.noise.view(&[count, len])?)?;
        }
        if needs.threshold {
            binding.input(names::AROUND, self.around.view(&[count, 2])?)?;
            binding.input(names::SHARE_AND_MOST, self.share_and_most.view(&[count, 2])?)?;
        }
        Ok(())
    }
}

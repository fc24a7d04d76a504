//! The rows of a call: what they say, and the graph that applies them.

use ddpm_diffusion::Row;
use ddpm_graph::rows::{self, Needs, Quantile, WIDTH, names, quantile};

use super::arenas::Arenas;
use super::binding::Binding;
use super::buffer::{DeviceLines, HostLines, Memory};
use super::call::{Bind, Call};
use super::open;
use crate::{Device, Error, Runtime};

/// Rows at first; doubled when they are short.
const FIRST: usize = 16;

/// Applies rows to samples.
#[derive(Debug)]
pub(super) struct Rows {
    /// One graph for each of [`Needs::KINDS`]. Released before what they look at.
    calls: [Call; 3],
    lines: Lines,
    /// The predictions of x_0 of the last call.
    x_0: DeviceLines,
    /// Rows of the call that is being put together, and what they need.
    count: usize,
    needs: Needs,
    len: usize,
    output_len: usize,
}

/// What the rows of a call say, one line each.
#[derive(Debug)]
struct Lines {
    slots: HostLines<i64>,
    table: HostLines<f32>,
    evals: [HostLines<i64>; 2],
    noise: HostLines<f32>,
    positions: HostLines<i64>,
    fraction_and_max: HostLines<f64>,
    /// Rows that there is room for.
    room: usize,
}

/// What a call reads and writes.
struct Applying<'a> {
    arenas: &'a mut Arenas,
    lines: &'a mut Lines,
    x_0: &'a mut DeviceLines,
    outputs: &'a mut DeviceLines,
    count: usize,
    needs: Needs,
    len: usize,
    output_len: usize,
}

impl Rows {
    /// * `len`, `output_len`: elements of a sample and of the network's output.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if a graph cannot be loaded.
    pub(super) fn new(
        runtime: &Runtime,
        device: &Device,
        memory: &Memory,
        (len, output_len): (usize, usize),
    ) -> Result<Self, Error> {
        let call = |needs| {
            let session = open(runtime, device, &rows::rows(len, output_len, needs))?;
            Ok::<_, Error>(Call::new(session, !memory.is_host()))
        };
        let [plain, solver, all] = Needs::KINDS;
        let calls = [call(plain)?, call(solver)?, call(all)?];
        let lines = Lines {
            slots: HostLines::new(1),
            table: HostLines::new(WIDTH),
            evals: std::array::from_fn(|_| HostLines::new(1)),
            noise: HostLines::new(len),
            positions: HostLines::new(2),
            fraction_and_max: HostLines::new(2),
            room: 0,
        };
        let x_0 = DeviceLines::new(memory, len);
        let (count, needs) = (0, Needs::default());
        Ok(Self { calls, lines, x_0, count, needs, len, output_len })
    }

    /// Begins to put a call together.
    pub(super) fn clear(&mut self) {
        (self.count, self.needs) = (0, Needs::default());
    }

    /// Makes room for one more row.
    ///
    /// * `unbind`: called before the predictions of x_0 move; what is bound to them must be bound
    ///   again.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the device has no room.
    pub(super) fn reserve(&mut self, unbind: impl FnOnce()) -> Result<(), Error> {
        if self.count < self.lines.room {
            return Ok(());
        }
        let room = (2 * self.lines.room).max(FIRST);
        let larger = self.x_0.with_room(room)?;
        self.unbind();
        unbind();
        self.x_0 = larger;
        self.lines.grow(room);
        Ok(())
    }

    /// Adds a row to the call, for which there is room; returns where its noise goes.
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
        self.count += 1;
        self.needs = self.needs.union(Needs::of(row, uses_anchor));
        let lines = &mut self.lines;
        lines.slots.line_mut(at)[0] = slot as i64;
        let line = lines.table.line_mut(at).try_into().expect("a line of the table has its width");
        rows::write(row, uses_anchor, line);
        // A row without so many evals has no weight for them: any output will do.
        for (eval, position) in lines.evals.iter_mut().enumerate() {
            let read = match row.evals.count() {
                0 => 0,
                evals => first_eval + eval.min(evals - 1),
            };
            position.line_mut(at)[0] = read as i64;
        }
        let Quantile { positions, fraction_and_max } = quantile(row, self.len);
        lines.positions.line_mut(at).copy_from_slice(&positions);
        lines.fraction_and_max.line_mut(at).copy_from_slice(&fraction_and_max);
        lines.noise.line_mut(at)
    }

    /// Returns the number of rows of the call.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the predictions of x_0 of the last call.
    pub(super) fn x_0(&mut self) -> &mut DeviceLines {
        &mut self.x_0
    }

    /// Applies the rows of the call.
    ///
    /// * `outputs`: of the network; all its lines are bound, so their number never changes without
    ///   [`Rows::unbind`].
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn run(
        &mut self,
        arenas: &mut Arenas,
        outputs: &mut DeviceLines,
    ) -> Result<(), Error> {
        let Self { calls, lines, x_0, needs, count, len, output_len } = self;
        let (kind, count, len, output_len) = (needs.kind(), *count, *len, *output_len);
        let needs = Needs::KINDS[kind];
        let applying = Applying { arenas, lines, x_0, outputs, count, needs, len, output_len };
        calls[kind].run(count, applying)
    }

    /// Forgets what is bound, because memory moved.
    pub(super) fn unbind(&mut self) {
        self.calls.iter_mut().for_each(Call::unbind);
    }
}

impl Bind for Applying<'_> {
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let outputs = [self.outputs.lines(), self.output_len];
        binding.input(names::OUTPUTS, self.outputs.view(&outputs)?)?;
        self.arenas.bind(binding, self.needs)?;
        binding.output(names::X_0, self.x_0.view(&[self.count, self.len])?)
    }

    fn feed(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let Self { lines, count, needs, len, .. } = self;
        let (count, len) = (*count, *len);
        binding.input(names::SLOTS, lines.slots.view(&[count])?)?;
        binding.input(names::TABLE, lines.table.view(&[count, WIDTH])?)?;
        let evals = if needs.guidance { 2 } else { 1 };
        for (name, positions) in names::EVALS.into_iter().zip(&mut lines.evals).take(evals) {
            binding.input(name, positions.view(&[count])?)?;
        }
        if needs.noise {
            binding.input(names::NOISE, lines.noise.view(&[count, len])?)?;
        }
        if needs.threshold {
            binding.input(names::POSITIONS, lines.positions.view(&[count, 2])?)?;
            binding.input(names::FRACTION_AND_MAX, lines.fraction_and_max.view(&[count, 2])?)?;
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
        self.positions.grow(room);
        self.fraction_and_max.grow(room);
        self.room = room;
    }
}

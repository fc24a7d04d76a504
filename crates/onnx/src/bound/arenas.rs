//! The state of samples, by slot.

use ddpm_graph::rows::{Needs, copied, names, starts};

use super::binding::Binding;
use super::buffer::{DeviceLines, HostLines, Memory};
use super::call::{Bind, Call};
use super::open;
use crate::{Device, Error, Runtime};

/// Slots at first; doubled when they are short.
const FIRST: usize = 16;
/// The point, the anchor and the history, latest first; the known image and its mask.
const ARENAS: usize = 7;

/// The state of samples: one arena per part of it.
#[derive(Debug)]
pub(super) struct Arenas {
    /// Sessions that write first states: without a known image, and with one. Released before what
    /// they look at.
    starts: [Call; 2],
    /// Copies an arena to a larger one.
    copied: Call,
    arenas: [DeviceLines; ARENAS],
    waiting: [Waiting; 2],
    slots: usize,
    len: usize,
}

/// Samples that begin with the next call.
#[derive(Debug)]
struct Waiting {
    slots: HostLines<i64>,
    points: HostLines<f32>,
    /// Image and mask, if there is one.
    known: Option<[HostLines<f32>; 2]>,
    count: usize,
    room: usize,
}

/// What a session of first states reads and writes.
struct Starting<'a> {
    arenas: &'a mut [DeviceLines; ARENAS],
    waiting: &'a mut Waiting,
    shape: [usize; 2],
}

impl Arenas {
    /// * `len`: elements of a sample.
    pub(super) fn new(
        runtime: &Runtime,
        device: &Device,
        memory: &Memory,
        len: usize,
    ) -> Result<Self, Error> {
        let call = |bytes: &[u8]| {
            Ok::<_, Error>(Call::new(open(runtime, device, bytes)?, !memory.is_host()))
        };
        Ok(Self {
            starts: [call(&starts(len, false))?, call(&starts(len, true))?],
            copied: call(&copied(len))?,
            arenas: std::array::from_fn(|_| DeviceLines::new(memory, len)),
            waiting: [Waiting::new(len, false), Waiting::new(len, true)],
            slots: 0,
            len,
        })
    }

    /// Returns how many slots there is room for.
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// Returns the arena of the points.
    pub(super) fn points(&mut self) -> &mut DeviceLines {
        &mut self.arenas[0]
    }

    /// Notes a sample's first state; it is written before the next call.
    pub(super) fn start(&mut self, slot: usize, u: &[f32], known: Option<[&[f32]; 2]>) {
        // A sample that never ran may have left its slot.
        self.waiting.iter_mut().for_each(|waiting| waiting.remove(slot));
        let call = &mut self.starts[usize::from(known.is_some())];
        if self.waiting[usize::from(known.is_some())].push(slot, u, known) {
            call.unbind();
        }
    }

    /// Makes room for so many slots.
    ///
    /// * `unbind`: called before the arenas move; what is bound to them must be bound again.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails, or the device has no room; then nothing has moved.
    pub(super) fn reserve(&mut self, slots: usize, unbind: impl FnOnce()) -> Result<(), Error> {
        if slots <= self.slots {
            return Ok(());
        }
        unbind();
        self.grow(slots.max(2 * self.slots).max(FIRST))
    }

    /// Writes the first states of the samples that wait, for which there is room.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn write(&mut self) -> Result<(), Error> {
        let shape = [self.slots, self.len];
        for (call, waiting) in self.starts.iter_mut().zip(&mut self.waiting) {
            if waiting.count > 0 {
                let count = waiting.count;
                let arenas = &mut self.arenas;
                call.run(count, Starting { arenas, waiting: &mut *waiting, shape })?;
                waiting.count = 0;
            }
        }
        Ok(())
    }

    /// Binds the arenas that a call reads and writes in place.
    pub(super) fn bind(&mut self, binding: &mut Binding, needs: Needs) -> Result<(), Error> {
        let shape = [self.slots, self.len];
        let state = if needs.memory { &names::STATE[..] } else { &names::STATE[..1] };
        for ((name, next), arena) in state.iter().zip(&mut self.arenas) {
            binding.input(name, arena.view(&shape)?)?;
            binding.output(next, arena.view(&shape)?)?;
        }
        if needs.known {
            for ((name, _), arena) in names::KNOWN.iter().zip(&mut self.arenas[5..]) {
                binding.input(name, arena.view(&shape)?)?;
            }
        }
        Ok(())
    }

    /// Moves the arenas to larger ones, all or none.
    fn grow(&mut self, slots: usize) -> Result<(), Error> {
        let mut grown = Vec::with_capacity(ARENAS);
        for arena in &mut self.arenas {
            let mut larger = arena.with_room(slots)?;
            if self.slots > 0 {
                let shape = [self.slots, self.len];
                let copied =
                    self.copied.run(self.slots, Copying { from: arena, to: &mut larger, shape });
                self.copied.unbind();
                copied?;
            }
            grown.push(larger);
        }
        self.starts.iter_mut().for_each(Call::unbind);
        self.arenas.iter_mut().zip(grown).for_each(|(arena, larger)| *arena = larger);
        self.slots = slots;
        Ok(())
    }
}

struct Copying<'a> {
    from: &'a mut DeviceLines,
    to: &'a mut DeviceLines,
    shape: [usize; 2],
}

impl Bind for Copying<'_> {
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error> {
        binding.input(names::FROM, self.from.view(&self.shape)?)?;
        binding.output(names::TO, self.to.view(&self.shape)?)
    }

    fn feed(&mut self, _: &mut Binding) -> Result<(), Error> {
        Ok(())
    }
}

impl Bind for Starting<'_> {
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let names = names::STATE.iter().chain(&names::KNOWN);
        let used = if self.waiting.known.is_some() { ARENAS } else { names::STATE.len() };
        for ((name, next), arena) in names.zip(&mut *self.arenas).take(used) {
            binding.input(name, arena.view(&self.shape)?)?;
            binding.output(next, arena.view(&self.shape)?)?;
        }
        Ok(())
    }

    fn feed(&mut self, binding: &mut Binding) -> Result<(), Error> {
        let Waiting { slots, points, known, count, .. } = &mut *self.waiting;
        let shape = [*count, self.shape[1]];
        binding.input(names::SLOTS, slots.view(&[*count])?)?;
        binding.input(names::POINTS, points.view(&shape)?)?;
        for (name, lines) in names::FIRST_KNOWN.into_iter().zip(known.iter_mut().flatten()) {
            binding.input(name, lines.view(&shape)?)?;
        }
        Ok(())
    }
}

impl Waiting {
    fn new(len: usize, known: bool) -> Self {
        Self {
            slots: HostLines::new(1),
            points: HostLines::new(len),
            known: known.then(|| std::array::from_fn(|_| HostLines::new(len))),
            count: 0,
            room: 0,
        }
    }

    /// Removes a sample, if there is one of that slot: no slot may be written twice at once.
    fn remove(&mut self, slot: usize) {
        let found = (0..self.count).find(|at| self.slots.line(*at)[0] == slot as i64);
        let Some(at) = found else { return };
        self.count -= 1;
        let last = self.count;
        self.slots.line_mut(at)[0] = self.slots.line(last)[0];
        self.points.copy_line(last, at);
        self.known.iter_mut().flatten().for_each(|lines| lines.copy_line(last, at));
    }

    /// Adds a sample; returns whether memory moved.
    fn push(&mut self, slot: usize, u: &[f32], known: Option<[&[f32]; 2]>) -> bool {
        let at = self.count;
        let moves = at >= self.room;
        if moves {
            self.room = (2 * self.room).max(FIRST);
            self.slots.grow(self.room);
            self.points.grow(self.room);
            self.known.iter_mut().flatten().for_each(|lines| lines.grow(self.room));
        }
        self.count += 1;
        self.slots.line_mut(at)[0] = slot as i64;
        self.points.line_mut(at).copy_from_slice(u);
        let into = self.known.iter_mut().flatten().zip(known.into_iter().flatten());
        into.for_each(|(lines, image)| lines.line_mut(at).copy_from_slice(image));
        moves
    }
}

//! A session with its bindings, one per size of a call.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ort::session::Session;

use super::binding::Binding;
use crate::Error;

/// Sizes whose bindings are kept.
const KEPT: usize = 256;

/// A session and what it reads and writes, by the size of the call.
#[derive(Debug)]
pub(super) struct Call {
    // Released before the session.
    bindings: HashMap<usize, Binding>,
    session: Session,
    /// Whether what the host writes is copied when it is bound, and so is bound at each call.
    feeds_each_call: bool,
}

/// What a call reads and writes.
pub(super) trait Bind {
    /// Binds what stays where it is.
    fn keep(&mut self, binding: &mut Binding) -> Result<(), Error>;

    /// Binds what the host has written.
    fn feed(&mut self, binding: &mut Binding) -> Result<(), Error>;
}

impl Call {
    pub(super) fn new(session: Session, feeds_each_call: bool) -> Self {
        Self { bindings: HashMap::new(), session, feeds_each_call }
    }

    /// Runs the session.
    ///
    /// * `size`: equal sizes read and write the same memory.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn run(&mut self, size: usize, mut memory: impl Bind) -> Result<(), Error> {
        if self.bindings.len() >= KEPT && !self.bindings.contains_key(&size) {
            self.bindings.clear();
        }
        let binding = match self.bindings.entry(size) {
            Entry::Occupied(found) => {
                let binding = found.into_mut();
                if self.feeds_each_call {
                    memory.feed(binding)?;
                }
                binding
            }
            Entry::Vacant(place) => {
                let mut binding = Binding::new(&self.session)?;
                memory.keep(&mut binding)?;
                memory.feed(&mut binding)?;
                place.insert(binding)
            }
        };
        binding.run(&mut self.session)
    }

    /// Forgets what is bound, because memory moved.
    pub(super) fn unbind(&mut self) {
        self.bindings.clear();
    }
}

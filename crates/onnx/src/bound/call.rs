//! A session with its bindings, one per size of a call.

use std::collections::HashMap;

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
}

impl Call {
    pub(super) fn new(session: Session) -> Self {
        Self { bindings: HashMap::new(), session }
    }

    /// Runs the session on `size` rows.
    ///
    /// * `bind`: binds inputs and outputs, at the first call of that size.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if ONNX Runtime fails.
    pub(super) fn run(
        &mut self,
        size: usize,
        bind: impl FnOnce(&mut Binding) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.bindings.contains_key(&size) {
            if self.bindings.len() >= KEPT {
                self.bindings.clear();
            }
            let mut binding = Binding::new(&self.session)?;
            bind(&mut binding)?;
            self.bindings.insert(size, binding);
        }
        let Some(binding) = self.bindings.get_mut(&size) else {
            return Err(Error::Run("a binding was lost".into()));
        };
        binding.run(&mut self.session)
    }

    /// Forgets what is bound, because memory moved.
    pub(super) fn unbind(&mut self) {
        self.bindings.clear();
    }
}

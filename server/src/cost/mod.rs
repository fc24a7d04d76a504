//! What a call of a network costs, and whether its bits depend on the rest of the batch.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::scheduler::ModelId;

mod curve;
pub(crate) use curve::CostCurve;

/// The cost curves of all models, in the order of their ids: read for prices, corrected by the
/// engine. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Costs(Arc<Mutex<Vec<CostCurve>>>);

impl Costs {
    pub(crate) fn new(curves: Vec<CostCurve>) -> Self {
        Self(Arc::new(Mutex::new(curves)))
    }

    /// Reads the curve of a model.
    pub(crate) fn with<T>(&self, model: ModelId, read: impl FnOnce(&CostCurve) -> T) -> T {
        read(&self.lock()[model])
    }

    /// Locks all curves; hold it briefly.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Vec<CostCurve>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

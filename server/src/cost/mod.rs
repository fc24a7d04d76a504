//! What a call of a network costs: measured at start, refined while idle, kept in a cache, and
//! corrected by every call while serving.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::scheduler::ModelId;

mod curve;
pub(crate) use curve::CostCurve;

mod interference;
#[cfg(test)]
pub(crate) use interference::Reading;
pub(crate) use interference::observe;

mod calibration;
pub(crate) use calibration::Calibration;

mod cache;
pub(crate) use cache::{CacheEntry, Key, Measured};

mod start;
pub(crate) use start::{Measurement, Sizes, Upkeep, measure};

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

//! What a call of a network costs: measured at start, refined while idle, kept in a cache, and
//! corrected by every call while serving.

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
pub(crate) use start::{Measurement, Upkeep, measure};

//! The measurement at start: for a short time, since the engine goes on while it is idle.

use std::time::{Duration, Instant};

use super::{CacheEntry, Calibration, CostCurve, Measured, observe};
use crate::determinism::{Determinism, reach, sweep};
use crate::runtime::{HostModel, Inputs, RuntimeError};

/// How long the measurement of a model may hold up a start, beyond its last call.
const START_TIME: Duration = Duration::from_millis(1500);

/// What is known about a model when it is served, and what goes on being measured.
#[derive(Debug)]
pub(crate) struct Measurement {
    pub(crate) curve: CostCurve,
    pub(crate) determinism: Determinism,
    /// Whether the curve comes from an earlier start.
    pub(crate) cached: bool,
    pub(crate) upkeep: Upkeep,
}

/// The measurement of a model that the engine goes on with while it is idle: it makes calls of
/// [`Calibration::next_size`] evals under [`observe`], and records them. Once they settle, their
/// curve replaces the one in use, and [`Upkeep::keep`] writes it down.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) calibration: Calibration,
    pub(crate) determinism: Determinism,
    pub(crate) entry: Option<CacheEntry>,
}

impl Upkeep {
    /// Writes a settled measurement to the cache, if there is one. It waits for the disk: leave it
    /// to a thread that may wait.
    pub(crate) fn keep(&self) {
        if let Some(entry) = self.entry.as_ref().filter(|_| self.calibration.is_settled()) {
            let points = self.calibration.points();
            entry.store(&Measured { points, determinism: self.determinism.clone() });
        }
    }
}

/// Which sizes of calls may be used; in evals.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sizes {
    /// The largest.
    pub(crate) max: Option<u32>,
    /// The size of every call that can be filled.
    pub(crate) fixed: Option<u32>,
}

/// Measures a model, or takes what an earlier start has measured.
///
/// # Errors
///
/// If the network could not be run.
pub(crate) fn measure(
    model: &mut HostModel,
    sizes: Sizes,
    entry: Option<CacheEntry>,
) -> Result<Measurement, RuntimeError> {
    let Sizes { max: max_batch, fixed } = sizes;
    let cached = entry.as_ref().and_then(CacheEntry::load);
    let cached = cached.filter(|cached| cached.determinism.largest >= fixed.unwrap_or(0));
    if let Some(Measured { points, determinism }) = cached {
        let curve = CostCurve::new(&points).fixed(fixed);
        // The machine may have changed since: it is measured again, while idle.
        let mut calibration = Calibration::new(max_batch);
        calibration.limit(determinism.largest.min(calibration.max()));
        let upkeep = Upkeep { calibration, determinism: determinism.clone(), entry };
        return Ok(Measurement { curve, determinism, cached: true, upkeep });
    }
    let mut calibration = Calibration::new(max_batch);
    calibrate(model, &mut calibration)?;
    let curve = calibration.curve().fixed(fixed);
    // A guided row makes a call of two even if calls should have one.
    let determinism = sweep(model, reach(&curve, calibration.max()).max(2))?;
    calibration.limit(determinism.largest.min(calibration.max()));
    let upkeep = Upkeep { calibration, determinism: determinism.clone(), entry };
    upkeep.keep();
    Ok(Measurement { curve, determinism, cached: false, upkeep })
}

/// Measures until the calibration settles, its time is over, or others use the machine.
fn calibrate(model: &mut HostModel, calibration: &mut Calibration) -> Result<(), RuntimeError> {
    let (mut inputs, mut outputs) = (Inputs::default(), Vec::new());
    let started = Instant::now();
    while let Some(size) = calibration.next_size() {
        let over = started.elapsed() >= START_TIME || calibration.is_disturbed();
        if over && calibration.has_curve() {
            break;
        }
        let reading = observe(|| model.probe(size, &mut inputs, &mut outputs))?;
        calibration.record(size, reading);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::super::Key;
    use super::*;
    use crate::runtime::stub::Stub;

    fn entry(folder: &tempfile::TempDir) -> CacheEntry {
        let (fingerprint, package) = ("a machine".into(), "0123".into());
        let key = Key { fingerprint, package, graph: "portable".into(), max_batch: Some(4) };
        CacheEntry::new(folder.path(), key)
    }

    fn up_to(max: u32) -> Sizes {
        Sizes { max: Some(max), fixed: None }
    }

    #[test]
    fn a_fixed_size_is_swept_whatever_was_measured_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let determinism = Determinism { strict: false, why: "as found".into(), largest: 3 };
        entry(&folder).store(&Measured { points: vec![(1, 0.25)], determinism });
        let sizes = Sizes { max: Some(4), fixed: Some(64) };
        let measured = measure(&mut Stub::default().model(2), sizes, Some(entry(&folder)));
        let measured = measured.unwrap();
        assert_eq!((measured.curve.bulk(), measured.cached), (64, false));
        assert!(measured.determinism.strict && measured.determinism.largest >= 64);
    }

    #[test]
    fn a_model_is_measured_and_swept_up_to_its_largest_batch() {
        let stub = Stub::default();
        let measured = measure(&mut stub.model(2), up_to(4), None).unwrap();
        assert!(measured.curve.largest() <= 4);
        assert!(measured.curve.seconds(1) > 0.0);
        assert!(measured.determinism.strict);
        assert_eq!((measured.determinism.largest, measured.cached), (4, false));
    }

    #[test]
    fn a_measurement_goes_on_for_three_rounds_unless_others_use_the_machine() {
        let (stub, mut calibration) = (Stub::default(), Calibration::new(Some(4)));
        calibrate(&mut stub.model(2), &mut calibration).unwrap();
        // Sizes 1 and 2 at least, each with a call to warm up.
        assert!(stub.calls.load(Ordering::Relaxed) >= 2 * (1 + 3));

        let (stub, mut calibration) = (Stub::default(), Calibration::new(Some(1)));
        for _ in 0..10 {
            calibration.record(1, super::super::Reading { seconds: 0.25, disturbed: true });
        }
        calibrate(&mut stub.model(2), &mut calibration).unwrap();
        assert_eq!(stub.calls.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_an_earlier_start_measured_is_used_without_a_call_and_refined() {
        let folder = tempfile::tempdir().unwrap();
        let determinism = Determinism { strict: false, why: "as found".into(), largest: 3 };
        let points = vec![(1, 0.25), (2, 0.375)];
        entry(&folder).store(&Measured { points: points.clone(), determinism });
        let stub = Stub::default();
        let measured = measure(&mut stub.model(2), up_to(4), Some(entry(&folder))).unwrap();
        assert_eq!(stub.calls.load(Ordering::Relaxed), 0);
        assert_eq!(measured.curve, CostCurve::new(&points));
        assert_eq!((measured.cached, measured.determinism.strict), (true, false));
        let calibration = measured.upkeep.calibration;
        assert_eq!((calibration.next_size(), calibration.max()), (Some(1), 3));
    }

    #[test]
    fn only_a_settled_measurement_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let determinism = Determinism { strict: true, why: "as found".into(), largest: 1 };
        let calibration = Calibration::new(Some(1));
        let mut upkeep = Upkeep { calibration, determinism, entry: Some(entry(&folder)) };
        let reading = super::super::Reading { seconds: 0.25, disturbed: false };
        while let Some(size) = upkeep.calibration.next_size() {
            upkeep.keep();
            assert_eq!(entry(&folder).load(), None);
            upkeep.calibration.record(size, reading);
        }
        upkeep.keep();
        assert_eq!(entry(&folder).load().unwrap().points, [(1, 0.25)]);
    }

    #[test]
    fn a_network_that_fails_cannot_be_measured() {
        let stub = Stub::default();
        stub.broken.store(true, Ordering::Relaxed);
        assert!(measure(&mut stub.model(2), Sizes::default(), None).is_err());
    }
}

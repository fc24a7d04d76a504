//! Names that people type, from tables of (name, value).

use ddpm_diffusion::{BetaSchedule, Prediction, Variance};

/// Finds `text` in a table, or lists the names there are.
fn find<T: Copy>(table: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let found = table.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        format!("use one of {}", names.join(", "))
    })
}

pub(super) fn beta_schedule(text: &str) -> Result<BetaSchedule, String> {
    find(&BetaSchedule::NAMES, text)
}

pub(super) fn prediction(text: &str) -> Result<Prediction, String> {
    find(&Prediction::NAMES, text)
}

pub(super) fn variance(text: &str) -> Result<Variance, String> {
    find(&Variance::NAMES, text)
}

//! Golden vectors: x_t of real data over the whole range of t, and what libtorch says to them.

use ddpm_diffusion::{Noise, q_sample};
use ddpm_package::{Golden, Manifest};
use tch::Device;

use super::package::ExportError;
use crate::data::Dataset;
use crate::model::Network;
use crate::sample::forward;

/// Rows for small samples.
const MAX_COUNT: usize = 16;
/// Rows for large ones: enough to cover the range of t.
const MIN_COUNT: usize = 4;
/// Numbers that the samples should not exceed: 256 KiB.
const ELEMENTS: usize = 1 << 16;

/// Computes golden vectors on the CPU.
///
/// Items are spread over the data set, timesteps over 0..=T−1, both ends included; the labels are
/// the items' own, and "none" for the last one.
///
/// # Errors
///
/// [`ExportError::Torch`] if memory is short.
pub(super) fn compute(
    network: &Network,
    manifest: &Manifest,
    dataset: &Dataset,
    seed: u64,
) -> Result<Golden, ExportError> {
    let (schedule, len) = (manifest.schedule()?, manifest.sample_len());
    let count = (ELEMENTS / len).clamp(MIN_COUNT, MAX_COUNT);
    let noise = Noise::new(seed);
    let (mut sample, mut timestep, mut labels) = (vec![0.0; count * len], Vec::new(), Vec::new());
    let (mut x_0, mut eps) = (vec![0.0; len], vec![0.0; len]);
    for (i, x_t) in sample.chunks_exact_mut(len).enumerate() {
        let (item, t) = (i * dataset.len() / count, i * (schedule.timesteps() - 1) / (count - 1));
        dataset.x_0(item, false, &mut x_0);
        noise.normal(i as u64, 0, &mut eps);
        q_sample(&schedule, t, &x_0, &eps, x_t);
        timestep.push(t as f32);
        let label = dataset.label(item).filter(|_| i + 1 < count);
        labels.push(label.unwrap_or(manifest.classes.len()) as i64);
    }
    let class_labels = (!manifest.classes.is_empty()).then_some(labels);
    let out_sample = forward(network, Device::Cpu, &sample, &timestep, class_labels.as_deref())?;
    Ok(Golden { count, sample, timestep, class_labels, out_sample })
}

//! Golden vectors: inputs over the whole range of noise, and what libtorch says to them.
//!
//! They are made of real data where it is at hand; models of other programs come without.

use ddpm_diffusion::{Evaluation, Network as Meaning, Noise, Point, Process, q_sample};
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
/// Items are spread over the data set and points over the process, both ends included; the labels are
/// the items' own, and "none" for the last one.
///
/// # Errors
///
/// [`ExportError::Torch`] if memory is short, [`ExportError::Diffusion`] if the process is out of range.
pub(crate) fn of_data(
    network: &Network,
    manifest: &Manifest,
    dataset: &Dataset,
    seed: u64,
) -> Result<Golden, ExportError> {
    let (meaning, len) = (manifest.network()?, manifest.sample_len());
    let count = (ELEMENTS / len).clamp(MIN_COUNT, MAX_COUNT);
    let noise = Noise::new(seed);
    let (mut sample, mut timestep, mut labels) = (vec![0.0; count * len], Vec::new(), Vec::new());
    let (mut x_0, mut eps) = (vec![0.0; len], vec![0.0; len]);
    for (i, x_t) in sample.chunks_exact_mut(len).enumerate() {
        let item = i * dataset.len() / count;
        let point = point(&meaning, i, count)?;
        let Evaluation { t, c_in, .. } = meaning.at(&point)?;
        dataset.x_0(item, false, &mut x_0);
        noise.normal(i as u64, 0, &mut eps);
        q_sample(&point, &x_0, &eps, x_t);
        x_t.iter_mut().for_each(|x| *x *= c_in as f32);
        timestep.push(t as f32);
        let label = dataset.label(item).filter(|_| i + 1 < count);
        labels.push(label.unwrap_or(manifest.classes.len()) as i64);
    }
    let class_labels = (!manifest.classes.is_empty()).then_some(labels);
    let out_sample = forward(network, Device::Cpu, &sample, &timestep, class_labels.as_deref())?;
    Ok(Golden { count, sample, timestep, class_labels, out_sample })
}

/// Computes golden vectors on the CPU from standard normal samples, which is what x_t is of data of
/// unit variance; points from one end of the process to the other, all labels in turn, "none" first.
///
/// * `draw`: which noise of `seed` the samples are.
///
/// # Errors
///
/// As [`of_data`].
pub(crate) fn of_noise(
    network: &Network,
    manifest: &Manifest,
    seed: u64,
    draw: u32,
) -> Result<Golden, ExportError> {
    let (meaning, len) = (manifest.network()?, manifest.sample_len());
    let count = (ELEMENTS / len).clamp(MIN_COUNT, MAX_COUNT);
    let noise = Noise::new(seed);
    let (mut sample, mut timestep) = (vec![0.0; count * len], Vec::new());
    for (row, x_t) in sample.chunks_exact_mut(len).enumerate() {
        noise.normal(row as u64, draw, x_t);
        timestep.push(meaning.at(&point(&meaning, row, count)?)?.t as f32);
    }
    let classes = manifest.classes.len();
    let class_labels: Option<Vec<i64>> = (classes > 0)
        .then(|| (0..count).map(|row| ((classes + row) % (classes + 1)) as i64).collect());
    let out_sample = forward(network, Device::Cpu, &sample, &timestep, class_labels.as_deref())?;
    Ok(Golden { count, sample, timestep, class_labels, out_sample })
}

/// The i-th of `count` points: timesteps spread evenly, or the logarithms of sigmas.
fn point(meaning: &Meaning, i: usize, count: usize) -> Result<Point, ddpm_diffusion::Error> {
    let process = &meaning.process;
    if let Process::Discrete(schedule) = process {
        return process.at_timestep((i * (schedule.timesteps() - 1) / (count - 1)) as f64);
    }
    let (low, high) = process.rho_range();
    let share = i as f64 / (count - 1) as f64;
    process.at_rho((low.ln() + share * (high / low).ln()).exp())
}

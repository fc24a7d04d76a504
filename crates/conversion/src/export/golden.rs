//! Golden vectors: inputs over the whole range of noise, and libtorch's outputs.
//!
//! The inputs are noisy data where data is at hand, and plain noise for imported models.

use ddpm_data::Dataset;
use ddpm_diffusion::{Evaluation, Noise, Parameterisation, Point, Process, q_sample};
use ddpm_network::Network;
use ddpm_network::sample::forward;
use ddpm_package::{Golden, Manifest};
use tch::Device;

use super::ExportError;

/// Rows of small samples.
const MAX_COUNT: usize = 16;
/// Rows of large samples: enough to cover the range of t.
const MIN_COUNT: usize = 4;
/// Most values in all rows together, if possible: 256 KiB.
const ELEMENTS: usize = 1 << 16;

/// Computes golden vectors from data, on the CPU.
///
/// The items are spread evenly over the data set and the points over the process, both of its ends
/// included. Rows have the labels of their items, except the last, which has "none".
///
/// * `dataset`: data of the shape and the classes of the model.
/// * `seed`: seed of the noise.
///
/// # Errors
///
/// [`ExportError::Torch`] if memory is short; [`ExportError::Diffusion`] if the process is out of
/// range.
pub fn from_data(
    network: &Network,
    manifest: &Manifest,
    dataset: &Dataset,
    seed: u64,
) -> Result<Golden, ExportError> {
    let (parameterisation, len) = (manifest.parameterisation()?, manifest.sample_len());
    let count = (ELEMENTS / len).clamp(MIN_COUNT, MAX_COUNT);
    let noise = Noise::new(seed);
    let (mut sample, mut timestep, mut labels) = (vec![0.0; count * len], Vec::new(), Vec::new());
    let (mut x_0, mut eps) = (vec![0.0; len], vec![0.0; len]);
    for (i, x_t) in sample.chunks_exact_mut(len).enumerate() {
        let item = i * dataset.len() / count;
        let point = point(&parameterisation, i, count)?;
        let Evaluation { t, c_in, .. } = parameterisation.at(&point)?;
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

/// Computes golden vectors from standard normal samples, on the CPU: the x_t of data of unit
/// variance.
///
/// The points go from one end of the process to the other, and the labels through all classes,
/// "none" first.
///
/// * `seed`, `draw`: the address of the noise.
///
/// # Errors
///
/// As [`from_data`].
pub fn from_noise(
    network: &Network,
    manifest: &Manifest,
    seed: u64,
    draw: u32,
) -> Result<Golden, ExportError> {
    let (parameterisation, len) = (manifest.parameterisation()?, manifest.sample_len());
    let count = (ELEMENTS / len).clamp(MIN_COUNT, MAX_COUNT);
    let noise = Noise::new(seed);
    let (mut sample, mut timestep) = (vec![0.0; count * len], Vec::new());
    for (row, x_t) in sample.chunks_exact_mut(len).enumerate() {
        noise.normal(row as u64, draw, x_t);
        timestep.push(parameterisation.at(&point(&parameterisation, row, count)?)?.t as f32);
    }
    let classes = manifest.classes.len();
    let class_labels: Option<Vec<i64>> = (classes > 0)
        .then(|| (0..count).map(|row| ((classes + row) % (classes + 1)) as i64).collect());
    let out_sample = forward(network, Device::Cpu, &sample, &timestep, class_labels.as_deref())?;
    Ok(Golden { count, sample, timestep, class_labels, out_sample })
}

/// Returns the i-th of `count` points, spread evenly by timestep, or by the logarithm of sigma.
fn point(
    parameterisation: &Parameterisation,
    i: usize,
    count: usize,
) -> Result<Point, ddpm_diffusion::Error> {
    let process = &parameterisation.process;
    if let Process::Discrete(schedule) = process {
        return process.at_timestep((i * (schedule.timesteps() - 1) / (count - 1)) as f64);
    }
    let (low, high) = process.rho_range();
    let share = i as f64 / (count - 1) as f64;
    process.at_rho((low.ln() + share * (high / low).ln()).exp())
}

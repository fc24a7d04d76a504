//! One training epoch of a classifier for samples, which are not as clean as data.

use tch::{Device, Kind, TchError, Tensor, nn};

/// Pictures per batch.
const BATCH: i64 = 128;
/// Standard deviation of the noise added to them.
const NOISE: f64 = 0.08;

/// Trains on every picture once, in random order with added noise, and returns the mean loss.
///
/// * `pictures`: `[N, C, H, W]`; `labels`: their classes, `[N]`.
/// * `logits`: computes the logits of a batch, `[B, classes]`.
///
/// # Errors
///
/// libtorch's, if memory runs out.
pub(crate) fn one_epoch(
    optimizer: &mut nn::Optimizer,
    pictures: &Tensor,
    labels: &Tensor,
    logits: impl Fn(&Tensor) -> Tensor,
) -> Result<f64, TchError> {
    let order = Tensor::f_randperm(pictures.size()[0], (Kind::Int64, Device::Cpu))?;
    let mut losses = Vec::new();
    for chosen in order.split(BATCH, 0) {
        let x = pictures.f_index_select(0, &chosen)?;
        let logits = logits(&(&x + x.f_randn_like()? * NOISE));
        let loss = logits.cross_entropy_for_logits(&labels.f_index_select(0, &chosen)?);
        optimizer.backward_step(&loss);
        losses.push(loss.f_double_value(&[])?);
    }
    Ok(losses.iter().sum::<f64>() / losses.len() as f64)
}

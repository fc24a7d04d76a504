//! Named tensors as safetensors files.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use tch::{Device, Kind, TchError, Tensor};

/// The reason why tensors cannot be written as a file.
#[derive(Debug, thiserror::Error)]
pub enum SerializeError {
    /// libtorch failed; most often memory is short.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
    /// The format refuses the tensors.
    #[error("{0}")]
    Format(#[from] SafeTensorError),
}

/// Writes named tensors as a safetensors file of f32, in their order.
///
/// * `tensors`: of any device, type and memory format.
///
/// # Errors
///
/// [`SerializeError`] if memory is short or a name repeats.
pub fn serialize(tensors: &[(String, Tensor)]) -> Result<Vec<u8>, SerializeError> {
    serialize_with_metadata(tensors, None)
}

/// Does the same as [`serialize`], with metadata.
///
/// * `metadata`: the file's key-value pairs, for other programs.
///
/// # Errors
///
/// As [`serialize`].
pub fn serialize_with_metadata(
    tensors: &[(String, Tensor)],
    metadata: Option<HashMap<String, String>>,
) -> Result<Vec<u8>, SerializeError> {
    let values: Vec<(Vec<usize>, Vec<f32>)> =
        tensors.iter().map(|(_, tensor)| on_host(tensor)).collect::<Result<_, _>>()?;
    let views: Vec<(&str, TensorView<'_>)> = tensors
        .iter()
        .zip(&values)
        .map(|((name, _), (shape, values))| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values))?;
            Ok((name.as_str(), view))
        })
        .collect::<Result<_, SafeTensorError>>()?;
    Ok(safetensors::serialize(views, metadata)?)
}

/// Returns shape and values, in C order.
fn on_host(tensor: &Tensor) -> Result<(Vec<usize>, Vec<f32>), TchError> {
    let host = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let mut values = vec![0.0; host.numel()];
    host.f_contiguous()?.f_copy_data(&mut values, host.numel())?;
    Ok((host.size().iter().map(|&extent| extent as usize).collect(), values))
}

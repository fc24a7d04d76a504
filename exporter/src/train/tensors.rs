//! Named tensors as safetensors files.

use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError};
use tch::{Device, Kind, TchError, Tensor};

/// Why tensors are no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SerializeError {
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
    #[error("{0}")]
    Format(#[from] SafeTensorError),
}

/// The file of `tensors`, which must be f32; from any device, in any memory format.
pub(crate) fn serialize(tensors: &[(String, Tensor)]) -> Result<Vec<u8>, SerializeError> {
    serialize_with(tensors, None)
}

/// As [`serialize`], with notes for other programs.
pub(crate) fn serialize_with(
    tensors: &[(String, Tensor)],
    notes: Option<HashMap<String, String>>,
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
    Ok(safetensors::serialize(views, notes)?)
}

/// Shape and values, in C order.
fn on_host(tensor: &Tensor) -> Result<(Vec<usize>, Vec<f32>), TchError> {
    let host = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
    let mut values = vec![0.0; host.numel()];
    host.f_contiguous()?.f_copy_data(&mut values, host.numel())?;
    Ok((host.size().iter().map(|&extent| extent as usize).collect(), values))
}

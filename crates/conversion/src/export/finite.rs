//! Refuses a network whose weights are not finite, before anything is computed with it.

use ddpm_network::Network;

use super::ExportError;

/// Checks that every weight is a finite number.
///
/// # Errors
///
/// [`ExportError::NotFinite`] names the first tensor that has others, [`ExportError::Torch`] if
/// memory is short.
pub fn check(network: &Network) -> Result<(), ExportError> {
    for (name, tensor) in network.parameters() {
        let wrong = tensor.f_isfinite()?.f_logical_not()?;
        let count = i64::try_from(wrong.f_sum(tch::Kind::Int64)?)?;
        if count > 0 {
            return Err(ExportError::NotFinite { name, count, elements: tensor.numel() });
        }
    }
    Ok(())
}

//! Graphs besides the portable one that can be made from the network alone.

use ddpm_network::Network;
use ddpm_package::{Golden, GraphName, Manifest, PackageWriter, Quality, Variant};

use super::ExportError;
use super::contents::GOLDEN;
use super::cuda::{Precision, cuda};
use super::graph::{GraphError, MODEL_CONFIG_KEY};
use super::ranges::{LARGEST, peak};
use super::to_json;

/// Largest root mean square of the differences of the graph for CUDA from the golden outputs,
/// relative to those: roundings to f16 add up to some 0.005.
pub const CUDA_TOLERANCE: f64 = 0.02;

/// Path of the golden vectors of the int8 graph in a package.
pub const INT8_GOLDEN: &str = "testdata/golden.int8.safetensors";

/// Least tolerance of an int8 graph, see [`int8_tolerance`].
const INT8_TOLERANCE: f64 = 0.05;

/// Returns the largest difference of the median row from the int8 graph's own golden outputs.
///
/// On other processors, sums of f32 in another order round to neighbouring integers, and in a deep
/// network all that follows may then be rounded otherwise: two such results differ by √2 times what
/// 8 bits change. Processors whose 8-bit instructions saturate differ by far more.
///
/// * `error`: difference of the median row from the portable graph's outputs, relative to them.
#[must_use]
pub fn int8_tolerance(error: f64) -> f64 {
    (1.5 * error).clamp(INT8_TOLERANCE, GraphName::Int8.most_tolerance())
}

/// A graph that a network cannot have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The graph.
    pub graph: GraphName,
    /// Why, in a sentence without its full stop.
    pub reason: String,
}

/// A graph, and its entry in the manifest.
#[derive(Debug)]
pub struct Addition {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// The entry.
    pub variant: Variant,
}

/// Makes the graph for CUDA, or says why the network cannot have one.
///
/// * `golden`: inputs over the range of t, at which the values inside the network must fit f16.
/// * `golden_path`: their path in the package.
///
/// # Errors
///
/// [`ExportError::Graph`] if the network cannot be written at all, [`ExportError::Torch`] if
/// memory is short.
pub fn cuda_variant(
    network: &Network,
    golden: &Golden,
    golden_path: &str,
) -> Result<Result<Addition, LeftOut>, ExportError> {
    let left_out = |reason| Ok(Err(LeftOut { graph: GraphName::Cuda, reason }));
    let metadata = [(MODEL_CONFIG_KEY, to_json(network.config())?)];
    let graph = match cuda(network, Precision::Half, &metadata) {
        Ok(graph) => graph,
        Err(error @ (GraphError::NoPictures | GraphError::NotHalf { .. })) => {
            return left_out(error.to_string());
        }
        Err(error) => return Err(error.into()),
    };
    let peak = peak(network, golden)?;
    if !peak.fits() {
        return left_out(format!(
            "the values of {} reach {:.3e} at t = {}, more than the {LARGEST} that are safe in f16",
            peak.layer, peak.magnitude, peak.timestep
        ));
    }
    let variant = Variant {
        graph: GraphName::Cuda.name().to_owned(),
        path: GraphName::Cuda.path().to_owned(),
        precision: GraphName::Cuda.precision().to_owned(),
        provider: "cuda".to_owned(),
        golden: golden_path.to_owned(),
        tolerance: CUDA_TOLERANCE,
        quality: None,
    };
    Ok(Ok(Addition { bytes: graph.bytes, variant }))
}

/// Adds the graph for CUDA to a package that is being written, or returns why the network cannot
/// have one.
///
/// * `golden`: the package's golden vectors, at [`GOLDEN`].
///
/// # Errors
///
/// As [`cuda_variant`], and if the file cannot be written.
pub fn add_cuda(
    writer: &mut PackageWriter,
    manifest: &mut Manifest,
    network: &Network,
    golden: &Golden,
) -> Result<Option<LeftOut>, ExportError> {
    match cuda_variant(network, golden, GOLDEN)? {
        Ok(Addition { bytes, variant }) => {
            writer.add(&variant.path, &bytes)?;
            manifest.variants.push(variant);
            Ok(None)
        }
        Err(left_out) => Ok(Some(left_out)),
    }
}

/// Returns the manifest's entry of an int8 graph.
///
/// * `tolerance`: [`int8_tolerance`].
/// * `quality`: that of its samples, if they were judged.
#[must_use]
pub fn int8_variant(tolerance: f64, quality: Option<Quality>) -> Variant {
    Variant {
        graph: GraphName::Int8.name().to_owned(),
        path: GraphName::Int8.path().to_owned(),
        precision: GraphName::Int8.precision().to_owned(),
        provider: "cpu".to_owned(),
        golden: INT8_GOLDEN.to_owned(),
        tolerance,
        quality,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_int8_graph_may_differ_by_one_and_a_half_times_its_own_error_within_bounds() {
        assert_eq!(int8_tolerance(0.001), 0.05);
        assert!((int8_tolerance(0.1) - 0.15).abs() < 1e-12);
        assert_eq!(int8_tolerance(2.0), 0.3);
    }
}

//! The CUDA dialect: f16, channels last, and the operators that ONNX Runtime contributes for CUDA.
//!
//! * `plan`: which calls of the network one node computes;
//! * `values`: types and layouts, and the nodes between them;
//! * `norms`, `pictures`, `attention`: group norms, convolutions and sizes, self-attention;
//! * `spelling`: every call as nodes.
//!
//! Pictures are f16 with channels last from a transpose at the input to one at the output. The
//! time embedding and the last convolution stay f32: they cost little, and their errors would
//! reach every pixel. Group norms take f16, sum in f32 and have f32 parameters.

mod attention;
mod norms;
mod pictures;
mod plan;
mod spelling;
mod values;

use ddpm_network::{ModelConfig, Network};

use super::graph::{GraphError, encode_cuda};
use super::tape::Tape;
use spelling::Speller;

/// The type of pictures inside the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// f16: what is served.
    Half,
    /// f32: what proves that the operations are the network's, without rounding.
    Full,
}

/// A graph for CUDA.
#[derive(Debug)]
pub struct CudaGraph {
    /// The ONNX file.
    pub bytes: Vec<u8>,
    /// Calls that have no fused operator here, and how often each is spelled in plain ones.
    pub plain: Vec<(&'static str, usize)>,
}

/// Writes the graph for ONNX Runtime's CUDA provider: opset 21 and `com.microsoft`.
///
/// * `metadata`: the file's key-value pairs.
///
/// # Errors
///
/// [`GraphError::NoPictures`] for networks of points; [`GraphError::NotHalf`] if a parameter
/// leaves the range of f16; otherwise as [`portable`](super::graph::portable).
pub fn cuda(
    network: &Network,
    precision: Precision,
    metadata: &[(&str, String)],
) -> Result<CudaGraph, GraphError> {
    if matches!(network.config(), ModelConfig::Toy(_)) {
        return Err(GraphError::NoPictures);
    }
    let steps = Tape::record(network);
    let (writer, output, plain) = Speller::new(&steps, precision).spell();
    let bytes = encode_cuda(network, writer.trace, &output.name, writer.described, metadata)?;
    Ok(CudaGraph { bytes, plain })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ddpm_network::UnetConfig;
    use tch::{Device, nn};

    use super::*;

    /// Counts the nodes of a network's graph by operator.
    fn counts(config: UnetConfig) -> BTreeMap<String, usize> {
        let config = ModelConfig::Unet(config);
        let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &config).unwrap();
        let steps = Tape::record(&network);
        let (writer, _, _) = Speller::new(&steps, Precision::Half).spell();
        let mut counts = BTreeMap::new();
        for node in writer.trace.into_recorded().nodes {
            *counts.entry(node.op_type.unwrap_or_default()).or_default() += 1;
        }
        counts
    }

    #[test]
    fn published_networks_fuse_throughout() {
        let cifar10 = UnetConfig::cifar10();
        let celeba = UnetConfig {
            image_size: [64, 64],
            apply_attn: vec![false, false, true, false],
            ..cifar10.clone()
        };
        let celeba_hq = UnetConfig {
            image_size: [256, 256],
            ch_multipliers: vec![1, 1, 2, 2, 4, 4],
            apply_attn: vec![false, false, false, false, true, false],
            ..cifar10.clone()
        };
        // Convolutions, norms, norms of a sum, attentions, concatenations, resizings.
        let small = [77, 16, 35, 6, 13, 3];
        let large = [108, 24, 47, 6, 19, 5];
        for (config, fused, nodes) in
            [(cifar10, small, 217), (celeba, small, 217), (celeba_hq, large, 296)]
        {
            let counts = counts(config);
            assert_eq!(counts.values().sum::<usize>(), nodes, "{counts:?}");
            let of = |op_type: &str| counts.get(op_type).copied().unwrap_or(0);
            let kinds = [
                "NhwcConv",
                "GroupNorm",
                "SkipGroupNorm",
                "MultiHeadAttention",
                "Concat",
                "Resize",
            ];
            assert_eq!(kinds.map(of), fused, "{counts:?}");
            assert_eq!(of("Transpose"), 2, "one at each end: {counts:?}");
            let plain = ["Conv", "InstanceNormalization", "ReduceMean", "MatMul", "Softmax"];
            assert!(plain.iter().all(|op_type| of(op_type) == 0), "{counts:?}");
        }
    }
}

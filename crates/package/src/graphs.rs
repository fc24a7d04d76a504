//! The graphs of a package: one network, written for different machines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A way in which the network is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GraphName {
    /// fp32 in ONNX's own operators, for every provider; every package has it.
    Portable,
    /// fp16 with channels last and fused operators, for ONNX Runtime's CUDA provider.
    Cuda,
    /// Convolutions on 8-bit integers, for processors with instructions for them.
    Int8,
}

impl GraphName {
    /// Every graph, in the order of lists.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Cuda, Self::Int8];

    /// Returns the name in manifests, options and messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Cuda => "cuda",
            Self::Int8 => "int8",
        }
    }

    /// Returns ONNX Runtime's provider that the graph is for; the portable one is for all.
    #[must_use]
    pub fn provider(self) -> Option<&'static str> {
        match self {
            Self::Portable => None,
            Self::Cuda => Some("cuda"),
            Self::Int8 => Some("cpu"),
        }
    }

    /// Returns whether the graph runs on a provider.
    #[must_use]
    pub fn runs_on(self, provider: &str) -> bool {
        self.provider().is_none_or(|own| own == provider)
    }

    /// Returns the type that most of the graph computes in.
    #[must_use]
    pub fn precision(self) -> &'static str {
        match self {
            Self::Portable => "fp32",
            Self::Cuda => "fp16",
            Self::Int8 => "int8",
        }
    }

    /// Returns the largest tolerance that a package may ask for: a check that allows more would
    /// prove nothing.
    #[must_use]
    pub fn most_tolerance(self) -> f64 {
        match self {
            Self::Portable => 1e-3,
            Self::Cuda => 0.05,
            Self::Int8 => 0.3,
        }
    }

    /// Returns the path of the graph in packages that are written here.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Portable => "unet/model.onnx",
            Self::Cuda => "unet/model.cuda.onnx",
            Self::Int8 => "unet/model.int8.onnx",
        }
    }
}

impl fmt::Display for GraphName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for GraphName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|graph| graph.name() == text);
        found.ok_or_else(|| format!("graph must be portable, cuda or int8, got {text:?}"))
    }
}

/// A graph besides the portable one, with the same inputs and outputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Its [`GraphName`]; readers pass over names that they do not know.
    pub graph: String,
    /// Path of its file.
    pub path: String,
    /// Type that most of it computes in: `fp16` or `int8`.
    pub precision: String,
    /// ONNX Runtime's provider that it is for: `cuda` or `cpu`.
    pub provider: String,
    /// Path of its golden vectors.
    pub golden: String,
    /// Largest difference from their outputs, relative to the outputs' root mean square, as
    /// [`Comparison::relative`](crate::Comparison::relative) measures it.
    pub tolerance: f64,
    /// How good its samples are, where its arithmetic is rough enough to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// Samples of a graph against those of the portable one, from the same seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quality {
    /// Fréchet distance from the data, divided by that of the portable graph's samples.
    pub frechet_ratio: f64,
    /// Upper end of its 95 % interval over resamples.
    pub upper: f64,
    /// Largest upper end that passes.
    pub limit: f64,
    /// Whether it passed; false if somebody insisted on a graph that did not.
    pub passed: bool,
    /// Samples of each graph.
    pub samples: usize,
    /// The default sampler with its steps, which drew them.
    pub sampler: String,
    /// The extractor of features.
    pub extractor: String,
    /// Root mean square of the difference of one evaluation, relative to the outputs'.
    pub relative_error: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_as_they_are_written() {
        for graph in GraphName::ALL {
            assert_eq!(graph.to_string().parse(), Ok(graph));
        }
        assert!("fp16".parse::<GraphName>().unwrap_err().contains("portable, cuda or int8"));
    }
}

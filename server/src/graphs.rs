//! Which graphs of each package are served, and which one is used when a request names none.

use std::fmt;
use std::str::FromStr;

use ddpm_onnx::Device;
use ddpm_package::{GraphName, Package};
use tracing::warn;

/// The graph for requests that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GraphChoice {
    /// `cuda` on CUDA where the package has it, otherwise `portable`.
    #[default]
    Auto,
    /// This one where the package has it, otherwise `portable`.
    Named(GraphName),
}

impl FromStr for GraphChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Named)
                .map_err(|_| format!("graph must be auto, portable, cuda or int8, got {text:?}")),
        }
    }
}

impl fmt::Display for GraphChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Named(graph) => graph.fmt(f),
        }
    }
}

/// The graphs that an operator wants served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ServedGraphs {
    /// For requests that name none.
    pub(crate) default: GraphChoice,
    /// For requests that name them.
    pub(crate) more: Vec<GraphName>,
}

impl ServedGraphs {
    /// Returns the graphs of a package to load: first the one for requests that name none.
    ///
    /// # Errors
    ///
    /// If a graph was named that does not run on the device.
    pub(crate) fn of(&self, package: &Package, device: &Device) -> anyhow::Result<Vec<GraphName>> {
        let runs = |graph: GraphName| graph.runs_on(device.provider());
        let named = match self.default {
            GraphChoice::Auto => None,
            GraphChoice::Named(graph) => Some(graph),
        };
        if let Some(graph) = named.into_iter().chain(self.more.iter().copied()).find(|g| !runs(*g))
        {
            anyhow::bail!(
                "the graph {graph} does not run on {}: leave it out of --graph and --graphs, or \
                 choose another --device",
                device.name()
            );
        }
        let present = package.manifest().graph_names();
        let wanted = named.unwrap_or_else(|| {
            if runs(GraphName::Cuda) { GraphName::Cuda } else { GraphName::Portable }
        });
        let is_missing = |graph: &GraphName| !present.contains(graph);
        let model = &package.manifest().name;
        // What is chosen by itself is missing in packages of points, and nobody asked for it.
        for graph in named.iter().chain(&self.more).filter(|graph| is_missing(graph)) {
            warn!(model, %graph, "the package has no such graph; portable is served");
        }
        let default = if is_missing(&wanted) { GraphName::Portable } else { wanted };
        let mut graphs = vec![default];
        for graph in self.more.iter().filter(|graph| !is_missing(graph)) {
            if !graphs.contains(graph) {
                graphs.push(*graph);
            }
        }
        Ok(graphs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_as_they_are_written() {
        for text in ["auto", "portable", "cuda", "int8"] {
            assert_eq!(text.parse::<GraphChoice>().unwrap().to_string(), text);
        }
        let error = "fp16".parse::<GraphChoice>().unwrap_err();
        assert!(error.contains("auto, portable, cuda or int8"), "{error}");
    }
}

//! `--graphs`: which forms of the network a package gets.

use ddpm_console::note;
use ddpm_conversion::export::variants::LeftOut;
use ddpm_package::GraphName;

use super::Failure;

/// Graphs to write.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct GraphsArgs {
    /// Graphs to write: portable (always), cuda (fp16 for NVIDIA GPUs), int8 (faster on CPUs;
    /// takes minutes, and is written only if its samples are as good) [default: portable,cuda].
    #[arg(long, value_name = "GRAPH,…", value_delimiter = ',')]
    graphs: Option<Vec<GraphName>>,
}

impl GraphsArgs {
    /// Returns whether a graph is to be written.
    pub(super) fn has(&self, graph: GraphName) -> bool {
        match &self.graphs {
            None => graph != GraphName::Int8,
            Some(graphs) => graph == GraphName::Portable || graphs.contains(&graph),
        }
    }

    /// Says which graphs a network cannot have; fails if they were named on the command line.
    pub(super) fn report(&self, left_out: &[LeftOut]) -> Result<(), Failure> {
        for LeftOut { graph, reason } in left_out {
            if self.graphs.is_some() {
                let reason = format!(
                    "the {graph} graph cannot be written: {reason}; the package is there without it"
                );
                return Err(Failure::Refused(reason.into()));
            }
        }
        report(left_out);
        Ok(())
    }
}

/// Says which graphs a network cannot have.
pub(super) fn report(left_out: &[LeftOut]) {
    for LeftOut { graph, reason } in left_out {
        note!("no {graph} graph: {reason}");
    }
}

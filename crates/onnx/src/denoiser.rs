//! One graph of a package, ready to evaluate.

use ddpm_package::{Comparison, Golden, GraphName, Package};

use crate::form::Form;
use crate::graph::Graph;
use crate::{Batch, Device, Error, Runtime};

/// What ONNX Runtime may do to a graph before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Optimisation {
    /// Everything that it does for graphs that are served.
    AsServed,
    /// Nothing: every operation is computed as it is written.
    None,
}

/// A graph of a package on a device. One thread owns it: ONNX Runtime must not run one
/// session from two threads at once.
///
/// On the CPU it divides the rows of a call among threads where that is faster, and only if the
/// outputs of the golden inputs have the same bits either way (those of the embedded models do).
#[derive(Debug)]
pub struct Denoiser {
    form: Form,
    sample_len: usize,
    output_len: usize,
    conditional: bool,
    graph: GraphName,
    provider: &'static str,
}

impl Denoiser {
    /// Opens a package's portable graph; see [`Denoiser::open_graph`].
    ///
    /// # Errors
    ///
    /// As [`Denoiser::open_graph`].
    pub fn open(runtime: &Runtime, device: &Device, package: &Package) -> Result<Self, Error> {
        Self::open_graph(runtime, device, package, GraphName::Portable)
    }

    /// Opens a graph of a package, without comparing it with its golden outputs; see
    /// [`Denoiser::check_golden`]. On the CPU it runs the graph for a fraction of a second, to find
    /// out how best to use the cores.
    ///
    /// # Errors
    ///
    /// [`Error::Package`] if the package cannot be read or lacks the graph, [`Error::Graph`] if the
    /// graph cannot be loaded or its inputs and outputs differ from the manifest,
    /// [`Error::Provider`] if it is for another provider than the device's.
    pub fn open_graph(
        runtime: &Runtime,
        device: &Device,
        package: &Package,
        graph: GraphName,
    ) -> Result<Self, Error> {
        let bytes = package.graph(graph)?;
        let manifest = package.manifest();
        if let Some(wanted) = graph.provider().filter(|_| !graph.runs_on(device.provider())) {
            return Err(Error::Provider { graph, wanted, device: device.name() });
        }
        let session = match graph {
            GraphName::Cuda => device.session_without_fallback(runtime),
            GraphName::Portable | GraphName::Int8 => device.session(runtime),
        };
        let shared = Graph::open(session.map_err(Error::Graph)?, &bytes, manifest)?;
        let form = if device.is_cpu() {
            Form::faster(runtime, shared, &bytes, package)
        } else {
            Form::Shared(shared)
        };
        Ok(Self {
            form,
            sample_len: manifest.sample_len(),
            output_len: manifest.output_len(),
            conditional: !manifest.classes.is_empty(),
            graph,
            provider: device.provider(),
        })
    }

    /// Opens a graph that stands for one of a package, on the CPU.
    ///
    /// * `bytes`: the ONNX file.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if the graph cannot be loaded or differs from the manifest.
    pub fn open_bytes(
        runtime: &Runtime,
        package: &Package,
        graph: GraphName,
        bytes: &[u8],
        optimisation: Optimisation,
    ) -> Result<Self, Error> {
        let manifest = package.manifest();
        let session = match optimisation {
            Optimisation::AsServed => Device::on_cpu(runtime),
            Optimisation::None => Device::on_cpu_as_written(runtime),
        };
        let session = session.map_err(Error::Graph)?;
        Ok(Self {
            form: Form::Shared(Graph::open(session, bytes, manifest)?),
            sample_len: manifest.sample_len(),
            output_len: manifest.output_len(),
            conditional: !manifest.classes.is_empty(),
            graph,
            provider: "cpu",
        })
    }

    /// Returns which graph it is.
    #[must_use]
    pub fn graph(&self) -> GraphName {
        self.graph
    }

    /// Returns among how many threads the rows of a call are divided, each with its own session;
    /// 0 if one session runs them on the pool that all graphs share.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.form.lanes()
    }

    /// Evaluates the network on every row of a batch into `out`, `[rows,
    /// …output shape]`.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the lengths do not fit or ONNX Runtime fails.
    pub fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), Error> {
        self.check_lengths(batch)?;
        // Not cleared first: that would fill it with zeros at every call.
        out.resize(batch.timestep.len() * self.output_len, 0.0);
        self.form.evaluate(batch, out)
    }

    fn check_lengths(&self, batch: Batch<'_>) -> Result<(), Error> {
        let rows = batch.timestep.len();
        let labels = if self.conditional { rows } else { batch.class_labels.len() };
        let lengths = [
            ("sample", batch.sample.len(), rows * self.sample_len),
            ("class_labels", batch.class_labels.len(), labels),
        ];
        match lengths.into_iter().find(|(_, got, want)| got != want) {
            None => Ok(()),
            Some((name, got, want)) => {
                Err(Error::Run(format!("{name} has {got} elements, {rows} timesteps need {want}")))
            }
        }
    }

    /// Compares the graph with the golden outputs of its package.
    ///
    /// # Errors
    ///
    /// [`Error::Package`] if the golden vectors cannot be read, [`Error::Run`] if
    /// the graph cannot be run on them.
    pub fn compare_golden(&mut self, package: &Package) -> Result<Comparison, Error> {
        compare(package, self.graph, |batch, out| self.evaluate(batch, out))
    }

    /// Checks that the graph reproduces the golden outputs of its package within the tolerance of
    /// its provider.
    ///
    /// # Errors
    ///
    /// [`Error::Golden`] if it does not; otherwise as
    /// [`Denoiser::compare_golden`].
    pub fn check_golden(&mut self, package: &Package) -> Result<Comparison, Error> {
        let comparison = self.compare_golden(package)?;
        judge(package, (self.graph, self.provider), comparison)
    }
}

/// Compares a graph with the golden outputs of its package.
pub(crate) fn compare(
    package: &Package,
    graph: GraphName,
    evaluate: impl FnOnce(Batch<'_>, &mut Vec<f32>) -> Result<(), Error>,
) -> Result<Comparison, Error> {
    let golden = package.golden_of(graph)?;
    let mut outputs = Vec::new();
    evaluate(rows(&golden), &mut outputs)?;
    Ok(golden.compare(&outputs))
}

/// Refuses outputs that differ from the golden ones by more than the tolerance of their provider.
pub(crate) fn judge(
    package: &Package,
    (graph, provider): (GraphName, &'static str),
    comparison: Comparison,
) -> Result<Comparison, Error> {
    let tolerance = package.tolerance_of(graph, provider)?;
    let relative = comparison.relative(graph);
    if relative <= tolerance {
        return Ok(comparison);
    }
    Err(Error::Golden { graph, provider: provider.into(), relative, tolerance })
}

fn rows(golden: &Golden) -> Batch<'_> {
    Batch {
        sample: &golden.sample,
        timestep: &golden.timestep,
        class_labels: golden.class_labels.as_deref().unwrap_or_default(),
    }
}

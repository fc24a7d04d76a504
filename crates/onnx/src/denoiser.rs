//! One graph of a package, ready to evaluate.

use ddpm_package::{Comparison, Golden, Manifest, Package, tolerance};
use ort::session::{Session, SessionInputValue};
use ort::value::{Shape, TensorRef, ValueType};

use crate::{Device, Error, Runtime};

/// Rows of inputs, laid out one after another.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// `[rows, …sample shape]`, at model scale.
    pub sample: &'a [f32],
    /// `[rows]`, real-valued timesteps.
    pub timestep: &'a [f32],
    /// `[rows]`, labels; a label equal to the number of classes means unconditional. Ignored by a
    /// model without classes.
    pub class_labels: &'a [i64],
}

/// The portable graph of a package on a device. One thread owns it: ONNX Runtime must not run one
/// session from two threads at once.
#[derive(Debug)]
pub struct Denoiser {
    session: Session,
    sample_shape: Vec<usize>,
    output_len: usize,
    conditional: bool,
    provider: &'static str,
}

impl Denoiser {
    /// Name of this graph in a package.
    pub const GRAPH: &'static str = "portable";

    /// Opens a package's portable graph, without comparing it with the golden outputs; see
    /// [`Denoiser::check_golden`].
    ///
    /// # Errors
    ///
    /// [`Error::Package`] if the package cannot be read, [`Error::Graph`] if the graph cannot be
    /// loaded or its inputs and outputs differ from the manifest.
    pub fn open(runtime: &Runtime, device: &Device, package: &Package) -> Result<Self, Error> {
        let bytes = package.portable_graph()?;
        let mut builder = device.session(runtime).map_err(Error::Graph)?;
        let session =
            builder.commit_from_memory(&bytes).map_err(|error| Error::Graph(error.to_string()))?;
        let manifest = package.manifest();
        check_interface(&session, manifest).map_err(Error::Graph)?;
        Ok(Self {
            session,
            sample_shape: manifest.sample_shape.clone(),
            output_len: manifest.output_len(),
            conditional: !manifest.classes.is_empty(),
            provider: device.provider(),
        })
    }

    /// Evaluates the network on every row of a batch into `out`, `[rows,
    /// …output shape]`.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the lengths do not fit or ONNX Runtime fails.
    pub fn evaluate(&mut self, batch: Batch<'_>, out: &mut Vec<f32>) -> Result<(), Error> {
        let fault = |error: ort::Error| Error::Run(error.to_string());
        let rows = batch.timestep.len();
        let shape: Vec<i64> = std::iter::once(rows)
            .chain(self.sample_shape.iter().copied())
            .map(|n| n as i64)
            .collect();
        let sample = TensorRef::from_array_view((shape, batch.sample)).map_err(fault)?;
        let timestep = TensorRef::from_array_view(([rows], batch.timestep)).map_err(fault)?;
        let mut inputs: Vec<(&str, SessionInputValue<'_>)> =
            vec![("sample", sample.into()), ("timestep", timestep.into())];
        if self.conditional {
            let labels = TensorRef::from_array_view(([rows], batch.class_labels)).map_err(fault)?;
            inputs.push(("class_labels", labels.into()));
        }
        let outputs = self.session.run(inputs).map_err(fault)?;
        let (_, values) = outputs["out_sample"].try_extract_tensor::<f32>().map_err(fault)?;
        if values.len() != rows * self.output_len {
            let (got, want) = (values.len(), rows * self.output_len);
            return Err(Error::Run(format!("the graph returned {got} values instead of {want}")));
        }
        out.clear();
        out.extend_from_slice(values);
        Ok(())
    }

    /// Compares the graph with the golden outputs of its package.
    ///
    /// # Errors
    ///
    /// [`Error::Package`] if the golden vectors cannot be read, [`Error::Run`] if
    /// the graph cannot be run on them.
    pub fn compare_golden(&mut self, package: &Package) -> Result<Comparison, Error> {
        let golden = package.golden()?;
        let mut outputs = Vec::new();
        self.evaluate(rows(&golden), &mut outputs)?;
        Ok(golden.compare(&outputs))
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
        let tolerance = tolerance(Self::GRAPH, self.provider);
        if comparison.relative() <= tolerance {
            return Ok(comparison);
        }
        Err(Error::Golden {
            graph: Self::GRAPH,
            provider: self.provider.into(),
            relative: comparison.relative(),
            tolerance,
        })
    }
}

fn rows(golden: &Golden) -> Batch<'_> {
    Batch {
        sample: &golden.sample,
        timestep: &golden.timestep,
        class_labels: golden.class_labels.as_deref().unwrap_or_default(),
    }
}

/// Checks a graph's inputs and outputs against the manifest.
fn check_interface(session: &Session, manifest: &Manifest) -> Result<(), String> {
    let sample: Vec<i64> = manifest.sample_shape.iter().map(|axis| *axis as i64).collect();
    let mut output = sample.clone();
    output[0] *= (manifest.output_len() / manifest.sample_len()) as i64;
    let mut inputs = vec![("sample", sample), ("timestep", vec![])];
    if !manifest.classes.is_empty() {
        inputs.push(("class_labels", vec![]));
    }
    for (name, tail) in &inputs {
        let found = session.inputs().iter().find(|input| input.name() == *name);
        let found = found.ok_or_else(|| format!("it has no input {name:?}"))?;
        check_shape(name, found.dtype(), tail)?;
    }
    if session.inputs().len() != inputs.len() {
        let names: Vec<_> = session.inputs().iter().map(ort::value::Outlet::name).collect();
        return Err(format!("it has inputs that the manifest does not promise: {names:?}"));
    }
    let found = session.outputs().iter().find(|output| output.name() == "out_sample");
    let found = found.ok_or("it has no output \"out_sample\"")?;
    check_shape("out_sample", found.dtype(), &output)
}

/// Checks that a tensor is `[batch, …tail]` with a free batch axis.
fn check_shape(name: &str, kind: &ValueType, tail: &[i64]) -> Result<(), String> {
    let want: Vec<i64> = std::iter::once(-1).chain(tail.iter().copied()).collect();
    match kind.tensor_shape() {
        Some(found) if *found == Shape::new(want.iter().copied()) => Ok(()),
        found => Err(format!("{name:?} has the shape {found:?}, the manifest promises {want:?}")),
    }
}

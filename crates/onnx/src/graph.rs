//! One session of ONNX Runtime that holds a portable graph.

use ddpm_package::Manifest;
use ort::session::builder::SessionBuilder;
use ort::session::{Session, SessionInputValue};
use ort::value::{Shape, TensorRef, ValueType};

use crate::{Batch, Error};

/// A graph that is loaded and has the inputs and outputs that its manifest promises.
#[derive(Debug)]
pub(crate) struct Graph {
    session: Session,
    sample_shape: Vec<usize>,
    conditional: bool,
}

impl Graph {
    /// Loads a graph.
    ///
    /// * `bytes`: the ONNX file.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if it cannot be loaded or differs from the manifest.
    pub(crate) fn open(
        mut builder: SessionBuilder,
        bytes: &[u8],
        manifest: &Manifest,
    ) -> Result<Self, Error> {
        let session =
            builder.commit_from_memory(bytes).map_err(|error| Error::Graph(error.to_string()))?;
        check_interface(&session, manifest).map_err(Error::Graph)?;
        Ok(Self {
            session,
            sample_shape: manifest.sample_shape.clone(),
            conditional: !manifest.classes.is_empty(),
        })
    }

    /// Evaluates the graph on a batch.
    ///
    /// * `out`: `[rows, …output shape]`.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] if the lengths do not fit or ONNX Runtime fails.
    pub(crate) fn evaluate(&mut self, batch: Batch<'_>, out: &mut [f32]) -> Result<(), Error> {
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
        if values.len() != out.len() {
            let (got, want) = (values.len(), out.len());
            return Err(Error::Run(format!("the graph returned {got} values instead of {want}")));
        }
        out.copy_from_slice(values);
        Ok(())
    }
}

/// Checks a graph's inputs and outputs against the manifest.
pub(crate) fn check_interface(session: &Session, manifest: &Manifest) -> Result<(), String> {
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

//! A graph from pictures to features, from any source.

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef};

use crate::{Device, Error, Runtime};

/// A graph with one input, a batch of pictures, and the one output to read.
#[derive(Debug)]
pub struct Extractor {
    session: Session,
    input: String,
    output: String,
    /// Extents of its input; `None` where the graph takes any.
    fixed: [Option<usize>; 4],
}

impl Extractor {
    /// Opens the graph of an ONNX file.
    ///
    /// * `output`: the output to read; `None` if there is only one.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if it cannot be loaded, its input is not one f32 tensor with four axes, or
    /// it lacks that output.
    pub fn open(
        runtime: &Runtime,
        device: &Device,
        bytes: &[u8],
        output: Option<&str>,
    ) -> Result<Self, Error> {
        let mut builder = device.session(runtime).map_err(Error::Graph)?;
        let session =
            builder.commit_from_memory(bytes).map_err(|error| Error::Graph(error.to_string()))?;
        let (input, fixed) = only_input(session.inputs()).map_err(Error::Graph)?;
        let output = select_output(session.outputs(), output).map_err(Error::Graph)?;
        Ok(Self { session, input, output, fixed })
    }

    /// Evaluates the graph on pictures into `out`, `[B, …]` in C order: one row per picture.
    ///
    /// * `pictures`: values of `shape`, `[B, C, H, W]` or `[B, H, W, C]`, B at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if the graph takes pictures of another shape, or its output does not have
    /// one row per picture; [`Error::Run`] if ONNX Runtime fails.
    pub fn evaluate(
        &mut self,
        shape: [usize; 4],
        pictures: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), Error> {
        out.clear();
        let [count, rest @ ..] = shape;
        let [fixed_batch, fixed @ ..] = self.fixed;
        if fixed.iter().zip(rest).any(|(fixed, extent)| fixed.is_some_and(|fixed| fixed != extent))
        {
            let extent =
                |fixed: Option<usize>| fixed.map_or("any".into(), |fixed| fixed.to_string());
            let [a, b, c] = fixed.map(extent);
            return Err(Error::Graph(format!(
                "it takes pictures of [{a}, {b}, {c}], got {rest:?}: its description must state \
                 size and layout"
            )));
        }
        let len = rest.iter().product::<usize>();
        let batch = fixed_batch.unwrap_or(count);
        for part in pictures.chunks(batch * len) {
            let real = part.len() / len;
            // A graph with a fixed batch is padded with black pictures.
            let mut values = part.to_vec();
            values.resize(if fixed_batch.is_some() { batch * len } else { part.len() }, 0.0);
            self.run(values.len() / len, rest, &values, real, out)?;
        }
        Ok(())
    }

    /// Runs `count` pictures and appends the rows of the first `real` to `out`.
    fn run(
        &mut self,
        count: usize,
        [a, b, c]: [usize; 3],
        values: &[f32],
        real: usize,
        out: &mut Vec<f32>,
    ) -> Result<(), Error> {
        let fault = |error: ort::Error| Error::Run(error.to_string());
        let tensor = TensorRef::from_array_view(([count, a, b, c], values)).map_err(fault)?;
        let inputs = vec![(self.input.as_str(), tensor)];
        let outputs = self.session.run(inputs).map_err(fault)?;
        let (shape, rows) =
            outputs[self.output.as_str()].try_extract_tensor::<f32>().map_err(fault)?;
        if shape.first() != Some(&(count as i64)) || rows.is_empty() {
            let message = format!(
                "{count} pictures gave {:?} of shape {shape}, not one row each",
                self.output
            );
            return Err(Error::Graph(message));
        }
        out.extend_from_slice(&rows[..rows.len() / count * real]);
        Ok(())
    }
}

/// Returns the only input, and its fixed extents.
fn only_input(inputs: &[Outlet]) -> Result<(String, [Option<usize>; 4]), String> {
    let [input] = inputs else {
        return Err(format!("it has the inputs {:?}, must have exactly one", names(inputs)));
    };
    let shape = input.dtype().tensor_shape().filter(|shape| shape.len() == 4);
    match (shape, input.dtype().tensor_type()) {
        (Some(shape), Some(TensorElementType::Float32)) => {
            let fixed =
                |axis: usize| usize::try_from(shape[axis]).ok().filter(|&extent| extent > 0);
            Ok((input.name().to_owned(), std::array::from_fn(fixed)))
        }
        _ => Err(format!(
            "its input {:?} is {:?}, must be pictures in f32 with four axes",
            input.name(),
            input.dtype()
        )),
    }
}

fn select_output(outputs: &[Outlet], named: Option<&str>) -> Result<String, String> {
    let names = names(outputs);
    match (named, &names[..]) {
        (Some(name), _) if names.contains(&name) => Ok(name.to_owned()),
        (Some(name), _) => Err(format!("it has no output {name:?}, only {names:?}")),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(format!("it has the outputs {names:?}: name the one with the features")),
    }
}

fn names(outlets: &[Outlet]) -> Vec<&str> {
    outlets.iter().map(Outlet::name).collect()
}

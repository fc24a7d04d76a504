//! A graph from pictures to features, of whoever made it.

use ort::{
    session::Session,
    value::{Outlet, TensorElementType, TensorRef},
};

use crate::{Device, Error, Runtime};

/// A graph with one input, a batch of pictures, of which one output is read.
#[derive(Debug)]
pub struct Extractor {
    session: Session,
    input: String,
    output: String,
    /// Extents of its input, where the graph takes no others.
    fixed: [Option<usize>; 4],
}

impl Extractor {
    /// Opens the graph of an ONNX file.
    ///
    /// * `output`: the one that is read; absent: the only one.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if it cannot be loaded, has another input than one of f32 with
    /// four axes, or not that output.
    pub fn open(
        runtime: &Runtime,
        device: &Device,
        bytes: &[u8],
        output: Option<&str>,
    ) -> Result<Self, Error> {
        let mut builder = device.session(runtime).map_err(Error::Graph)?;
        let session =
            builder.commit_from_memory(bytes).map_err(|error| Error::Graph(error.to_string()))?;
        let (input, fixed) = input_of(session.inputs()).map_err(Error::Graph)?;
        let output = output_of(session.outputs(), output).map_err(Error::Graph)?;
        Ok(Self { session, input, output, fixed })
    }

    /// Evaluates the graph on pictures into `out`, `[B, …]` in C order: one row each.
    ///
    /// * `pictures`: of `shape`, `[B, C, H, W]` or `[B, H, W, C]`, B at least 1.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] if the graph takes pictures of another shape, or its output has
    /// no row a picture; [`Error::Run`] if ONNX Runtime fails.
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
                "it takes pictures of [{a}, {b}, {c}] and was given {rest:?}: its description must say \
                 size and layout"
            )));
        }
        let len = rest.iter().product::<usize>();
        let batch = fixed_batch.unwrap_or(count);
        for part in pictures.chunks(batch * len) {
            let real = part.len() / len;
            // A graph of a fixed batch gets black pictures for those that are not there.
            let mut values = part.to_vec();
            values.resize(if fixed_batch.is_some() { batch * len } else { part.len() }, 0.0);
            self.run(values.len() / len, rest, &values, real, out)?;
        }
        Ok(())
    }

    /// Appends the rows of the first `real` of `count` pictures to `out`.
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
            let message =
                format!("{count} pictures gave {:?} of shape {shape}, not a row each", self.output);
            return Err(Error::Graph(message));
        }
        out.extend_from_slice(&rows[..rows.len() / count * real]);
        Ok(())
    }
}

/// The only input, and the extents it is fixed to.
fn input_of(inputs: &[Outlet]) -> Result<(String, [Option<usize>; 4]), String> {
    let [input] = inputs else {
        return Err(format!("it has the inputs {:?}, must have one", names(inputs)));
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

fn output_of(outputs: &[Outlet], named: Option<&str>) -> Result<String, String> {
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

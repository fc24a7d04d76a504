//! Golden vectors: inputs with the outputs that every run of the graph must reproduce.
//!
//! The exporter computes them in libtorch from x_t of real data over the whole range of t. The
//! server recomputes them at every load, for each graph and provider it uses, and does not become
//! ready if they differ.

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::{Error, GraphName, Manifest};

/// Least root mean square of the golden outputs. A barely trained network outputs almost zeros, and
/// a graph that outputs zeros would pass.
pub const GOLDEN_RMS_MIN: f64 = 1e-2;

/// Returns the largest difference from the golden outputs allowed for the portable graph on a
/// provider, relative to the outputs' root mean square.
///
/// fp32 sums in another order differ by about 1e-6; the bound leaves room for deep networks, and
/// CUDA's also for its own algorithms.
#[must_use]
pub fn portable_tolerance(provider: &str) -> f64 {
    if provider == "cpu" { 1e-4 } else { 1e-3 }
}

/// Inputs of the network, one per row, and its outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// Number of rows.
    pub count: usize,
    /// `[count, …sample shape]`.
    pub sample: Vec<f32>,
    /// `[count]`.
    pub timestep: Vec<f32>,
    /// `[count]`, for conditional models.
    pub class_labels: Option<Vec<i64>>,
    /// `[count, …output shape]`.
    pub out_sample: Vec<f32>,
}

/// The difference of outputs from the golden ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Largest absolute difference of an element.
    pub max_abs: f64,
    /// Root mean square of the differences.
    pub rms_error: f64,
    /// Root mean square of the golden outputs.
    pub rms: f64,
    /// Root mean square of the differences of a row, relative to the row's: of the median row.
    pub median_row: f64,
}

impl Comparison {
    /// Returns the difference by which a graph is judged, relative to the outputs' root mean
    /// square: the largest one for the portable graph, whose arithmetic is nearly exact; the root
    /// mean square for the graph for CUDA, which rounds everywhere and now and then by much; that
    /// of the median row for the int8 graph, where two processors agree exactly on one row, and a
    /// single integer that is rounded the other way changes another as much as 8 bits do.
    #[must_use]
    pub fn relative(&self, graph: GraphName) -> f64 {
        match graph {
            GraphName::Portable => self.max_abs / self.rms,
            GraphName::Cuda => self.rms_error / self.rms,
            GraphName::Int8 => self.median_row,
        }
    }
}

impl Golden {
    /// Reads and checks golden vectors for a model.
    ///
    /// # Errors
    ///
    /// [`Error::Golden`] if a tensor is missing, does not have the type or size that the manifest
    /// requires, has a value that is not finite, or the outputs are too small to prove anything.
    pub fn parse(manifest: &Manifest, bytes: &[u8]) -> Result<Self, Error> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| Error::golden(&error))?;
        let timestep = floats(&tensors, "timestep")?;
        let conditional = !manifest.classes.is_empty();
        let golden = Self {
            count: timestep.len(),
            sample: floats(&tensors, "sample")?,
            timestep,
            class_labels: conditional.then(|| integers(&tensors, "class_labels")).transpose()?,
            out_sample: floats(&tensors, "out_sample")?,
        };
        golden.check(manifest)?;
        Ok(golden)
    }

    /// Checks golden vectors for a model.
    ///
    /// # Errors
    ///
    /// As [`Golden::parse`].
    pub fn check(&self, manifest: &Manifest) -> Result<(), Error> {
        let fail = |reason: String| Err(Error::golden(&reason));
        if self.count == 0 {
            return fail("there are none".into());
        }
        let lengths = [
            ("sample", self.sample.len(), self.count * manifest.sample_len()),
            ("timestep", self.timestep.len(), self.count),
            ("out_sample", self.out_sample.len(), self.count * manifest.output_len()),
            ("class_labels", self.class_labels.as_ref().map_or(self.count, Vec::len), self.count),
        ];
        if let Some((name, got, want)) = lengths.into_iter().find(|(_, got, want)| got != want) {
            return fail(format!("{name} has {got} elements, the manifest needs {want}"));
        }
        if self.class_labels.is_none() != manifest.classes.is_empty() {
            return fail("conditional models, and only they, must have class_labels".into());
        }
        let numbers = [
            ("sample", &self.sample),
            ("timestep", &self.timestep),
            ("out_sample", &self.out_sample),
        ];
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if let Some((name, _)) = numbers.into_iter().find(|(_, values)| !finite(values)) {
            return fail(format!("{name} has a number that is infinite or NaN"));
        }
        let rms = rms(&self.out_sample);
        if rms < GOLDEN_RMS_MIN {
            return fail(format!(
                "the outputs' root mean square is {rms:.1e}, below {GOLDEN_RMS_MIN}: \
                 the network is barely trained, and any graph would pass; train it longer \
                 (`train --resume RUN` with more --steps), or do without a package (--no-export)"
            ));
        }
        Ok(())
    }

    /// Writes the vectors as a safetensors file.
    ///
    /// # Errors
    ///
    /// [`Error::Golden`] if they do not fit the manifest.
    pub fn to_safetensors(&self, manifest: &Manifest) -> Result<Vec<u8>, Error> {
        self.check(manifest)?;
        let shape = |tail: &[usize]| [&[self.count], tail].concat();
        let mut output_shape = manifest.sample_shape.clone();
        output_shape[0] *= manifest.output_len() / manifest.sample_len();
        let view = |kind, shape, bytes| {
            TensorView::new(kind, shape, bytes).map_err(|error| Error::golden(&error))
        };
        let cast = bytemuck::cast_slice::<f32, u8>;
        let mut tensors = vec![
            ("sample", view(Dtype::F32, shape(&manifest.sample_shape), cast(&self.sample))?),
            ("timestep", view(Dtype::F32, shape(&[]), cast(&self.timestep))?),
            ("out_sample", view(Dtype::F32, shape(&output_shape), cast(&self.out_sample))?),
        ];
        if let Some(labels) = &self.class_labels {
            let bytes = bytemuck::cast_slice(labels);
            tensors.push(("class_labels", view(Dtype::I64, shape(&[]), bytes)?));
        }
        safetensors::serialize(tensors, None).map_err(|error| Error::golden(&error))
    }

    /// Compares outputs for the same inputs with the golden ones. A value that is not finite counts
    /// as infinitely far.
    ///
    /// # Panics
    ///
    /// If `outputs` has another length than `out_sample`.
    #[must_use]
    pub fn compare(&self, outputs: &[f32]) -> Comparison {
        assert_eq!(outputs.len(), self.out_sample.len(), "outputs of the golden inputs");
        let difference = |(a, b): (&f32, &f32)| {
            let difference = f64::from(a - b).abs();
            if difference.is_finite() { difference } else { f64::INFINITY }
        };
        let differences = || outputs.iter().zip(&self.out_sample).map(difference);
        let squares: f64 = differences().map(|difference| difference * difference).sum();
        let row = outputs.len() / self.count.max(1);
        let mut rows: Vec<f64> = outputs
            .chunks_exact(row.max(1))
            .zip(self.out_sample.chunks_exact(row.max(1)))
            .map(|(outputs, golden)| {
                let squares: f64 =
                    outputs.iter().zip(golden).map(|pair| difference(pair).powi(2)).sum();
                (squares / row as f64).sqrt() / rms(golden)
            })
            .collect();
        rows.sort_by(f64::total_cmp);
        Comparison {
            median_row: rows.get(rows.len() / 2).copied().unwrap_or(f64::INFINITY),
            max_abs: differences().fold(0.0, f64::max),
            rms_error: (squares / outputs.len() as f64).sqrt(),
            rms: rms(&self.out_sample),
        }
    }
}

fn rms(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    (sum / values.len() as f64).sqrt()
}

fn tensor_bytes<'a>(
    tensors: &'a SafeTensors<'_>,
    name: &str,
    kind: Dtype,
) -> Result<&'a [u8], Error> {
    let tensor = tensors
        .tensor(name)
        .map_err(|_| Error::golden(&format!("the tensor {name:?} is missing")))?;
    if tensor.dtype() != kind {
        let found = tensor.dtype();
        return Err(Error::golden(&format!("{name:?} must be {kind:?}, is {found:?}")));
    }
    Ok(tensor.data())
}

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, Error> {
    Ok(bytemuck::pod_collect_to_vec(tensor_bytes(tensors, name, Dtype::F32)?))
}

fn integers(tensors: &SafeTensors<'_>, name: &str) -> Result<Vec<i64>, Error> {
    Ok(bytemuck::pod_collect_to_vec(tensor_bytes(tensors, name, Dtype::I64)?))
}

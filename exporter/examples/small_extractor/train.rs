//! Trains the extractor as part of one classifier for generated glyphs and digits from files.

use std::path::Path;

use ddpm_conversion::export::graph::{GraphError, feature_graph};
use ddpm_data::{DataError, LoadOptions, Source, Split, glyphs};
use ddpm_network::Eager;
use tch::nn::{self, OptimizerConfig};
use tch::{Device, Kind, TchError, Tensor};

use crate::epoch::one_epoch;
use crate::network::{DIMENSION, Features, SIDE};

/// Training glyphs, and how often the digits are repeated beside them.
const GLYPHS: usize = 24_000;
const DIGIT_REPEATS: i64 = 4;
const EPOCHS: u32 = 6;
const LR: f64 = 2e-3;
/// Seeds the glyphs, the weights and everything else here.
const SEED: u64 = 1;
/// Held-out glyphs to measure accuracy on.
const HELD_OUT: usize = 2048;
/// Glyphs first, then digits.
const CLASSES: i64 = glyphs::CLASS_NAMES.len() as i64 + 10;

/// A trained extractor.
#[derive(Debug)]
pub(crate) struct Trained {
    /// The ONNX file.
    pub(crate) onnx: Vec<u8>,
    /// Share of held-out glyphs that it classifies correctly, in [0, 1].
    pub(crate) glyph_accuracy: f64,
    /// Share of held-out digits that it classifies correctly, in [0, 1].
    pub(crate) digit_accuracy: f64,
}

/// Why the extractor cannot be trained.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExtractorError {
    /// The digits cannot be loaded.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network cannot be written.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// libtorch failed, most likely for lack of memory.
    #[error("libtorch failed: {0}")]
    Torch(#[from] TchError),
}

/// Trains on the CPU for some minutes, and prints progress to stderr.
///
/// * `digits`: folder in MNIST's file format, with both splits.
///
/// # Errors
///
/// [`ExtractorError::Data`] if the digits cannot be loaded.
pub(crate) fn train(digits: &Path) -> Result<Trained, ExtractorError> {
    tch::manual_seed(SEED as i64);
    let variables = nn::VarStore::new(Device::Cpu);
    let classifier = Classifier::new(&variables.root());
    let mut optimizer = nn::Adam::default().build(&variables, LR)?;
    let (glyph_pictures, glyph_labels) = load(&Source::Glyphs { size: GLYPHS }, Split::Train, 0)?;
    let (digit_pictures, digit_labels) = load(&Source::Idx(digits.into()), Split::Train, 16)?;
    let repeated = |first: &Tensor, again: &Tensor| {
        let parts: Vec<&Tensor> =
            std::iter::once(first).chain((0..DIGIT_REPEATS).map(|_| again)).collect();
        Tensor::f_cat(&parts, 0)
    };
    let pictures = repeated(&glyph_pictures, &digit_pictures)?;
    let labels = repeated(&glyph_labels, &digit_labels)?;
    for epoch in 0..EPOCHS {
        // Linear decay to 0 over the epochs.
        optimizer.set_lr(LR * f64::from(EPOCHS - epoch) / f64::from(EPOCHS));
        let logits = |x: &Tensor| classifier.logits(x, true);
        let loss = one_epoch(&mut optimizer, &pictures, &labels, logits)?;
        eprintln!("epoch {} of {EPOCHS}, loss {loss:.4}", epoch + 1);
    }
    Ok(Trained {
        onnx: feature_graph([3, SIDE, SIDE], |trace, x| classifier.features.forward(trace, x))?,
        glyph_accuracy: classifier.accuracy(&Source::Glyphs { size: HELD_OUT }, 0)?,
        digit_accuracy: classifier.accuracy(&Source::Idx(digits.into()), 16)?,
    })
}

struct Classifier {
    features: Features,
    head: nn::Linear,
}

impl Classifier {
    fn new(path: &nn::Path<'_>) -> Self {
        let head = nn::linear(path / "head", DIMENSION, CLASSES, nn::LinearConfig::default());
        Self { features: Features::new(path), head }
    }

    fn logits(&self, pictures: &Tensor, train: bool) -> Tensor {
        self.features
            .forward(&Eager { train, masks: None }, pictures)
            .flatten(1, -1)
            .apply(&self.head)
    }

    fn accuracy(&self, source: &Source, first_class: i64) -> Result<f64, ExtractorError> {
        let (pictures, labels) = load(source, Split::Test, first_class)?;
        let classes = tch::no_grad(|| self.logits(&pictures, false).argmax(1, false));
        Ok(classes.f_eq_tensor(&labels)?.f_mean(Kind::Float)?.f_double_value(&[])?)
    }
}

/// Loads pictures `[N, 3, 32, 32]` for the extractor, and their classes `[N]`, counted from
/// `first_class`.
fn load(
    source: &Source,
    split: Split,
    first_class: i64,
) -> Result<(Tensor, Tensor), ExtractorError> {
    let image_size = Some(SIDE as usize);
    let options = LoadOptions { image_size, seed: SEED, split, ..LoadOptions::default() };
    let dataset = ddpm_data::load(source, &options)?;
    let len = dataset.kind().num_elements();
    let mut values = vec![0.0; dataset.len() * len];
    for (i, picture) in values.chunks_exact_mut(len).enumerate() {
        dataset.x_0(i, false, picture);
    }
    let class = |i| first_class + dataset.label(i).map_or(0, |label| label as i64);
    let labels: Vec<i64> = (0..dataset.len()).map(class).collect();
    let channels = (len as i64) / (SIDE * SIDE);
    let pictures = Tensor::f_from_slice(&values)?.f_reshape([-1, channels, SIDE, SIDE])?;
    let pictures = pictures.f_expand([-1, 3, SIDE, SIDE], false)?.f_contiguous()?;
    Ok((pictures, Tensor::f_from_slice(&labels)?))
}

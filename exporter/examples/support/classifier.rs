//! The judge: a small convolutional network that classifies glyphs.

use anyhow::bail;
use ddpm_data::{DataError, Dataset, LoadOptions, Source, Split, glyphs};
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Kind, TchError, Tensor};

use super::epoch::one_epoch;

/// Training glyphs, and how often each is seen.
const TRAINING: usize = 32_000;
const EPOCHS: u32 = 4;
/// Held-out glyphs to measure accuracy on.
pub(crate) const HELD_OUT: usize = 8_192;

/// Accuracy on held-out glyphs below which a judge is not trusted.
const REQUIRED_ACCURACY: f64 = 0.98;

const LR: f64 = 2e-3;
const DROP_RATE: f64 = 0.3;
/// Seeds the glyphs, the weights and everything else here.
const SEED: u64 = 1;

const CLASSES: i64 = glyphs::CLASS_NAMES.len() as i64;
/// Channels of the two levels.
const WIDTHS: [i64; 2] = [32, 64];

/// A trained judge of pictures `[3, side, side]` in [-1, 1].
#[derive(Debug)]
pub(crate) struct Classifier {
    side: usize,
    network: nn::SequentialT,
}

impl Classifier {
    /// Trains a classifier for pictures of `side` pixels, and returns it with its accuracy on
    /// held-out glyphs. Takes about a minute on two cores.
    ///
    /// # Errors
    ///
    /// If glyphs cannot be drawn at this size, libtorch runs out of memory, or the accuracy is too
    /// low for a judge.
    pub(crate) fn judge(side: usize) -> anyhow::Result<(Self, f64)> {
        let classifier = Self::train(side)?;
        let accuracy = classifier.accuracy()?;
        if accuracy < REQUIRED_ACCURACY {
            bail!(
                "the classifier recognises only {:.1} % of {HELD_OUT} held-out glyphs, less than \
                 the {:.0} % a judge needs; train it longer (EPOCHS in classifier.rs)",
                100.0 * accuracy,
                100.0 * REQUIRED_ACCURACY,
            );
        }
        Ok((classifier, accuracy))
    }

    fn train(side: usize) -> anyhow::Result<Self> {
        tch::manual_seed(SEED as i64);
        let variables = nn::VarStore::new(Device::Cpu);
        let classifier = Self { side, network: network(&variables.root(), side as i64) };
        let mut optimizer = nn::Adam::default().build(&variables, LR)?;
        let (pictures, labels) = glyphs(Split::Train, TRAINING, side)?;
        for epoch in 0..EPOCHS {
            // Linear decay to 0 over the epochs.
            optimizer.set_lr(LR * f64::from(EPOCHS - epoch) / f64::from(EPOCHS));
            let logits = |x: &Tensor| classifier.network.forward_t(x, true);
            let loss = one_epoch(&mut optimizer, &pictures, &labels, logits)?;
            eprintln!("classifier: epoch {} of {EPOCHS}, loss {loss:.4}", epoch + 1);
        }
        Ok(classifier)
    }

    /// Returns the share of held-out glyphs that it classifies correctly.
    fn accuracy(&self) -> anyhow::Result<f64> {
        let (pictures, labels) = glyphs(Split::Test, HELD_OUT, self.side)?;
        let right = self.classes(&pictures).f_eq_tensor(&labels)?;
        Ok(right.f_mean(Kind::Float)?.f_double_value(&[])?)
    }

    /// Classifies each of the pictures `[N, 3, side, side]`, clamped to [-1, 1] as for display.
    ///
    /// # Errors
    ///
    /// libtorch's, if `values` are not whole pictures, or memory runs out.
    pub(crate) fn classify(&self, values: &[f32]) -> Result<Vec<usize>, TchError> {
        let side = self.side as i64;
        let pictures = Tensor::f_from_slice(values)?.f_reshape([-1, 3, side, side])?;
        let classes = Vec::<i64>::try_from(self.classes(&pictures.f_clamp(-1.0, 1.0)?))?;
        Ok(classes.into_iter().map(|class| class as usize).collect())
    }

    fn classes(&self, pictures: &Tensor) -> Tensor {
        tch::no_grad(|| self.network.forward_t(pictures, false).argmax(1, false))
    }
}

/// Builds two levels of two convolutions and a pool each, then two linear layers.
fn network(path: &nn::Path<'_>, side: i64) -> nn::SequentialT {
    let [first, second] = WIDTHS;
    let conv = |name: &str, inputs, outputs| {
        let config = nn::ConvConfig { padding: 1, ..nn::ConvConfig::default() };
        nn::conv2d(path / name, inputs, outputs, 3, config)
    };
    let features = second * (side / 4) * (side / 4);
    nn::seq_t()
        .add(conv("conv1", 3, first))
        .add_fn(Tensor::relu)
        .add(conv("conv2", first, first))
        .add_fn(|x| x.relu().max_pool2d_default(2))
        .add(conv("conv3", first, second))
        .add_fn(Tensor::relu)
        .add(conv("conv4", second, second))
        .add_fn(|x| x.relu().max_pool2d_default(2).flatten(1, -1))
        .add_fn_t(|x, train| x.dropout(DROP_RATE, train))
        .add(nn::linear(path / "hidden", features, 128, nn::LinearConfig::default()))
        .add_fn(Tensor::relu)
        .add_fn_t(|x, train| x.dropout(DROP_RATE, train))
        .add(nn::linear(path / "out", 128, CLASSES, nn::LinearConfig::default()))
}

/// Draws glyphs `[count, 3, side, side]` and returns them with their classes `[count]`.
fn glyphs(split: Split, count: usize, side: usize) -> anyhow::Result<(Tensor, Tensor)> {
    let dataset = load(split, count, side)?;
    let len = dataset.kind().num_elements();
    let mut values = vec![0.0; count * len];
    for (i, picture) in values.chunks_exact_mut(len).enumerate() {
        dataset.x_0(i, false, picture);
    }
    let labels: Vec<i64> =
        (0..count).map(|i| dataset.label(i).expect("glyphs have labels") as i64).collect();
    let side = side as i64;
    let pictures = Tensor::f_from_slice(&values)?.f_reshape([-1, 3, side, side])?;
    Ok((pictures, Tensor::f_from_slice(&labels)?))
}

fn load(split: Split, count: usize, side: usize) -> Result<Dataset, DataError> {
    let options =
        LoadOptions { image_size: Some(side), seed: SEED, split, ..LoadOptions::default() };
    ddpm_data::load(&Source::Glyphs { size: count }, &options)
}

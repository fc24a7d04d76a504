//! The judge: a small convolutional network that tells the classes of glyphs apart.

use anyhow::bail;
use ddpm_exporter::data::{self, DataError, Dataset, LoadOptions, Source, Split, glyphs};
use ddpm_exporter::evaluate::small::one_epoch;
use tch::nn::{self, ModuleT, OptimizerConfig};
use tch::{Device, Kind, TchError, Tensor};

/// Glyphs to learn from, and how often each is seen.
const TRAINING: usize = 32_000;
const EPOCHS: u32 = 4;
/// Other glyphs, to measure what was learned.
pub(crate) const HELD_OUT: usize = 8_192;

/// Share of held-out glyphs that a judge must know; below it, its word is worth little.
const REQUIRED_ACCURACY: f64 = 0.98;

const LR: f64 = 2e-3;
const DROP_RATE: f64 = 0.3;
/// Of the glyphs, the weights and everything else here.
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
    /// A trained classifier for pictures of `side` pixels, and its accuracy on held-out glyphs. About a
    /// minute on two cores.
    ///
    /// # Errors
    ///
    /// If the side is no size that glyphs are drawn at, libtorch runs out of memory, or the classifier
    /// knows too few of the held-out glyphs to be a judge.
    pub(crate) fn judge(side: usize) -> anyhow::Result<(Self, f64)> {
        let classifier = Self::train(side)?;
        let accuracy = classifier.accuracy()?;
        if accuracy < REQUIRED_ACCURACY {
            bail!(
                "the classifier knows only {:.1} % of {HELD_OUT} held-out glyphs, less than {:.0} %: it \
                 is no judge; train it longer (EPOCHS in classifier.rs)",
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

    /// The share of held-out glyphs whose class it tells.
    fn accuracy(&self) -> anyhow::Result<f64> {
        let (pictures, labels) = glyphs(Split::Test, HELD_OUT, self.side)?;
        let right = self.classes(&pictures).f_eq_tensor(&labels)?;
        Ok(right.f_mean(Kind::Float)?.f_double_value(&[])?)
    }

    /// The class that it sees in each of the pictures `[N, 3, side, side]`, which are clamped to
    /// [-1, 1] first: nobody sees the rest.
    ///
    /// # Errors
    ///
    /// libtorch's, if `values` are not whole pictures, or memory is short.
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

/// Two levels of two convolutions, each followed by a pool, then two layers.
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

/// Pictures `[count, 3, side, side]` and their classes `[count]`.
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
    data::load(&Source::Glyphs { size: count }, &options)
}

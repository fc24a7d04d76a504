//! The input of an extractor, and the JSON beside its file that describes it.
//!
//! ```json
//! {
//!   "version": 1,
//!   "features": "inception-pool3",
//!   "dimension": 2048,
//!   "size": [299, 299],
//!   "filter": "bilinear",
//!   "antialias": false,
//!   "range": [-1.0, 1.0],
//!   "layout": "nchw"
//! }
//! ```
//!
//! | key | meaning |
//! |---|---|
//! | `version` | of this schema: 1 |
//! | `features` | name of the features; only `inception-pool3` of dimension 2048 makes a FID |
//! | `dimension` | features per picture, which the extractor must give |
//! | `size` | `[height, width]` that pictures are resized to; absent: not resized |
//! | `filter` | `bilinear` or `bicubic`, corners not aligned |
//! | `antialias` | whether the filter widens when pictures shrink |
//! | `range` | values of pixels 0 and 255 |
//! | `mean`, `std` | per channel, subtracted and divided by after that; absent: 0 and 1 |
//! | `layout` | `nchw` or `nhwc` |
//! | `output` | name of the ONNX output; absent: the only one |
//! | `classes` | `logits` or `probabilities`, if the features are outputs of a classifier |
//! | `arguments` | booleans that a TorchScript module takes after the pictures; absent: none |
//!
//! Grey pictures get three equal channels. Unknown keys are refused.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ddpm_files::write_whole;
use ddpm_measures::ClassRows;
use ddpm_package::Sha256Hex;
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

use super::EvaluateError;

/// The only version of the schema so far.
const VERSION: u32 = 1;
/// Mean and standard deviation of ImageNet's pictures in [0, 1].
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
/// Largest side to resize pictures to.
const MAX_SIDE: usize = 4096;

/// From pixels to an extractor's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Version of the schema, 1.
    pub version: u32,
    /// Name of the features.
    pub features: String,
    /// D, features per picture.
    pub dimension: usize,
    /// Height and width that pictures are resized to; absent: not resized.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
    /// The filter for resizing.
    #[serde(default)]
    pub filter: Filter,
    /// Whether the filter widens when pictures shrink.
    #[serde(default)]
    pub antialias: bool,
    /// Values of pixels 0 and 255.
    pub range: [f64; 2],
    /// Subtracted from the channels R, G, B; absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<[f64; 3]>,
    /// Divisors of the channels; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub std: Option<[f64; 3]>,
    /// Order of the input's axes.
    #[serde(default)]
    pub layout: Layout,
    /// Name of the ONNX output; absent: the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// The features as outputs of a classifier; absent: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// Booleans that a TorchScript module takes after the pictures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<bool>,
}

/// A filter for resizing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Two by two neighbours.
    #[default]
    Bilinear,
    /// Four by four neighbours.
    Bicubic,
}

/// Order of the input's axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Channels first.
    #[default]
    Nchw,
    /// Channels last.
    Nhwc,
}

/// The outputs of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Classes {
    /// Numbers whose softmax are probabilities.
    Logits,
    /// Probabilities.
    Probabilities,
}

impl From<Classes> for ClassRows {
    fn from(classes: Classes) -> Self {
        match classes {
            Classes::Logits => Self::Logits,
            Classes::Probabilities => Self::Probabilities,
        }
    }
}

/// The preprocessing of well-known extractors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Preset {
    /// Inception v3 of FID, converted from TensorFlow: 2048 features of its last pool.
    InceptionPool3,
    /// The same network's last layer: 1008 logits, for the Inception score.
    InceptionLogits,
    /// VGG16 of torchvision: 4096 features of its second linear layer.
    Vgg16,
    /// DINOv2 ViT-L/14: 1024 features of its class token.
    Dinov2,
}

impl Preset {
    /// Returns the preprocessing of this extractor.
    #[must_use]
    pub fn preprocessing(self) -> Preprocessing {
        let imagenet = |features: &str, dimension, filter| Preprocessing {
            version: VERSION,
            features: features.to_owned(),
            dimension,
            size: Some([224; 2]),
            filter,
            antialias: true,
            range: [0.0, 1.0],
            mean: Some(IMAGENET_MEAN),
            std: Some(IMAGENET_STD),
            layout: Layout::Nchw,
            output: None,
            classes: None,
            arguments: Vec::new(),
        };
        let inception = |features, dimension| Preprocessing {
            size: Some([299; 2]),
            antialias: false,
            range: [-1.0, 1.0],
            mean: None,
            std: None,
            ..imagenet(features, dimension, Filter::Bilinear)
        };
        match self {
            Self::InceptionPool3 => inception(Preprocessing::INCEPTION, 2048),
            Self::InceptionLogits => Preprocessing {
                classes: Some(Classes::Logits),
                ..inception(Preprocessing::INCEPTION_CLASSES, 1008)
            },
            Self::Vgg16 => imagenet("vgg16-fc2", 4096, Filter::Bilinear),
            Self::Dinov2 => imagenet("dinov2-vitl14", 1024, Filter::Bicubic),
        }
    }
}

impl Preprocessing {
    /// `features` of the extractor that defines FID.
    pub const INCEPTION: &str = "inception-pool3";
    /// `features` of the classifier that defines the Inception score.
    pub const INCEPTION_CLASSES: &str = "inception-logits";

    /// Returns the file that describes an extractor: its own name with `.json` appended.
    #[must_use]
    pub fn path_beside(extractor: &Path) -> PathBuf {
        let mut name = extractor.as_os_str().to_owned();
        name.push(".json");
        name.into()
    }

    /// Reads the JSON beside an extractor.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::File`] if it is missing, with the way to write one, or not of the schema.
    pub fn read_beside(extractor: &Path) -> Result<Self, EvaluateError> {
        let path = Self::path_beside(extractor);
        let text = fs::read_to_string(&path).map_err(|cause| {
            let help = "it describes the extractor's input; `eval --preset` writes it, see \
                        docs/evaluation.md";
            EvaluateError::file(&path, format!("{cause}: {help}"))
        })?;
        Self::parse(&text).map_err(|problem| EvaluateError::file(&path, problem))
    }

    /// Reads JSON of the schema.
    ///
    /// # Errors
    ///
    /// The fault in it, worded to follow a file's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let read: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), String> {
        let Self { version, dimension, size, range, mean, std, .. } = self;
        if *version != VERSION {
            return Err(format!("version is {version}, but this build supports {VERSION}"));
        }
        if *dimension == 0 {
            return Err("dimension must be at least 1".to_owned());
        }
        if size.is_some_and(|size| size.iter().any(|side| !(1..=MAX_SIDE).contains(side))) {
            return Err(format!("size must be two numbers in 1..={MAX_SIDE}"));
        }
        let numbers = range.iter().chain(mean.iter().flatten()).chain(std.iter().flatten());
        if numbers.clone().any(|number| !number.is_finite()) || range[0] == range[1] {
            return Err("range must be two different numbers, mean and std finite".to_owned());
        }
        match std.iter().flatten().find(|&&std| std <= 0.0) {
            Some(std) => Err(format!("std must be above 0, is {std}")),
            None => Ok(()),
        }
    }

    /// Writes the JSON beside an extractor, or checks that an existing file is equal.
    ///
    /// # Errors
    ///
    /// [`EvaluateError::File`] if the file differs; [`EvaluateError::Write`].
    pub fn write_beside(&self, extractor: &Path) -> Result<(), EvaluateError> {
        let path = Self::path_beside(extractor);
        if path.exists() {
            if Self::read_beside(extractor)? == *self {
                return Ok(());
            }
            let problem = "describes the extractor differently; remove it, or leave --preset out";
            return Err(EvaluateError::file(&path, problem));
        }
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| EvaluateError::file(&path, error.to_string()))?;
        write_whole(&path, |out| writeln!(out, "{text}")).map_err(EvaluateError::write(path))
    }

    /// Returns whether distances of these features may be called FID.
    #[must_use]
    pub fn is_inception(&self) -> bool {
        self.features == Self::INCEPTION && self.dimension == 2048
    }

    /// Returns whether the classifier score of these features may be called Inception score.
    #[must_use]
    pub fn is_inception_classifier(&self) -> bool {
        self.features == Self::INCEPTION_CLASSES && self.dimension == 1008
    }

    /// Returns the identity of the preprocessing.
    #[must_use]
    pub fn digest(&self) -> Sha256Hex {
        let text = serde_json::to_string(self).expect("plain numbers and text are JSON");
        Sha256Hex::of(text.as_bytes())
    }

    /// Turns pixels into the extractor's input, on the CPU: `[N, 3, height, width]` or
    /// `[N, height, width, 3]`, f32, contiguous.
    ///
    /// * `pixels`: `[N, C, H, W]`, C 1 or 3.
    ///
    /// # Errors
    ///
    /// libtorch's, if memory is short.
    ///
    /// # Panics
    ///
    /// If they are not whole pictures.
    pub fn apply(
        &self,
        [channels, height, width]: [usize; 3],
        pixels: &[u8],
    ) -> Result<Tensor, TchError> {
        let shape = [-1, channels as i64, height as i64, width as i64];
        let pixels = Tensor::f_from_slice(pixels)?.f_reshape(shape)?.f_to_kind(Kind::Float)?;
        let pixels = pixels.f_expand([-1, 3, height as i64, width as i64], false)?;
        // A bicubic filter overshoots.
        let pixels = self.resized(&pixels)?.f_clamp(0.0, 255.0)?;
        let [low, high] = self.range;
        let per_channel = |numbers: [f64; 3]| {
            Tensor::f_from_slice(&numbers.map(|number| number as f32))?.f_reshape([1, 3, 1, 1])
        };
        let mut values = pixels.f_mul_scalar((high - low) / 255.0)?.f_add_scalar(low)?;
        if let Some(mean) = self.mean {
            values = values.f_sub(&per_channel(mean)?)?;
        }
        if let Some(std) = self.std {
            values = values.f_div(&per_channel(std)?)?;
        }
        match self.layout {
            Layout::Nchw => values.f_contiguous(),
            Layout::Nhwc => values.f_permute([0, 2, 3, 1])?.f_contiguous(),
        }
    }

    fn resized(&self, pixels: &Tensor) -> Result<Tensor, TchError> {
        let Some([height, width]) = self.size else { return Ok(pixels.shallow_clone()) };
        let size = [height as i64, width as i64];
        if pixels.size()[2..] == size {
            return Ok(pixels.shallow_clone());
        }
        let (pixels, scale) = (pixels.f_contiguous()?, None::<f64>);
        match (self.filter, self.antialias) {
            (Filter::Bilinear, false) => pixels.f_upsample_bilinear2d(size, false, scale, scale),
            (Filter::Bilinear, true) => {
                pixels.f_internal_upsample_bilinear2d_aa(size, false, scale, scale)
            }
            (Filter::Bicubic, false) => pixels.f_upsample_bicubic2d(size, false, scale, scale),
            (Filter::Bicubic, true) => {
                pixels.f_internal_upsample_bicubic2d_aa(size, false, scale, scale)
            }
        }
    }
}

#[cfg(test)]
mod tests;

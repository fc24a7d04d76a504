//! Flags for what samples start from, their known part, and the noise they share.

use std::path::PathBuf;

use clap::ValueEnum;
use ddpm_client::files::{read_images, read_mask, read_states};
use ddpm_client::{Data, Error, Initial, Inpaint, Known, Model, Request, SharedNoise};

use super::optional::{apply, usage_error};
use super::sampling::SamplingFlags;

#[derive(Debug, clap::Args)]
pub(crate) struct EditingFlags {
    /// States x_T to start from: a float array of the model's shape, or a stack of
    /// N such arrays; sample i starts from array i mod N.
    #[arg(long, value_name = "FILE.npy", conflicts_with = "image")]
    pub(crate) initial: Option<PathBuf>,

    /// Picture to start from: a PNG, or an array of uint8 (H, W, C) or of floats
    /// (C, H, W) in [-1, 1]. Repeatable: sample i of N pictures starts from picture
    /// i mod N. Needs --strength, or --sampler ddim-inverse to encode it.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,

    /// Share of the steps applied to --image, in [0, 1]: 0 keeps it unchanged, 1
    /// keeps little of it.
    #[arg(long, value_name = "S", requires = "image", conflicts_with = "program")]
    pub(crate) strength: Option<f64>,

    /// Partly known picture: the rest is sampled to fit it.
    #[arg(long, value_name = "FILE", requires = "mask")]
    pub(crate) known: Option<PathBuf>,

    /// Where it is known: white in a PNG; 1, true or 255 in an array.
    #[arg(long, value_name = "FILE", requires = "known")]
    pub(crate) mask: Option<PathBuf>,

    /// How the known part is kept [default: replace-x0].
    #[arg(long, value_enum, requires = "known", conflicts_with = "program")]
    pub(crate) inpaint: Option<InpaintMethod>,

    /// Runs of each block of steps; needs --inpaint replace-xt [default: 1].
    #[arg(long, value_name = "N", requires = "inpaint")]
    pub(crate) resampling: Option<u32>,

    /// Steps of a block; needs --inpaint replace-xt [default: 1].
    #[arg(long, value_name = "N", requires = "inpaint")]
    pub(crate) jump_length: Option<u32>,

    /// Give all samples the noise of this index.
    #[arg(long, value_name = "INDEX", conflicts_with = "program")]
    pub(crate) share_noise: Option<u64>,

    /// Which noise they share.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        requires = "share_noise",
        default_values_t = [SharedPart::Start, SharedPart::Steps],
    )]
    pub(crate) share: Vec<SharedPart>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InpaintMethod {
    /// Replace the known part of each prediction of x_0; for any sampler.
    #[value(name = "replace-x0")]
    X0,
    /// RePaint: after each step, replace it by the picture with noise of that step;
    /// for single-step samplers.
    #[value(name = "replace-xt")]
    Xt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SharedPart {
    /// x_T, or the noise on --image.
    Start,
    /// The noise of the steps.
    Steps,
}

/// The inputs that [`EditingFlags`] name, read from their files.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    initial: Option<Initial>,
    known: Option<Known>,
    shared: Option<SharedNoise>,
}

impl EditingFlags {
    /// Reads the files for `model`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] and [`Error::Request`], naming the file or the flag.
    pub(crate) fn read(&self, sampling: &SamplingFlags, model: &Model) -> Result<Inputs, Error> {
        Ok(Inputs {
            initial: self.start(sampling, model)?,
            known: self.known(sampling, model)?,
            shared: self.share_noise.map(|index| SharedNoise {
                index,
                start: self.share.contains(&SharedPart::Start),
                steps: self.share.contains(&SharedPart::Steps),
            }),
        })
    }

    fn start(&self, sampling: &SamplingFlags, model: &Model) -> Result<Option<Initial>, Error> {
        if let Some(path) = &self.initial {
            return Ok(Some(Initial::States(read_states(path, model)?)));
        }
        if self.image.is_empty() {
            return if sampling.encodes() {
                usage_error("--sampler ddim-inverse encodes pictures: pass some with --image")
            } else {
                Ok(None)
            };
        }
        match self.strength {
            None if !sampling.encodes() && sampling.program.is_none() => usage_error(
                "--image needs --strength, such as 0.6, or --sampler ddim-inverse to encode it",
            ),
            Some(_) if sampling.encodes() => {
                usage_error("--sampler ddim-inverse encodes a picture as it is: omit --strength")
            }
            strength => {
                let read: Result<Vec<Vec<Data>>, Error> =
                    self.image.iter().map(|path| read_images(path, model)).collect();
                let images = read?.into_iter().flatten().collect();
                Ok(Some(Initial::Images { images, strength }))
            }
        }
    }

    fn known(&self, sampling: &SamplingFlags, model: &Model) -> Result<Option<Known>, Error> {
        let (Some(image), Some(mask)) = (&self.known, &self.mask) else { return Ok(None) };
        let method = self.method()?;
        let mut images = read_images(image, model)?;
        let (Some(known), true) = (images.pop(), images.is_empty()) else {
            return usage_error(format!(
                "{} holds several pictures, but --known takes one",
                image.display()
            ));
        };
        let method = sampling.program.is_none().then_some(method);
        Ok(Some(Known { image: known, mask: read_mask(mask, model)?, method }))
    }

    fn method(&self) -> Result<Inpaint, Error> {
        match self.inpaint.unwrap_or(InpaintMethod::X0) {
            InpaintMethod::Xt => Ok(Inpaint::ReplaceXt {
                resampling: self.resampling.unwrap_or(1),
                jump_length: self.jump_length.unwrap_or(1),
            }),
            InpaintMethod::X0 if self.resampling.is_some() || self.jump_length.is_some() => {
                usage_error("--resampling and --jump-length need --inpaint replace-xt")
            }
            InpaintMethod::X0 => Ok(Inpaint::ReplaceX0),
        }
    }
}

impl Inputs {
    /// Returns the number of states or pictures that samples start from; `None` for noise.
    pub(crate) fn count(&self) -> Option<u32> {
        let count = match self.initial.as_ref()? {
            Initial::States(list) | Initial::Images { images: list, .. } => list.len(),
            Initial::Interpolation { frames, .. } => return Some(*frames),
        };
        u32::try_from(count).ok()
    }

    /// Adds the inputs to `request`.
    pub(crate) fn apply(&self, request: Request) -> Request {
        let request = apply(request, self.initial.as_ref(), Request::initial);
        let request = apply(request, self.known.as_ref(), Request::known);
        apply(request, self.shared, Request::shared_noise)
    }
}

//! What samples start from, what of them is known, and what they have in common.

use std::path::PathBuf;

use clap::ValueEnum;
use ddpm_client::{
    Data, Error, Initial, Inpaint, Known, Model, Request, SharedNoise,
    files::{read_images, read_mask, read_states},
};

use super::{apply, walk::Walk, wrong};

#[derive(Debug, clap::Args)]
pub(crate) struct Edit {
    /// States x_T to start from: a float array of the model's shape, or a stack of
    /// them; sample i takes the one at i mod their number.
    #[arg(long, value_name = "FILE.npy", conflicts_with = "image")]
    pub(crate) initial: Option<PathBuf>,

    /// Picture to start from: a PNG, or an array of uint8 (H, W, C) or of floats
    /// (C, H, W) in -1 to 1. May be given again: sample i takes the one at i mod
    /// their number. Needs --strength, or --sampler ddim-inverse to encode it.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,

    /// Share of the steps that --image goes through, in [0, 1]: 0 leaves it as it
    /// is, 1 leaves little of it.
    #[arg(long, value_name = "S", requires = "image", conflicts_with = "program")]
    pub(crate) strength: Option<f64>,

    /// Picture that is known in part: the rest is sampled to fit it.
    #[arg(long, value_name = "FILE", requires = "mask")]
    pub(crate) known: Option<PathBuf>,

    /// Where it is known: white in a PNG; 1, true or 255 in an array.
    #[arg(long, value_name = "FILE", requires = "known")]
    pub(crate) mask: Option<PathBuf>,

    /// How the known part is kept [default: replace-x0].
    #[arg(long, value_enum, requires = "known", conflicts_with = "program")]
    pub(crate) inpaint: Option<Method>,

    /// Times that each block of steps is run; needs --inpaint replace-xt
    /// [default: 1].
    #[arg(long, value_name = "N", requires = "inpaint")]
    pub(crate) resampling: Option<u32>,

    /// Steps of a block; needs --inpaint replace-xt [default: 1].
    #[arg(long, value_name = "N", requires = "inpaint")]
    pub(crate) jump_length: Option<u32>,

    /// Let all samples have the noise of this index.
    #[arg(long, value_name = "INDEX", conflicts_with = "program")]
    pub(crate) share_noise: Option<u64>,

    /// Which noise they share.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        requires = "share_noise",
        default_values_t = [Shared::Start, Shared::Steps],
    )]
    pub(crate) share: Vec<Shared>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Method {
    /// The known part of each prediction of x_0 is the picture; any sampler.
    #[value(name = "replace-x0")]
    X0,
    /// RePaint: after each step it is the picture with noise of that step; for
    /// samplers whose steps know nothing of earlier ones.
    #[value(name = "replace-xt")]
    Xt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shared {
    /// x_T, or the noise on --image.
    Start,
    /// The noise of the steps.
    Steps,
}

/// What [`Edit`] asks for, read from its files.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    initial: Option<Initial>,
    known: Option<Known>,
    shared: Option<SharedNoise>,
}

impl Edit {
    /// Reads the files for `model`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] and [`Error::Request`], naming the file or the flag.
    pub(crate) fn read(&self, walk: &Walk, model: &Model) -> Result<Inputs, Error> {
        Ok(Inputs {
            initial: self.start(walk, model)?,
            known: self.known(walk, model)?,
            shared: self.share_noise.map(|index| SharedNoise {
                index,
                start: self.share.contains(&Shared::Start),
                steps: self.share.contains(&Shared::Steps),
            }),
        })
    }

    fn start(&self, walk: &Walk, model: &Model) -> Result<Option<Initial>, Error> {
        if let Some(path) = &self.initial {
            return Ok(Some(Initial::States(read_states(path, model)?)));
        }
        if self.image.is_empty() {
            return if walk.encodes() {
                wrong("--sampler ddim-inverse encodes pictures: name some with --image")
            } else {
                Ok(None)
            };
        }
        match self.strength {
            None if !walk.encodes() && walk.program.is_none() => wrong(
                "--image needs --strength, such as 0.6, or --sampler ddim-inverse to encode it",
            ),
            Some(_) if walk.encodes() => {
                wrong("--sampler ddim-inverse encodes a picture as it is: leave out --strength")
            }
            strength => {
                let read: Result<Vec<Vec<Data>>, Error> =
                    self.image.iter().map(|path| read_images(path, model)).collect();
                let images = read?.into_iter().flatten().collect();
                Ok(Some(Initial::Images { images, strength }))
            }
        }
    }

    fn known(&self, walk: &Walk, model: &Model) -> Result<Option<Known>, Error> {
        let (Some(image), Some(mask)) = (&self.known, &self.mask) else { return Ok(None) };
        let method = self.method()?;
        let mut images = read_images(image, model)?;
        let (Some(known), true) = (images.pop(), images.is_empty()) else {
            return wrong(format!("{} holds several pictures, --known is one", image.display()));
        };
        let method = walk.program.is_none().then_some(method);
        Ok(Some(Known { image: known, mask: read_mask(mask, model)?, method }))
    }

    fn method(&self) -> Result<Inpaint, Error> {
        match self.inpaint.unwrap_or(Method::X0) {
            Method::Xt => Ok(Inpaint::ReplaceXt {
                resampling: self.resampling.unwrap_or(1),
                jump_length: self.jump_length.unwrap_or(1),
            }),
            Method::X0 if self.resampling.is_some() || self.jump_length.is_some() => {
                wrong("--resampling and --jump-length need --inpaint replace-xt")
            }
            Method::X0 => Ok(Inpaint::ReplaceX0),
        }
    }
}

impl Inputs {
    /// How many states or pictures samples start from; `None`: from noise.
    pub(crate) fn count(&self) -> Option<u32> {
        let count = match self.initial.as_ref()? {
            Initial::States(list) | Initial::Images { images: list, .. } => list.len(),
            Initial::Interpolation { frames, .. } => return Some(*frames),
        };
        u32::try_from(count).ok()
    }

    /// Puts them into `request`.
    pub(crate) fn apply(&self, request: Request) -> Request {
        let request = apply(request, self.initial.as_ref(), Request::initial);
        let request = apply(request, self.known.as_ref(), Request::known);
        apply(request, self.shared, Request::shared_noise)
    }
}

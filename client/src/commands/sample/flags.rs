//! The flags of `ddpm sample`, in three groups: which samples, how to walk from
//! noise to them, and what to write.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use ddpm_client::{Clip, DdimClipRule, DdpmVariance, Error, Frames, Grid, Indices, Sampler, files};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    pub(crate) model: String,

    #[command(flatten, next_help_heading = "Which samples")]
    pub(crate) which: Which,

    #[command(flatten, next_help_heading = "How to sample")]
    pub(crate) walk: Walk,

    #[command(flatten, next_help_heading = "What to write")]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// How many samples: the indices 0 to N - 1 [default: 16, or 1000 points].
    #[arg(long, short = 'n', value_name = "N", conflicts_with = "indices")]
    pub(crate) count: Option<NonZeroU32>,

    /// These samples and no others, such as 0-63,70.
    #[arg(long, value_name = "RANGES")]
    pub(crate) indices: Option<Indices>,

    /// Key of all noise; the same seed gives the same samples [default: the
    /// server picks one and it is printed].
    #[arg(long)]
    pub(crate) seed: Option<u64>,

    /// Class to condition on: its number or its name. Several, separated by
    /// commas, take turns: sample i gets the one at i mod their number.
    #[arg(long, visible_alias = "labels", value_name = "CLASS", value_delimiter = ',')]
    pub(crate) label: Vec<String>,

    /// Name for this request; it stands in the server's log.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) request_id: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Walk {
    /// Family of samplers [default: the model's].
    #[arg(long, value_enum)]
    pub(crate) sampler: Option<SamplerName>,

    /// Variance of each step; needs --sampler ddpm [default: the model's].
    #[arg(long, value_enum)]
    pub(crate) variance: Option<DdpmVariance>,

    /// Noise of each step relative to DDPM's, in [0, 1]; needs --sampler ddim
    /// [default: 0].
    #[arg(long)]
    pub(crate) eta: Option<f64>,

    /// What becomes of eps when x_0 was clipped; needs --sampler ddim [default:
    /// recompute].
    #[arg(long, value_enum)]
    pub(crate) clip_rule: Option<DdimClipRule>,

    /// Intervals of the time grid, from 1 to the model's timesteps [default: the
    /// model's].
    #[arg(long)]
    pub(crate) steps: Option<u32>,

    /// Which timesteps are visited [default: the model's].
    #[arg(long, value_enum)]
    pub(crate) grid: Option<Grid>,

    /// Whether predictions of x_0 are clipped [default: unit for pictures, none
    /// for points].
    #[arg(long, value_enum)]
    pub(crate) clip: Option<Clip>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// Folder to write into; it is created if need be.
    #[arg(long, short = 'o', value_name = "DIR", default_value = "samples")]
    pub(crate) out: PathBuf,

    /// How to write the samples [default: png for pictures, npy for points].
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,

    /// Write a picture of all samples even if it shows only one.
    #[arg(long, conflicts_with = "no_grid")]
    pub(crate) grid_image: bool,

    /// Do not write a picture of all samples.
    #[arg(long)]
    pub(crate) no_grid: bool,

    /// Write the denoising as a GIF [default path: in the folder].
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub(crate) gif: Option<Option<PathBuf>>,

    /// Write the denoising as an APNG, which keeps all colours.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub(crate) apng: Option<Option<PathBuf>>,

    /// Write the denoising as one picture: a row a sample, time from left to
    /// right.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub(crate) strip: Option<Option<PathBuf>>,

    /// What an animation or a strip shows: the noisy samples, the present predictions of
    /// the finished ones, or both side by side.
    #[arg(long, value_enum, default_value_t = Frames::Xt)]
    pub(crate) frames: Frames,

    /// Animate every N-th step [default: so that there are at most 60 frames].
    #[arg(long, value_name = "N")]
    pub(crate) every: Option<NonZeroU32>,

    /// Enlarge grids and animations: each pixel becomes K x K [default: so that
    /// a sample is at least 64 pixels wide].
    #[arg(long, value_name = "K")]
    pub(crate) scale: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplerName {
    /// Ancestral sampling: Ho et al. 2020.
    Ddpm,
    /// Denoising diffusion implicit models: Song et al. 2020.
    Ddim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// A PNG file a sample, with its receipt in text chunks. Pictures only.
    Png,
    /// One NumPy array of all samples: f32 in the model's scale, not clipped.
    Npy,
    /// The bytes of each sample as they come: u8 height x width x channels, or
    /// two little-endian f32 for a point.
    Raw,
}

impl Args {
    /// Creates the folders of all files that will be written, and tries them.
    pub(crate) fn prepare_folders(&self) -> Result<(), Error> {
        let output = &self.output;
        let named =
            [&output.gif, &output.apng, &output.strip].map(|path| path.as_ref()?.as_deref());
        let folders = named.into_iter().flatten().map(files::folder_of);
        folders
            .chain([self.output.out.as_path()])
            .try_for_each(|folder: &Path| files::prepare_folder(folder))
    }
}

impl Walk {
    /// The sampler with its options; `None`: the model's.
    pub(crate) fn sampler(&self) -> Result<Option<Sampler>, Error> {
        let (ddpm, ddim) = (self.variance, self.eta.is_some() || self.clip_rule.is_some());
        match self.sampler {
            Some(SamplerName::Ddpm) if !ddim => Ok(Some(Sampler::Ddpm { variance: ddpm })),
            Some(SamplerName::Ddim) if ddpm.is_none() => {
                Ok(Some(Sampler::Ddim { eta: self.eta.unwrap_or(0.0), clip_rule: self.clip_rule }))
            }
            None if ddpm.is_none() && !ddim => Ok(None),
            _ if ddim => Err(wrong("--eta and --clip-rule need --sampler ddim")),
            _ => Err(wrong("--variance needs --sampler ddpm")),
        }
    }
}

fn wrong(sentence: &str) -> Error {
    Error::Request(sentence.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &str) -> Args {
        let words = ["ddpm", "toy"].into_iter().chain(flags.split_whitespace());
        Alone::try_parse_from(words).unwrap().args
    }

    #[test]
    fn options_of_one_sampler_need_that_sampler() {
        let sampler = |flags: &str| parse(flags).walk.sampler();

        assert_eq!(sampler("").unwrap(), None);
        let ddim = Sampler::Ddim { eta: 0.5, clip_rule: Some(DdimClipRule::Keep) };
        assert_eq!(sampler("--sampler ddim --eta 0.5 --clip-rule keep").unwrap(), Some(ddim));
        let ddpm = Sampler::Ddpm { variance: Some(DdpmVariance::FixedLarge) };
        assert_eq!(sampler("--sampler ddpm --variance fixed-large").unwrap(), Some(ddpm));
        for wrong in ["--eta 0", "--sampler ddpm --eta 0", "--sampler ddim --variance learned"] {
            assert_eq!(sampler(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn labels_are_a_list_and_an_animation_may_name_its_path() {
        let args = parse("--labels ring,3 --gif --apng=a/b.png --frames both");

        assert_eq!(args.which.label, ["ring", "3"]);
        assert_eq!(args.output.gif, Some(None));
        assert_eq!(args.output.apng, Some(Some(PathBuf::from("a/b.png"))));
        assert_eq!(args.output.frames, Frames::Both);
    }
}

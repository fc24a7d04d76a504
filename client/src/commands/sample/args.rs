//! The arguments of `ddpm sample`: shared flags, and what to write.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ddpm_client::{Error, Frames, files};
use ddpm_console::at_least_one;

use crate::commands::flags::{EditingFlags, SamplingFlags, SelectionFlags, ServingFlags};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the model; `ddpm models` lists them.
    pub(crate) model: String,

    #[command(flatten, next_help_heading = "Which samples")]
    pub(crate) selection: SelectionFlags,

    #[command(flatten, next_help_heading = "How to sample")]
    pub(crate) sampling: SamplingFlags,

    #[command(flatten, next_help_heading = "What to start from")]
    pub(crate) editing: EditingFlags,

    #[command(flatten, next_help_heading = "How to serve")]
    pub(crate) serving: ServingFlags,

    #[command(flatten, next_help_heading = "What to write")]
    pub(crate) output: Output,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// Folder to write to; created if it does not exist.
    #[arg(long, short = 'o', value_name = "DIR", default_value = "samples")]
    pub(crate) out: PathBuf,

    /// File format of the samples [default: png for pictures, npy for points and
    /// for encoded pictures].
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,

    /// Write a picture of all samples even if there is only one.
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

    /// Write the denoising as one picture: one row per sample, time from left to
    /// right.
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub(crate) strip: Option<Option<PathBuf>>,

    /// What animations and strips show: the noisy samples, the current predictions of
    /// the finished ones, or both side by side.
    #[arg(long, value_enum, default_value_t = Frames::Xt)]
    pub(crate) frames: Frames,

    /// Show every N-th step [default: at most 60 frames].
    #[arg(long, value_name = "N", value_parser = at_least_one::<NonZeroU32>)]
    pub(crate) every: Option<NonZeroU32>,

    /// Enlarge grids and animations: each pixel becomes K x K [default: samples are
    /// at least 64 pixels wide].
    #[arg(long, value_name = "K", value_parser = at_least_one::<NonZeroU32>)]
    pub(crate) scale: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    /// One PNG file per sample, with its receipt in text chunks. Pictures only.
    Png,
    /// One NumPy array of all samples, in the order of their indices: float32 in the
    /// model's scale, (N, C, H, W) or (N, 2), not clipped.
    Npy,
    /// The bytes of each sample: u8 height x width x channels. Pictures only.
    U8,
}

impl Args {
    /// Creates the folders of all files to be written, and checks that they are writable.
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

#[cfg(test)]
impl Args {
    /// Parses `flags` for the model `m`.
    pub(crate) fn from_flags(flags: &str) -> Result<Self, clap::Error> {
        #[derive(Debug, clap::Parser)]
        struct Command {
            #[command(flatten)]
            args: Args,
        }
        let words = ["ddpm", "m"].into_iter().chain(flags.split_whitespace());
        <Command as clap::Parser>::try_parse_from(words).map(|command| command.args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_need_others_are_refused_without_them() {
        let wrong = [
            "--guidance-interval 1:2",
            "--strength 0.5",
            "--known a.png",
            "--mask a.png",
            "--resampling 2",
            "--share start",
            "--program a.json --steps 3",
            "--program a.json --sampler ddim",
            "--program a.json --share-noise 0",
            "--initial a.npy --image b.png",
            "--partial",
            "--deadline 0",
        ];
        for flags in wrong {
            assert!(Args::from_flags(flags).is_err(), "{flags}");
        }
    }

    #[test]
    fn labels_are_a_list_and_an_animation_may_have_a_path() {
        let args = Args::from_flags("--labels ring,3 --gif --apng=a/b.png --frames both").unwrap();

        assert_eq!(args.selection.label, ["ring,3"]);
        let repeated = Args::from_flags("--label dog,big --label 3").unwrap();
        assert_eq!(repeated.selection.label, ["dog,big", "3"]);
        assert_eq!(args.output.gif, Some(None));
        assert_eq!(args.output.apng, Some(Some(PathBuf::from("a/b.png"))));
        assert_eq!(args.output.frames, Frames::Both);
    }
}

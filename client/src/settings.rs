//! The settings of a request: samplers, grids, formats, previews.
//!
//! Samplers, grids and clip rules are those of [`ddpm_diffusion`] with their text
//! form. The names are those of the command line and of receipts in JSON.
//! "Unspecified" on the wire is `None` here.

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use ddpm_diffusion::Error as SpecError;
use ddpm_proto::convert::{
    self, Fault, clip_from_proto, grid_from_proto, sampler_from_proto, sampler_to_proto,
};
use ddpm_proto::v1;
use serde::{Serialize, Serializer};

pub use ddpm_diffusion::{
    Clip, ClippedEps, Form, GridSpec as Grid, Guidance, Inpaint, Sampler, SharedNoise,
    UniPcVariant, Variance,
};

use crate::error::Error;
use crate::program::Program;

/// Maps an enum to its mirror on the wire, and to its name as text.
macro_rules! mirrors {
    ($ours:ident, $wire:ident { $($variant:ident = $name:ident),+ }) => {
        #[allow(dead_code, reason = "some occur only in requests, some only in responses")]
        impl $ours {
            pub(crate) fn to_proto(self) -> i32 {
                match self {
                    $(Self::$variant => v1::$wire::$name.into(),)+
                }
            }

            /// Returns `Ok(None)` for unspecified.
            pub(crate) fn from_proto(value: i32) -> Result<Option<Self>, Error> {
                match v1::$wire::try_from(value) {
                    Ok(v1::$wire::Unspecified) => Ok(None),
                    $(Ok(v1::$wire::$name) => Ok(Some(Self::$variant)),)+
                    _ => Err(unknown(stringify!($wire), value)),
                }
            }
        }

        impl fmt::Display for $ours {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let value = self.to_possible_value().expect("no variant is skipped");
                f.write_str(value.get_name())
            }
        }
    };
}

fn unknown(what: &str, value: i32) -> Error {
    Error::Protocol(format!("{what} has the unknown value {value}; a newer client may know it"))
}

/// How to get from noise to data.
///
/// As text: `auto`, or a sampler such as `dpm++:order=3,form=heun`. Custom rows are
/// written as `program`, which cannot be parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum SamplerChoice {
    /// A sampler with its options.
    Sampler(Sampler),
    /// The server picks sampler and grid; the number of steps is a budget of
    /// evaluations. The receipt names its choice.
    Auto,
    /// Custom rows. A receipt holds none: its digest identifies them.
    Program(Program),
}

impl SamplerChoice {
    pub(crate) fn to_proto(&self) -> v1::Sampler {
        match self {
            Self::Sampler(sampler) => sampler_to_proto(*sampler),
            Self::Auto => v1::Sampler { kind: Some(v1::sampler::Kind::Auto(v1::Auto {})) },
            Self::Program(program) => {
                v1::Sampler { kind: Some(v1::sampler::Kind::Program(program.to_proto())) }
            }
        }
    }

    pub(crate) fn from_proto(sampler: Option<v1::Sampler>) -> Result<Self, Error> {
        let missing = || Error::Protocol("a sampler is missing".to_owned());
        Ok(
            match sampler_from_proto(sampler.ok_or_else(missing)?)
                .map_err(|fault| broken(&fault))?
            {
                convert::SamplerChoice::Sampler(sampler) => Self::Sampler(sampler),
                convert::SamplerChoice::Auto => Self::Auto,
                convert::SamplerChoice::Program(program) => {
                    Self::Program(Program::from_proto(program).map_err(Error::Protocol)?)
                }
            },
        )
    }
}

impl From<Sampler> for SamplerChoice {
    fn from(sampler: Sampler) -> Self {
        Self::Sampler(sampler)
    }
}

impl From<Program> for SamplerChoice {
    fn from(program: Program) -> Self {
        Self::Program(program)
    }
}

impl FromStr for SamplerChoice {
    type Err = String;

    /// Parses `auto` or a sampler.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            text => text.parse().map(Self::Sampler).map_err(|error: SpecError| error.to_string()),
        }
    }
}

impl fmt::Display for SamplerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sampler(sampler) => sampler.fmt(f),
            Self::Auto => f.write_str("auto"),
            Self::Program(_) => f.write_str("program"),
        }
    }
}

impl Serialize for SamplerChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a grid with its options; `None` if unspecified.
pub(crate) fn grid_from_wire(
    grid: i32,
    options: Option<v1::GridOptions>,
    num_steps: u32,
) -> Result<Option<Grid>, Error> {
    let wire = v1::Grid::try_from(grid).map_err(|_| unknown("Grid", grid))?;
    grid_from_proto(wire, options, Some(num_steps)).map_err(|fault| broken(&fault))
}

/// Reads a clip rule with its options; `None` if unspecified.
pub(crate) fn clip_from_wire(
    clip: i32,
    threshold: Option<v1::DynamicThreshold>,
) -> Result<Option<Clip>, Error> {
    let wire = v1::Clip::try_from(clip).map_err(|_| unknown("Clip", clip))?;
    clip_from_proto(wire, threshold).map_err(|fault| broken(&fault))
}

/// Reports a part of a response that cannot be read.
fn broken(fault: &Fault) -> Error {
    Error::Protocol(format!("{}: {}", fault.field, fault.description))
}

/// Writes a value as its text form.
pub(crate) fn as_text<T: fmt::Display, S: Serializer>(
    value: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

/// How the elements of samples and previews are encoded on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// One byte per element, height x width x channels. Pictures only.
    RawU8,
    /// f32 in the model's scale and layout, not clipped.
    RawF32,
    /// One PNG file per sample. Pictures of 1 or 3 channels only.
    Png,
}
mirrors!(Format, Format { RawU8 = RawU8, RawF32 = RawF32, Png = Png });

/// What one preview shows of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
pub enum PreviewKind {
    /// The noisy sample itself.
    #[serde(rename = "x_t")]
    #[value(name = "x_t")]
    Xt,
    /// The current prediction of the finished sample.
    #[serde(rename = "x_0")]
    #[value(name = "x_0")]
    X0,
}
mirrors!(PreviewKind, PreviewKind { Xt = XT, X0 = X0 });

/// Which previews a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
pub enum Frames {
    /// The current prediction of the finished sample.
    #[serde(rename = "x_0")]
    #[value(name = "x_0")]
    X0,
    /// The noisy sample itself.
    #[serde(rename = "x_t")]
    #[value(name = "x_t")]
    Xt,
    /// Both, side by side.
    #[serde(rename = "both")]
    Both,
}
mirrors!(Frames, PreviewKind { X0 = X0, Xt = XT, Both = Both });

/// What happens to previews that a slow client has not read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A newer preview replaces an older one; sampling never waits.
    Latest,
    /// Every preview is sent; the samples of this request wait for the reader.
    All,
}
mirrors!(Delivery, Delivery { Latest = Latest, All = All });

/// What goes first among the requests of one principal. It takes nothing from others, and
/// whatever waits grows older until it goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// After the others, for work that nobody waits for.
    Batch,
    /// Equal shares; short requests finish first.
    Normal,
    /// Before the others, for somebody who waits.
    Interactive,
}
mirrors!(Priority, Priority { Batch = Batch, Normal = Normal, Interactive = Interactive });

/// What is promised of the bits of samples on one fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Determinism {
    /// Samples may differ in the last bits with what shares their calls of the network.
    Relaxed,
    /// The same bits whatever shares their calls; refused where the server could not prove it.
    Strict,
}
mirrors!(Determinism, Determinism { Relaxed = Relaxed, Strict = Strict });

/// What happens when the deadline of a run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum OnDeadline {
    /// What cannot make it is refused at once; what misses it nevertheless ends with an error.
    Fail,
    /// The run is completed with the samples that are done;
    /// [`Completed::unfinished`](crate::Completed::unfinished) counts the others.
    ReturnFinished,
}
mirrors!(OnDeadline, OnDeadline { Fail = Fail, ReturnFinished = ReturnFinished });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_is_named_by_its_text_and_so_is_the_servers_choice() {
        for text in ["ddim:eta=0.25,clip-rule=keep-eps", "dpm++:order=3,form=heun", "auto"] {
            let choice: SamplerChoice = text.parse().unwrap();

            assert_eq!(choice.to_string(), text);
            assert_eq!(SamplerChoice::from_proto(Some(choice.to_proto())).unwrap(), choice);
        }
        let sentence = "ddmp".parse::<SamplerChoice>().unwrap_err();
        assert!(sentence.contains("`ddmp`") && sentence.contains("dpm++"), "{sentence}");
    }

    #[test]
    fn an_unknown_number_is_an_error_and_unspecified_is_none() {
        assert_eq!(grid_from_wire(0, None, 5).unwrap(), None);
        assert_eq!(grid_from_wire(4, None, 5).unwrap(), Some(Grid::Quadratic));
        assert!(matches!(grid_from_wire(99, None, 5), Err(Error::Protocol(_))));
        assert!(matches!(clip_from_wire(99, None), Err(Error::Protocol(_))));
        // A preview is of one kind: "both" exists in requests only.
        assert!(matches!(PreviewKind::from_proto(3), Err(Error::Protocol(_))));
    }
}

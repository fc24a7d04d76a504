//! What a user names on the command line: which data, and where it lies.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::DataError;
use super::toy::ToyKind;

/// Items of a procedural set when its name comes without a count.
const DEFAULT_POINTS: usize = 100_000;
const DEFAULT_GLYPHS: usize = 50_000;
/// Most items of a procedural set: 2^24 glyphs of 16×16 are 12 GiB.
const MAX_COUNT: usize = 1 << 24;

/// A data set: procedural ones by name and count, the others by format and folder.
///
/// Its text form is what [`FromStr`] reads and [`Display`](fmt::Display) writes: `gaussian8`, `glyphs:5000`,
/// `mnist:DIR`, `cifar10:DIR`, `folder:DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Points in the plane, from a formula.
    Toy {
        /// Which formula.
        kind: ToyKind,
        /// How many points.
        size: usize,
    },
    /// Pictures in MNIST's file format, whatever their size: the folder.
    Idx(PathBuf),
    /// CIFAR-10, binary version: the folder.
    Cifar10(PathBuf),
    /// Any pictures below a folder.
    Folder(PathBuf),
    /// Procedurally drawn digits and shapes in colour.
    Glyphs {
        /// How many pictures.
        size: usize,
    },
}

impl FromStr for Source {
    type Err = DataError;

    fn from_str(given: &str) -> Result<Self, DataError> {
        let (name, argument) = match given.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (given, None),
        };
        let toy = |kind| Ok(Self::Toy { kind, size: count(given, argument, DEFAULT_POINTS)? });
        match name {
            "swissroll" => toy(ToyKind::SwissRoll),
            "gaussian8" => toy(ToyKind::Gaussian8),
            "gaussian25" => toy(ToyKind::Gaussian25),
            "glyphs" => Ok(Self::Glyphs { size: count(given, argument, DEFAULT_GLYPHS)? }),
            "mnist" => folder(given, argument).map(Self::Idx),
            "cifar10" => folder(given, argument).map(Self::Cifar10),
            "folder" => folder(given, argument).map(Self::Folder),
            _ => Err(refuse(given, format!("there is none called `{name}`"))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toy { kind, size } => write!(f, "{kind}:{size}"),
            Self::Idx(dir) => write!(f, "mnist:{}", dir.display()),
            Self::Cifar10(dir) => write!(f, "cifar10:{}", dir.display()),
            Self::Folder(dir) => write!(f, "folder:{}", dir.display()),
            Self::Glyphs { size } => write!(f, "glyphs:{size}"),
        }
    }
}

fn count(given: &str, argument: Option<&str>, default: usize) -> Result<usize, DataError> {
    let Some(argument) = argument else { return Ok(default) };
    match argument.parse() {
        Ok(count @ 1..=MAX_COUNT) => Ok(count),
        _ => Err(refuse(given, format!("the count must be in 1..={MAX_COUNT}, got `{argument}`"))),
    }
}

fn folder(given: &str, argument: Option<&str>) -> Result<PathBuf, DataError> {
    match argument {
        None | Some("") => Err(refuse(given, "it needs a folder after a colon".to_owned())),
        Some(dir) => Ok(PathBuf::from(dir)),
    }
}

fn refuse(given: &str, problem: String) -> DataError {
    DataError::Source { given: given.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_back_from_its_own_text() {
        for text in [
            "swissroll:7",
            "gaussian8:1",
            "gaussian25:100000",
            "glyphs:16",
            "mnist:a/b",
            "cifar10:/c:d",
            "folder:.",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_procedural_set_has_a_default_size() {
        assert_eq!("glyphs".parse::<Source>().unwrap(), Source::Glyphs { size: 50_000 });
        assert_eq!(
            "swissroll".parse::<Source>().unwrap(),
            Source::Toy { kind: ToyKind::SwissRoll, size: 100_000 }
        );
    }

    #[test]
    fn a_name_that_is_no_data_set_is_refused_with_the_ones_there_are() {
        let message = "photos".parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("there is none called `photos`"), "{message}");
        assert!(message.contains("folder:DIR"), "{message}");
    }

    #[test]
    fn a_count_or_a_folder_that_makes_no_sense_is_refused() {
        for text in [
            "glyphs:0",
            "glyphs:many",
            "swissroll:-3",
            "glyphs:99999999999",
            "mnist",
            "folder:",
            "",
        ] {
            assert!(matches!(text.parse::<Source>(), Err(DataError::Source { .. })), "{text}");
        }
    }
}

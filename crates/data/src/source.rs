//! The data set named on the command line, and where it lies.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{fmt, io};

use crate::toy::ToyKind;
use crate::{DataError, Split};

/// Default number of items of a procedural set.
const DEFAULT_POINTS: usize = 100_000;
const DEFAULT_GLYPHS: usize = 50_000;
/// Largest number of items of a procedural set: 2^24 glyphs of 16×16 are 12 GiB.
const MAX_COUNT: usize = 1 << 24;

/// A data set: a procedural one by name and count, any other by format and path.
///
/// [`FromStr`] reads and [`Display`](fmt::Display) writes the text form: `gaussian8`,
/// `gaussian8-labels`, `glyphs:5000`, `mnist:DIR`, `cifar10:PATH`, `celeba:PATH`, `celebahq:PATH`,
/// `lsun:PATH`, `parquet:PATH`, `folder:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Points in the plane, drawn from a formula.
    Toy {
        /// Which formula.
        kind: ToyKind,
        /// Number of points.
        size: usize,
        /// Whether each point is labelled with its mode; never for the Swiss roll, which has none.
        labels: bool,
    },
    /// Pictures of any size in MNIST's file format: the folder.
    Idx(PathBuf),
    /// CIFAR-10, either version: the folder or the `.tar.gz`.
    Cifar10(PathBuf),
    /// CelebA's aligned faces: the folder or the zip archive.
    CelebA(PathBuf),
    /// CelebA-HQ: the folder or a zip archive.
    CelebAHq(PathBuf),
    /// LSUN, or other pictures in LMDB: a folder with a `data.mdb`, or the parent of such folders.
    Lsun(PathBuf),
    /// A table of pictures as Hugging Face stores them: one `.parquet` file, or a folder of them.
    Parquet(PathBuf),
    /// All pictures below a folder, or in a zip archive.
    Folder(PathBuf),
    /// Procedurally drawn digits and shapes in colour.
    Glyphs {
        /// Number of pictures.
        size: usize,
    },
}

impl FromStr for Source {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let (name, argument) = match text.split_once(':') {
            Some((name, argument)) => (name, Some(argument)),
            None => (text, None),
        };
        let toy = |kind, labels| {
            Ok(Self::Toy { kind, size: count(text, argument, DEFAULT_POINTS)?, labels })
        };
        match name {
            "swissroll" => toy(ToyKind::SwissRoll, false),
            "gaussian8" => toy(ToyKind::Gaussian8, false),
            "gaussian8-labels" => toy(ToyKind::Gaussian8, true),
            "gaussian25" => toy(ToyKind::Gaussian25, false),
            "gaussian25-labels" => toy(ToyKind::Gaussian25, true),
            "glyphs" => Ok(Self::Glyphs { size: count(text, argument, DEFAULT_GLYPHS)? }),
            "mnist" => path(text, argument).map(Self::Idx),
            "cifar10" => path(text, argument).map(Self::Cifar10),
            "celeba" => path(text, argument).map(Self::CelebA),
            "celebahq" => path(text, argument).map(Self::CelebAHq),
            "lsun" => path(text, argument).map(Self::Lsun),
            "parquet" => path(text, argument).map(Self::Parquet),
            "folder" => path(text, argument).map(Self::Folder),
            _ if Path::new(text).exists() => {
                Err(refuse(text, format!("for the pictures in it, write folder:{text}")))
            }
            _ => Err(refuse(text, format!("there is none called `{name}`"))),
        }
    }
}

impl Source {
    /// Lists the parts that the data set may have. Which ones a folder, an archive or a table has,
    /// its names tell when it is loaded.
    #[must_use]
    pub fn splits(&self) -> &'static [Split] {
        match self {
            // Valid and test are other draws of the same distribution.
            Self::Toy { .. } | Self::Glyphs { .. } => &[Split::Train, Split::Valid, Split::Test],
            Self::Idx(_) | Self::Cifar10(_) => &[Split::Train, Split::Test],
            Self::CelebA(_) | Self::Lsun(_) | Self::Parquet(_) | Self::Folder(_) => {
                &[Split::Train, Split::Valid, Split::Test, Split::All]
            }
            Self::CelebAHq(_) => &[Split::Train, Split::All],
        }
    }

    /// Returns the split that the reference trains on: all of CelebA, otherwise the train split.
    #[must_use]
    pub fn default_split(&self) -> Split {
        match self {
            Self::CelebA(_) => Split::All,
            _ => Split::Train,
        }
    }

    /// Makes the path absolute, so that the source can be loaded from any folder.
    ///
    /// # Errors
    ///
    /// If the current folder cannot be determined.
    pub fn absolute(mut self) -> io::Result<Self> {
        if let Some(path) = self.path_mut() {
            *path = std::path::absolute(&*path)?;
        }
        Ok(self)
    }

    /// Returns the path of the data; `None` for procedural sets.
    pub fn path_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Self::Idx(path)
            | Self::Cifar10(path)
            | Self::CelebA(path)
            | Self::CelebAHq(path)
            | Self::Lsun(path)
            | Self::Parquet(path)
            | Self::Folder(path) => Some(path),
            Self::Toy { .. } | Self::Glyphs { .. } => None,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toy { kind, size, labels: false } => write!(f, "{kind}:{size}"),
            Self::Toy { kind, size, labels: true } => write!(f, "{kind}-labels:{size}"),
            Self::Idx(dir) => write!(f, "mnist:{}", dir.display()),
            Self::Cifar10(path) => write!(f, "cifar10:{}", path.display()),
            Self::CelebA(path) => write!(f, "celeba:{}", path.display()),
            Self::CelebAHq(path) => write!(f, "celebahq:{}", path.display()),
            Self::Lsun(path) => write!(f, "lsun:{}", path.display()),
            Self::Parquet(path) => write!(f, "parquet:{}", path.display()),
            Self::Folder(path) => write!(f, "folder:{}", path.display()),
            Self::Glyphs { size } => write!(f, "glyphs:{size}"),
        }
    }
}

fn count(text: &str, argument: Option<&str>, default: usize) -> Result<usize, DataError> {
    let Some(argument) = argument else { return Ok(default) };
    match argument.parse() {
        Ok(count @ 1..=MAX_COUNT) => Ok(count),
        _ => Err(refuse(text, format!("the count must be in 1..={MAX_COUNT}, got `{argument}`"))),
    }
}

fn path(text: &str, argument: Option<&str>) -> Result<PathBuf, DataError> {
    match argument {
        None | Some("") => Err(refuse(text, "it needs a folder or file after a colon".to_owned())),
        Some(path) => Ok(PathBuf::from(path)),
    }
}

fn refuse(text: &str, problem: String) -> DataError {
    DataError::Source { name: text.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_back_from_its_own_text() {
        for text in [
            "swissroll:7",
            "gaussian8:1",
            "gaussian8-labels:9",
            "gaussian25:100000",
            "gaussian25-labels:3",
            "glyphs:16",
            "mnist:a/b",
            "cifar10:/c:d",
            "celeba:faces",
            "celebahq:faces.zip",
            "lsun:bedroom_train_lmdb",
            "parquet:a/train.parquet",
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
            Source::Toy { kind: ToyKind::SwissRoll, size: 100_000, labels: false }
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_a_list_of_the_known_ones() {
        let message = "photos".parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("there is none called `photos`"), "{message}");
        assert!(message.contains("folder:PATH"), "{message}");
    }

    #[test]
    fn a_folder_without_its_format_is_refused_with_what_to_write() {
        let message = "src".parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("write folder:src"), "{message}");
    }

    #[test]
    fn an_invalid_count_or_a_missing_path_is_refused() {
        for text in [
            "swissroll-labels",
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

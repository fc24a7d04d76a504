//! What a user names on the command line: which data, and where it lies.

use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, io};

use super::toy::ToyKind;
use super::{DataError, Split};

/// Items of a procedural set when its name comes without a count.
const DEFAULT_POINTS: usize = 100_000;
const DEFAULT_GLYPHS: usize = 50_000;
/// Most items of a procedural set: 2^24 glyphs of 16×16 are 12 GiB.
const MAX_COUNT: usize = 1 << 24;

/// A data set: procedural ones by name and count, the others by format and folder.
///
/// Its text form is what [`FromStr`] reads and [`Display`](fmt::Display) writes: `gaussian8`, `gaussian8-labels`,
/// `glyphs:5000`, `mnist:DIR`, `cifar10:PATH`, `celeba:PATH`, `celebahq:PATH`, `lsun:PATH`,
/// `parquet:PATH`, `folder:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Points in the plane, from a formula.
    Toy {
        /// Which formula.
        kind: ToyKind,
        /// How many points.
        size: usize,
        /// Whether each point comes with the number of its mode; never for the Swiss roll, which has none.
        labels: bool,
    },
    /// Pictures in MNIST's file format, whatever their size: the folder.
    Idx(PathBuf),
    /// CIFAR-10, either version: the folder or the `.tar.gz`.
    Cifar10(PathBuf),
    /// CelebA's aligned faces: the folder or the zip archive.
    CelebA(PathBuf),
    /// CelebA-HQ: the folder or a zip archive.
    CelebAHq(PathBuf),
    /// LSUN, or other pictures in LMDB: a folder with a `data.mdb`, or one with such folders in it.
    Lsun(PathBuf),
    /// A table of pictures as Hugging Face stores them: one `.parquet` file, or a folder of them.
    Parquet(PathBuf),
    /// Any pictures below a folder, or in a zip archive.
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
        let toy = |kind, labels| {
            Ok(Self::Toy { kind, size: count(given, argument, DEFAULT_POINTS)?, labels })
        };
        match name {
            "swissroll" => toy(ToyKind::SwissRoll, false),
            "gaussian8" => toy(ToyKind::Gaussian8, false),
            "gaussian8-labels" => toy(ToyKind::Gaussian8, true),
            "gaussian25" => toy(ToyKind::Gaussian25, false),
            "gaussian25-labels" => toy(ToyKind::Gaussian25, true),
            "glyphs" => Ok(Self::Glyphs { size: count(given, argument, DEFAULT_GLYPHS)? }),
            "mnist" => path(given, argument).map(Self::Idx),
            "cifar10" => path(given, argument).map(Self::Cifar10),
            "celeba" => path(given, argument).map(Self::CelebA),
            "celebahq" => path(given, argument).map(Self::CelebAHq),
            "lsun" => path(given, argument).map(Self::Lsun),
            "parquet" => path(given, argument).map(Self::Parquet),
            "folder" => path(given, argument).map(Self::Folder),
            _ => Err(refuse(given, format!("there is none called `{name}`"))),
        }
    }
}

impl Source {
    /// The parts that the data set comes in.
    #[must_use]
    pub fn splits(&self) -> &'static [Split] {
        match self {
            // Valid and test are other draws of the same distribution.
            Self::Toy { .. } | Self::Glyphs { .. } => &[Split::Train, Split::Valid, Split::Test],
            Self::Idx(_) | Self::Cifar10(_) => &[Split::Train, Split::Test],
            Self::CelebA(_) | Self::Lsun(_) | Self::Parquet(_) => {
                &[Split::Train, Split::Valid, Split::Test, Split::All]
            }
            Self::CelebAHq(_) | Self::Folder(_) => &[Split::Train, Split::All],
        }
    }

    /// What the reference trains on: all of CelebA, of other data sets the train split.
    #[must_use]
    pub fn default_split(&self) -> Split {
        match self {
            Self::CelebA(_) => Split::All,
            _ => Split::Train,
        }
    }

    /// The same source from wherever it is loaded again.
    ///
    /// # Errors
    ///
    /// If the system does not tell the current folder.
    pub fn absolute(mut self) -> io::Result<Self> {
        if let Some(path) = self.path_mut() {
            *path = std::path::absolute(&*path)?;
        }
        Ok(self)
    }

    /// Where the data lies; `None` for procedural sets.
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

fn count(given: &str, argument: Option<&str>, default: usize) -> Result<usize, DataError> {
    let Some(argument) = argument else { return Ok(default) };
    match argument.parse() {
        Ok(count @ 1..=MAX_COUNT) => Ok(count),
        _ => Err(refuse(given, format!("the count must be in 1..={MAX_COUNT}, got `{argument}`"))),
    }
}

fn path(given: &str, argument: Option<&str>) -> Result<PathBuf, DataError> {
    match argument {
        None | Some("") => Err(refuse(given, "it needs a folder or file after a colon".to_owned())),
        Some(path) => Ok(PathBuf::from(path)),
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
    fn a_name_that_is_no_data_set_is_refused_with_the_ones_there_are() {
        let message = "photos".parse::<Source>().unwrap_err().to_string();
        assert!(message.contains("there is none called `photos`"), "{message}");
        assert!(message.contains("folder:PATH"), "{message}");
    }

    #[test]
    fn a_count_or_a_folder_that_makes_no_sense_is_refused() {
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

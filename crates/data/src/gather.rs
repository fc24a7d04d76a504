//! Gathers pictures into one block of memory: in parallel, in order, a bounded number at a time.
//!
//! Besides the pictures kept, memory holds those of one portion only, so loading a set takes little
//! more memory than the set itself. Everything is decoded before training begins, so a broken
//! picture never shows up later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::names::shown;
use crate::picture::{self, Decoded, Form};
use crate::pictures::Pictures;
use crate::places::found_in;
use crate::remarks::{Ignored, Remarks};
use crate::{Background, DataError, LoadOptions, OnBroken};

/// Pictures decoded in parallel before they are moved into the block.
const PORTION: usize = 256;

/// The pictures of a set, and what was left out.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) pictures: Pictures,
    /// Numbers of the pictures kept, increasing.
    pub(crate) kept: Vec<usize>,
    /// Their names in messages.
    pub(crate) paths: Vec<PathBuf>,
    /// The pictures left out, each with the reason.
    pub(crate) skipped: Vec<(PathBuf, String)>,
    /// Sizes and colours of the kept pictures in their files, with counts.
    pub(crate) forms: BTreeMap<Form, usize>,
    pub(crate) remarks: Remarks,
}

/// Why a file or a row does not become a picture of the set.
#[derive(Debug)]
pub(crate) enum LeftOut {
    /// It should be one and cannot be used: the reason, as text that follows its name.
    Broken(String),
    /// It is something else, and does not claim to be a picture.
    Ignored,
}

impl From<String> for LeftOut {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

impl From<&str> for LeftOut {
    fn from(reason: &str) -> Self {
        Self::Broken(reason.to_owned())
    }
}

/// Collects the pictures of one set.
#[derive(Debug)]
pub(crate) struct Gather {
    root: PathBuf,
    expected: usize,
    on_broken: OnBroken,
    added: usize,
    joined: Option<Pictures>,
    kept: Vec<usize>,
    paths: Vec<PathBuf>,
    skipped: Vec<(PathBuf, String)>,
    forms: BTreeMap<Form, usize>,
    remarks: Remarks,
}

/// How a decoded picture becomes what training sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Preparation {
    pub(crate) image_size: Option<usize>,
    pub(crate) greyscale: bool,
    pub(crate) background: Background,
}

impl Preparation {
    /// Takes size, colour and background from the options.
    pub(crate) fn from_options(options: &LoadOptions) -> Self {
        Self {
            image_size: options.image_size,
            greyscale: options.greyscale,
            background: options.background,
        }
    }

    /// Decodes a picture and [applies](Self::apply) itself.
    ///
    /// # Errors
    ///
    /// As [`picture::decode`].
    pub(crate) fn decode(self, bytes: &[u8]) -> Result<Decoded, String> {
        Ok(picture::decode(bytes, self.background)?.map(|picture| self.apply(picture)))
    }

    /// Reduces to grey, crops to the centre square and resizes, each if requested.
    pub(crate) fn apply(self, picture: Pictures) -> Pictures {
        let picture = if self.greyscale { picture.into_greyscale() } else { picture };
        match self.image_size {
            Some(size) => picture.fitted(size),
            None => picture,
        }
    }
}

impl Gather {
    /// Starts empty.
    ///
    /// * `root`: the folder or file of the pictures, for messages.
    /// * `expected`: the largest number of pictures to come.
    pub(crate) fn new(root: &Path, expected: usize, on_broken: OnBroken) -> Self {
        Self {
            root: root.to_path_buf(),
            expected,
            on_broken,
            added: 0,
            joined: None,
            kept: Vec::new(),
            paths: Vec::new(),
            skipped: Vec::new(),
            forms: BTreeMap::new(),
            remarks: Remarks::default(),
        }
    }

    /// Adds `count` pictures, decoded on all cores.
    ///
    /// * `path`: the name of picture i in messages, for i in 0..count.
    /// * `picture`: picture i, prepared; or why there is none.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if one is not square or differs in size from the first,
    /// [`DataError::Memory`] if the expected pictures do not fit into memory.
    pub(crate) fn add(
        &mut self,
        count: usize,
        path: impl Fn(usize) -> PathBuf,
        picture: impl Fn(usize) -> Result<Decoded, LeftOut> + Sync,
    ) -> Result<(), DataError> {
        for begin in (0..count).step_by(PORTION) {
            let portion = PORTION.min(count - begin);
            let decoded = (begin..begin + portion).into_par_iter().map(&picture);
            for (i, outcome) in (begin..).zip(decoded.collect::<Vec<_>>()) {
                match outcome {
                    Ok(decoded) => self.keep(decoded, path(i))?,
                    Err(LeftOut::Broken(reason)) => self.skipped.push((path(i), reason)),
                    Err(LeftOut::Ignored) => self.remarks.ignored.add(&path(i)),
                }
                self.added += 1;
            }
        }
        Ok(())
    }

    /// Records something that should be a picture but is not.
    pub(crate) fn skip(&mut self, path: PathBuf, reason: &str) {
        self.skipped.push((path, reason.to_owned()));
    }

    /// Sets the largest number of pictures to come.
    pub(crate) fn expect(&mut self, count: usize) {
        self.expected = count;
    }

    /// Counts files that are no pictures.
    pub(crate) fn ignore(&mut self, files: &Ignored) {
        self.remarks.ignored.join(files);
    }

    /// Passes over pictures that cannot be numbered one by one, so that the next has number `next`.
    pub(crate) fn go_on_at(&mut self, next: usize) {
        self.added = next;
    }

    /// Moves a picture into the block. All must be squares of one size, which resizing guarantees.
    fn keep(&mut self, decoded: Decoded, path: PathBuf) -> Result<(), DataError> {
        let Decoded { picture, form, transparent, has_more } = decoded;
        let size = self.joined.as_ref().map_or(picture.height, |joined| joined.height);
        if (picture.height, picture.width) != (size, size) {
            let problem = format!(
                "it is {}x{} pixels, but without `--image-size` all pictures must be squares of \
                 one size",
                picture.width, picture.height
            );
            return Err(DataError::format(&path, problem));
        }
        match &mut self.joined {
            Some(joined) => joined.pixels.extend(picture.pixels),
            None => self.joined = Some(self.with_room(picture)?),
        }
        self.kept.push(self.added);
        self.paths.push(path);
        *self.forms.entry(form).or_default() += 1;
        self.remarks.transparent += usize::from(transparent);
        self.remarks.first_frames += usize::from(has_more);
        Ok(())
    }

    /// Returns the first picture in a block with room for all of them.
    fn with_room(&self, first: Pictures) -> Result<Pictures, DataError> {
        let mut pixels = Vec::new();
        let bytes = first.picture_len().saturating_mul(self.expected);
        pixels.try_reserve_exact(bytes).map_err(|_| DataError::Memory {
            path: self.root.clone(),
            pictures: self.expected,
            bytes,
        })?;
        pixels.extend(first.pixels);
        Ok(Pictures { pixels, ..first })
    }

    /// Returns what was gathered.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if no picture can be used, [`DataError::Broken`] if one cannot and
    /// broken pictures are refused.
    pub(crate) fn finish(mut self) -> Result<Gathered, DataError> {
        self.skipped.sort();
        let first = self.skipped.first();
        let Some(mut pictures) = self.joined else {
            let mut problem = match first {
                Some((path, reason)) => format!(
                    "none of its {} pictures can be used; the first is {}: {reason}",
                    self.skipped.len(),
                    shown(path)
                ),
                None => "it contains no picture".to_owned(),
            };
            if let Some(others) = self.remarks.ignored.summary() {
                problem += &format!("; {others}");
            }
            if self.root.is_dir() {
                problem += &format!("; {}", found_in(&self.root));
            }
            return Err(DataError::missing(&self.root, problem));
        };
        if let (OnBroken::Refuse, Some((path, reason))) = (self.on_broken, first) {
            return Err(DataError::Broken {
                broken: self.skipped.len(),
                total: self.kept.len() + self.skipped.len(),
                first: path.clone(),
                reason: reason.clone(),
            });
        }
        pictures.pixels.shrink_to_fit();
        Ok(Gathered {
            pictures,
            kept: self.kept,
            paths: self.paths,
            skipped: self.skipped,
            forms: self.forms,
            remarks: self.remarks,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: u8) -> Decoded {
        let picture = Pictures { channels: 1, height: 1, width: 1, pixels: vec![value] };
        let form = Form { width: 1, height: 1, colour: "grey" };
        Decoded { picture, form, transparent: false, has_more: false }
    }

    fn odd_is_broken(i: usize) -> Result<Decoded, LeftOut> {
        if i % 2 == 1 { Err("odd".into()) } else { Ok(grey((i % 256) as u8)) }
    }

    fn path(i: usize) -> PathBuf {
        PathBuf::from(format!("{i:06}"))
    }

    #[test]
    fn pictures_stay_in_order_over_many_portions() {
        let count = 3 * PORTION + 17;
        let mut gather = Gather::new(Path::new("here"), count, OnBroken::Skip);
        gather.add(count, path, odd_is_broken).unwrap();
        let all = gather.finish().unwrap();
        let even: Vec<usize> = (0..count).step_by(2).collect();
        assert_eq!(all.pictures.pixels, even.iter().map(|i| (i % 256) as u8).collect::<Vec<_>>());
        assert_eq!(all.kept, even);
        let odd: Vec<_> = (1..count).step_by(2).map(|i| (path(i), "odd".to_owned())).collect();
        assert_eq!(all.skipped, odd);
        assert_eq!(all.forms.values().sum::<usize>(), even.len());
    }

    #[test]
    fn numbers_run_on_from_one_addition_to_the_next() {
        let mut gather = Gather::new(Path::new("here"), 5, OnBroken::Skip);
        gather.add(2, path, odd_is_broken).unwrap();
        gather.add(3, path, odd_is_broken).unwrap();
        assert_eq!(gather.finish().unwrap().kept, [0, 2, 4]);
    }

    #[test]
    fn a_set_too_large_for_memory_is_refused_before_it_is_read() {
        let mut gather = Gather::new(Path::new("here"), usize::MAX, OnBroken::Skip);
        let error = gather.add(1, path, odd_is_broken).unwrap_err();
        assert!(matches!(error, DataError::Memory { .. }), "{error}");
        assert!(error.to_string().contains("--image-size"), "{error}");
    }
}

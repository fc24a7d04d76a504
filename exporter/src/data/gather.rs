//! From pictures that may be broken to one block of memory: in parallel, in order, a bounded number at a time.
//!
//! Memory holds what is kept, and besides it the pictures of one portion, so a set needs little more to be loaded
//! than it takes in the end. All of it is decoded before training begins: nothing that is broken shows up later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::picture::{Decoded, Form};
use super::pictures::Pictures;
use super::{DataError, LoadOptions, OnBroken};

/// Pictures decoded side by side before they are put into the block.
const PORTION: usize = 256;

/// What became of the pictures of a set.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) pictures: Pictures,
    /// The numbers of those that are in `pictures`, increasing.
    pub(super) kept: Vec<usize>,
    /// What messages call them.
    pub(super) paths: Vec<PathBuf>,
    /// The others, each with the reason.
    pub(super) skipped: Vec<(PathBuf, String)>,
    /// What the kept ones were in their files, and how many of each.
    pub(super) forms: BTreeMap<Form, usize>,
}

/// Collects the pictures of one set.
#[derive(Debug)]
pub(super) struct Gather {
    root: PathBuf,
    expected: usize,
    on_broken: OnBroken,
    added: usize,
    joined: Option<Pictures>,
    kept: Vec<usize>,
    paths: Vec<PathBuf>,
    skipped: Vec<(PathBuf, String)>,
    forms: BTreeMap<Form, usize>,
}

/// How a picture is brought to what training sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preparation {
    pub(super) image_size: Option<usize>,
    pub(super) greyscale: bool,
}

impl Preparation {
    /// What the user asked for.
    pub(super) fn asked(options: &LoadOptions) -> Self {
        Self { image_size: options.image_size, greyscale: options.greyscale }
    }

    /// Reduces to grey, crops to the centre square and resizes, as far as that is asked for.
    pub(super) fn apply(self, picture: Pictures) -> Pictures {
        let picture = if self.greyscale { picture.into_greyscale() } else { picture };
        match self.image_size {
            Some(size) => picture.fitted(size),
            None => picture,
        }
    }
}

impl Gather {
    /// Begins with nothing.
    ///
    /// * `root`: the folder or file that the pictures come from, for messages.
    /// * `expected`: how many pictures there will be at most.
    pub(super) fn new(root: &Path, expected: usize, on_broken: OnBroken) -> Self {
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
        }
    }

    /// Adds `count` pictures, decoded on all cores.
    ///
    /// * `path`: what a message calls picture i, for i in 0..count.
    /// * `picture`: picture i, prepared; or why there is none, in words that fit after its name.
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] if one is not square or not of the size of the first, [`DataError::Memory`] if there is
    /// no memory for all that are expected.
    pub(super) fn add(
        &mut self,
        count: usize,
        path: impl Fn(usize) -> PathBuf,
        picture: impl Fn(usize) -> Result<Decoded, String> + Sync,
    ) -> Result<(), DataError> {
        for begin in (0..count).step_by(PORTION) {
            let portion = PORTION.min(count - begin);
            let decoded = (begin..begin + portion).into_par_iter().map(&picture);
            for (i, outcome) in (begin..).zip(decoded.collect::<Vec<_>>()) {
                match outcome {
                    Ok(decoded) => self.keep(decoded, path(i))?,
                    Err(reason) => self.skipped.push((path(i), reason)),
                }
                self.added += 1;
            }
        }
        Ok(())
    }

    /// Leaves out something that should be a picture and is none.
    pub(super) fn skip(&mut self, path: PathBuf, reason: &str) {
        self.skipped.push((path, reason.to_owned()));
    }

    /// Pictures must be squares of one size, which fitting them has made sure of.
    fn keep(&mut self, decoded: Decoded, path: PathBuf) -> Result<(), DataError> {
        let Decoded { picture, form } = decoded;
        let size = self.joined.as_ref().map_or(picture.height, |joined| joined.height);
        if (picture.height, picture.width) != (size, size) {
            let problem = format!(
                "it is {}x{} pixels, and without `--image-size` all pictures must be squares of one size",
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
        Ok(())
    }

    /// The first picture, in a block that has room for all of them.
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

    /// What was gathered.
    ///
    /// # Errors
    ///
    /// [`DataError::Missing`] if no picture can be used, [`DataError::Broken`] if one cannot and the user wants to
    /// know.
    pub(super) fn finish(mut self) -> Result<Gathered, DataError> {
        self.skipped.sort();
        let first = self.skipped.first();
        let Some(mut pictures) = self.joined else {
            let problem = match first {
                Some((path, reason)) => format!(
                    "none of its {} pictures can be used; the first is {}: {reason}",
                    self.skipped.len(),
                    path.display()
                ),
                None => "there is no picture in it".to_owned(),
            };
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(value: u8) -> Decoded {
        let picture = Pictures { channels: 1, height: 1, width: 1, pixels: vec![value] };
        Decoded { picture, form: Form { width: 1, height: 1, colour: "grey" } }
    }

    fn odd_is_broken(i: usize) -> Result<Decoded, String> {
        if i % 2 == 1 { Err("odd".to_owned()) } else { Ok(grey((i % 256) as u8)) }
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
    fn a_set_that_no_memory_holds_is_refused_before_it_is_read() {
        let mut gather = Gather::new(Path::new("here"), usize::MAX, OnBroken::Skip);
        let error = gather.add(1, path, odd_is_broken).unwrap_err();
        assert!(matches!(error, DataError::Memory { .. }), "{error}");
        assert!(error.to_string().contains("--image-size"), "{error}");
    }
}

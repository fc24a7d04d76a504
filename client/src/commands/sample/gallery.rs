//! The files of a run. Each sample is written as soon as it arrives, so that an
//! interrupted run leaves what it has; files that show all samples come last.

use std::io::Write;
use std::path::PathBuf;

use ddpm_client::files::write_atomically;
use ddpm_client::pictures::{Animation, Picture, View, describe, grid_of, picture_of, write_png};
use ddpm_client::{Completed, Data, Error, Previews, Receipt, Sample, SampleError};
use ddpm_files::npy;

use super::args::FileFormat;
use super::film::Film;
use super::plan::{AnimationContent, AnimationPlan, Plan};
use super::render::{points, render};
use super::report::{File, FileKind, Report};

pub(crate) struct Gallery {
    plan: Plan,
    receipt: Option<Receipt>,
    samples: Vec<Sample>,
    errors: Vec<SampleError>,
    film: Film,
    files: Vec<File>,
}

impl Gallery {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            plan,
            receipt: None,
            samples: Vec::new(),
            errors: Vec::new(),
            film: Film::default(),
            files: Vec::new(),
        }
    }

    /// Stores the receipt; a resumed run is accepted again with the same one.
    pub(crate) fn accepted(&mut self, receipt: Receipt) {
        self.receipt = Some(receipt);
    }

    pub(crate) fn watch(&mut self, previews: Previews) {
        self.film.record(previews);
    }

    pub(crate) fn failed(&mut self, error: SampleError) {
        self.errors.push(error);
    }

    pub(crate) fn add(&mut self, samples: Vec<Sample>) -> Result<(), Error> {
        let receipt = self.receipt();
        let mut written = Vec::new();
        for sample in &samples {
            written.extend(self.write_sample(receipt, sample)?);
        }
        self.files.extend(written);
        self.samples.extend(samples);
        Ok(())
    }

    /// Writes the files that show all samples, and reports the run.
    pub(crate) fn finish(mut self, completed: Completed) -> Result<Report, Error> {
        self.samples.sort_by_key(|sample| sample.index);
        self.files.sort_by_key(|file| file.index);
        let mut files = std::mem::take(&mut self.files);
        if !self.samples.is_empty() {
            files.extend(self.write_array()?);
            files.extend(self.write_grid()?);
        }
        files.extend(self.write_animations()?);
        let receipt = self.receipt().clone();
        let indices = self.plan.indices.to_string();
        Ok(Report { receipt, indices, files, errors: self.errors, completed })
    }

    fn receipt(&self) -> &Receipt {
        self.receipt.as_ref().expect("the protocol puts `accepted` first")
    }

    fn write_sample(&self, receipt: &Receipt, sample: &Sample) -> Result<Option<File>, Error> {
        let index = sample.index;
        let path = |ending: &str| self.plan.path(receipt, &format!("-{index}.{ending}"));
        let path = match self.plan.format {
            FileFormat::Npy => return Ok(None),
            FileFormat::Png => {
                let (path, picture) = (path("png"), picture_of(sample)?);
                let text = describe(receipt, &index.to_string(), self.label(index).as_deref());
                write_atomically(&path, |out| write_png(out, &picture, &text))?;
                path
            }
            FileFormat::U8 => {
                let (path, bytes) = (path("u8"), bytes(&sample.data));
                write_atomically(&path, |out| out.write_all(bytes))?;
                path
            }
        };
        Ok(Some(File { kind: FileKind::Sample, index: Some(index), path }))
    }

    /// Returns number and name of a sample's class.
    fn label(&self, index: u64) -> Option<String> {
        let label = self.receipt().label(index)?;
        let name = self.plan.model.class_names.get(label as usize);
        Some(name.map_or_else(|| label.to_string(), |name| format!("{label} {name}")))
    }

    fn write_array(&self) -> Result<Option<File>, Error> {
        if self.plan.format != FileFormat::Npy {
            return Ok(None);
        }
        let values = |sample| match sample {
            &Sample { data: Data::Values(ref values), .. } => Some(values.as_slice()),
            _ => None,
        };
        let rows: Vec<&[f32]> = self.samples.iter().filter_map(values).collect();
        let path = self.plan.path(self.receipt(), ".npy");
        write_atomically(&path, |out| npy::write_rows(out, &self.samples[0].shape, &rows))?;
        Ok(Some(File::of_all_samples(FileKind::Array, path)))
    }

    fn write_grid(&self) -> Result<Option<File>, Error> {
        if !self.plan.grid_image {
            return Ok(None);
        }
        let view = View::around(&points(self.samples.iter()));
        let samples: Vec<Option<&Sample>> = self.samples.iter().map(Some).collect();
        let picture = render(self.plan.model.kind, &samples, self.plan.scale, &view)?;
        let path = self.plan.path(self.receipt(), "-grid.png");
        write_atomically(&path, |out| write_png(out, &picture, &self.text()))?;
        Ok(Some(File::of_all_samples(FileKind::Grid, path)))
    }

    fn write_animations(&self) -> Result<Vec<File>, Error> {
        let Some(AnimationPlan { gif, apng, strip, .. }) = &self.plan.animation else {
            return Ok(Vec::new());
        };
        let animation = self.animation()?;
        let path = |named: &Option<PathBuf>, ending: &str| {
            self.plan.path_or(named.as_deref(), self.receipt(), ending)
        };
        let mut files = Vec::new();
        if let (Some(named), Some(animation)) = (gif, &animation) {
            let path = path(named, ".gif");
            write_atomically(&path, |out| animation.write_gif(out))?;
            files.push(File::of_all_samples(FileKind::Gif, path));
        }
        if let (Some(named), Some(animation)) = (apng, &animation) {
            let path = path(named, "-animated.png");
            write_atomically(&path, |out| animation.write_apng(out, &self.text()))?;
            files.push(File::of_all_samples(FileKind::Apng, path));
        }
        if let Some(named) = strip {
            let path = path(named, "-strip.png");
            if let Some(picture) = self.strip()? {
                write_atomically(&path, |out| write_png(out, &picture, &self.text()))?;
                files.push(File::of_all_samples(FileKind::Strip, path));
            }
        }
        Ok(files)
    }

    /// Returns `None` if there is nothing to show.
    fn animation(&self) -> Result<Option<Animation>, Error> {
        let (kind, scale) = (self.plan.model.kind, self.plan.scale);
        match self.plan.animation.as_ref().map(|animation| &animation.content) {
            Some(AnimationContent::Denoising { watched, frames }) => {
                self.film.develop(kind, watched, *frames, scale).map(Some)
            }
            Some(AnimationContent::Samples) if !self.samples.is_empty() => {
                Ok(Some(Animation::new(self.one_by_one(scale)?)?))
            }
            _ => Ok(None),
        }
    }

    fn strip(&self) -> Result<Option<Picture>, Error> {
        let (kind, scale) = (self.plan.model.kind, self.plan.scale);
        match self.plan.animation.as_ref().map(|animation| &animation.content) {
            Some(AnimationContent::Denoising { watched, frames }) => {
                self.film.strip(kind, watched, *frames, scale).map(Some)
            }
            Some(AnimationContent::Samples) if !self.samples.is_empty() => {
                let cells: Vec<_> = self.one_by_one(scale)?.into_iter().map(Some).collect();
                Ok(Some(grid_of(&cells, cells.len(), 1, 0)?))
            }
            _ => Ok(None),
        }
    }

    /// Draws one picture per sample, all in one view.
    fn one_by_one(&self, scale: u32) -> Result<Vec<Picture>, Error> {
        let view = View::around(&points(self.samples.iter()));
        let one = |sample| render(self.plan.model.kind, &[Some(sample)], scale, &view);
        self.samples.iter().map(one).collect()
    }

    fn text(&self) -> Vec<(String, String)> {
        describe(self.receipt(), &self.plan.indices.to_string(), None)
    }
}

/// Returns the bytes of pixels; values are written as an array instead.
fn bytes(data: &Data) -> &[u8] {
    match data {
        Data::Pixels(bytes) | Data::Png(bytes) => bytes,
        Data::Values(_) => &[],
    }
}

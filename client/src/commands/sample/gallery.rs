//! The files of a run. Each sample is written as soon as it arrives, so that an
//! interrupted run leaves what it has; files that show all samples come last. A run that an
//! error ends leaves its samples too, and says which are missing.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use ddpm_client::files::write_atomically;
use ddpm_client::pictures::{Animation, Picture, View, describe, grid_of, picture_of, write_png};
use ddpm_client::{Completed, Data, Error, Indices, Previews, Receipt, Sample, SampleError};
use ddpm_console::note;
use ddpm_files::npy;

use super::args::FileFormat;
use super::film::Film;
use super::plan::{AnimationContent, AnimationPlan, Plan};
use super::render::{points, render};
use super::report::{File, FileKind, Report};

pub(crate) struct Gallery {
    plan: Plan,
    receipt: Option<Receipt>,
    /// Of the builds that made the first samples, if others went on.
    earlier_fingerprints: Vec<String>,
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
            earlier_fingerprints: Vec::new(),
            samples: Vec::new(),
            errors: Vec::new(),
            film: Film::default(),
            files: Vec::new(),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Stores the receipt; a resumed run is accepted again with the same one, unless it goes on
    /// with another build.
    pub(crate) fn accepted(&mut self, receipt: Receipt) {
        let earlier = self.receipt.replace(receipt).map(|earlier| earlier.fingerprint);
        self.earlier_fingerprints
            .extend(earlier.filter(|earlier| *earlier != self.receipt().fingerprint));
    }

    pub(crate) fn watch(&mut self, previews: Previews) {
        self.film.record(previews);
    }

    pub(crate) fn failed(&mut self, error: SampleError) {
        self.errors.push(error);
    }

    pub(crate) fn add(&mut self, samples: Vec<Sample>) -> Result<(), Error> {
        for sample in samples {
            let file = self.write_sample(self.receipt(), &sample)?;
            self.files.extend(file);
            self.samples.push(sample);
        }
        Ok(())
    }

    /// Writes the files that show all samples.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        self.sort();
        if !self.samples.is_empty() {
            let array = self.write_array()?;
            self.files.extend(array);
            let grid = self.write_grid()?;
            self.files.extend(grid);
        }
        self.write_animations()
    }

    /// Keeps what there is when `error` ends the run, and reports it; `None` if the run had not
    /// begun.
    pub(crate) fn abandon(&mut self, error: &Error) -> Option<Report> {
        self.receipt.as_ref()?;
        self.sort();
        let holds = |file: &File| file.kind == FileKind::Array;
        if self.samples.is_empty() || self.files.iter().any(holds) {
            return self.report(None).map(|report| report.ended_by(error));
        }
        match self.write_array() {
            Ok(array) => self.files.extend(array),
            Err(error) => {
                note!("warning: {error}; the samples of this run are lost");
                self.samples.clear();
            }
        }
        self.report(None).map(|report| report.ended_by(error))
    }

    /// Reports the run; `None` if it had not begun.
    pub(crate) fn report(&mut self, completed: Option<Completed>) -> Option<Report> {
        let missing = self.missing();
        Some(Report {
            receipt: self.receipt.clone()?,
            indices: self.plan.indices.to_string(),
            missing: (!missing.is_empty()).then(|| missing.to_string()),
            earlier_fingerprints: std::mem::take(&mut self.earlier_fingerprints),
            files: std::mem::take(&mut self.files),
            errors: std::mem::take(&mut self.errors),
            completed,
            error: None,
            is_other_build: false,
        })
    }

    /// Returns the indices that were neither kept nor failed.
    fn missing(&self) -> Indices {
        let kept = self.samples.iter().map(|sample| sample.index);
        let settled: BTreeSet<u64> =
            kept.chain(self.errors.iter().map(|error| error.index)).collect();
        self.plan.indices.without(&settled)
    }

    fn sort(&mut self) {
        self.samples.sort_by_key(|sample| sample.index);
        self.files.sort_by_key(|file| file.index);
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
        // A later run of the missing samples must not take the place of these.
        let ending = if self.missing().is_empty() { ".npy" } else { "-partial.npy" };
        let path = self.plan.path(self.receipt(), ending);
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

    fn write_animations(&mut self) -> Result<(), Error> {
        let mut written = Vec::new();
        let result = self.write_animations_to(&mut written);
        self.files.extend(written);
        result
    }

    /// Adds each file to `files` as soon as it is written.
    fn write_animations_to(&self, files: &mut Vec<File>) -> Result<(), Error> {
        let Some(AnimationPlan { gif, apng, strip, .. }) = &self.plan.animation else {
            return Ok(());
        };
        let animation = self.animation()?;
        let path = |named: &Option<PathBuf>, ending: &str| {
            self.plan.path_or(named.as_deref(), self.receipt(), ending)
        };
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
        Ok(())
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

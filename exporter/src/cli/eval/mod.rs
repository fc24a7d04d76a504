//! `eval`: compares samples with data, or computes the bits per dimension of data under a model.

mod args;
pub(super) use args::Args;

mod input;

mod engine;

mod drawing;

mod likelihood;

use std::fmt::Display;

use ddpm_console::note;
use ddpm_data::{LabelSource, LoadOptions, Split};
use ddpm_evaluation::cache::write_rows;
use ddpm_evaluation::extractor::Extractor;
use ddpm_evaluation::measures::{MeasureOptions, compare};
use ddpm_evaluation::preprocessing::Preprocessing;
use ddpm_evaluation::report::{ExtractorReport, Report};
use ddpm_files::is_stdout;
use serde::Serialize;
use tch::Device;

use self::drawing::Drawing;
use self::engine::Engine;
use self::input::{Content, Input, LoadedInput};
use self::likelihood::Likelihood;
use super::Failure;
use super::output::print_text;

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let device = self.device.choose()?;
        let input = Input::from_samples(&self.samples)?;
        self.check(&input)?;
        if let (Some(items), Input::Model(source)) = (self.bits_per_dim, &input) {
            let (data, options) = self.reference(&input)?;
            let likelihood = Likelihood {
                items,
                seed: self.seed(),
                engine: self.engine.unwrap_or(Engine::Libtorch),
                device,
                onnx: self.onnx(),
                // Only the options of the run's own data know its source of labels.
                labels: self.labels.clone().or(self.against.as_ref().map(|_| LabelSource::Auto)),
            };
            return self.print(&likelihood.compute(source, &data, &options)?);
        }
        let (reference, options) = self.reference(&input)?;
        let reference = reference.load(&options)?;
        let samples = match &input {
            Input::Model(source) => self.drawing(device).draw(source, &reference)?,
            // All pictures of a folder are samples, whatever its folders are called.
            other => other.load(&LoadOptions { split: Split::All, ..self.load_options() })?,
        };
        samples.check_beside(&reference)?;
        let mut extractor = self.extractor(&[&samples, &reference], device)?;
        self.print(&self.report(samples, reference, extractor.as_mut())?)
    }

    fn print(&self, report: &(impl Serialize + Display)) -> Result<(), Failure> {
        let text = if self.json {
            let json = serde_json::to_string_pretty(report);
            json.map_err(|error| Failure::Failed(error.into()))? + "\n"
        } else {
            report.to_string()
        };
        if self.save_features.as_deref().is_some_and(is_stdout) {
            note!("{}", text.trim_end());
            return Ok(());
        }
        print_text(&text)
    }

    /// Returns what the samples are compared with, and how to load it.
    fn reference(&self, samples: &Input) -> Result<(Input, LoadOptions), Failure> {
        let (reference, options) = match (&self.against, samples) {
            (Some(text), Input::Model(source)) => {
                (Input::from_reference(text)?, source.load_options(&self.load_options()))
            }
            (Some(text), _) => (Input::from_reference(text)?, self.load_options()),
            (None, Input::Model(source)) => source.training_data(&self.load_options())?,
            (None, _) => {
                let reason = "name the reference with --against";
                return Err(Failure::Refused(reason.into()));
            }
        };
        if self.split.is_some() && !matches!(reference, Input::Data(_)) {
            let reason = "--split is for data sources, and the reference is an array";
            return Err(Failure::Refused(reason.into()));
        }
        let split = match (self.split, &self.against, &reference) {
            (Some(split), _, _) => split,
            (None, Some(_), Input::Data(source)) => source.default_split(),
            _ => options.split,
        };
        Ok((reference, LoadOptions { split, ..options }))
    }

    fn drawing(&self, device: Device) -> Drawing<'_> {
        Drawing {
            count: self.count,
            seed: self.seed(),
            engine: self.engine.unwrap_or(Engine::Libtorch),
            sampling: &self.sampling,
            device,
            onnx: self.onnx(),
        }
    }

    /// Opens the extractor; `None` if neither side is pictures.
    fn extractor(
        &self,
        sides: &[&LoadedInput],
        device: Device,
    ) -> Result<Option<Extractor>, Failure> {
        let pictures = sides.iter().any(|side| matches!(side.content, Content::Pictures(_)));
        if self.classes.is_some() && pictures {
            let reason =
                "--classes is for arrays; for pictures the extractor's description sets it";
            return Err(Failure::Refused(reason.into()));
        }
        match &self.extractor {
            Some(_) if !pictures => {
                let reason = "--extractor is for pictures, and neither side has any";
                Err(Failure::Refused(reason.into()))
            }
            None if !pictures => Ok(None),
            None => Ok(Some(Extractor::shipped(&self.onnx())?)),
            Some(path) => {
                if let Some(preset) = self.preset.filter(|_| path.is_file()) {
                    preset.preprocessing().write_beside(path)?;
                }
                let preprocessing = Preprocessing::read_beside(path)?;
                Ok(Some(Extractor::open(path, preprocessing, &self.onnx(), device)?))
            }
        }
    }

    fn report(
        &self,
        samples: LoadedInput,
        reference: LoadedInput,
        mut extractor: Option<&mut Extractor>,
    ) -> Result<Report, Failure> {
        let (toy, folder) = (reference.toy, self.cache.folder());
        let (reference, described_reference) =
            reference.into_side(extractor.as_deref_mut(), folder.as_deref())?;
        let (samples, described) = samples.into_side(extractor.as_deref_mut(), None)?;
        if let Some(path) = &self.save_features {
            let rows = samples.rows().ok_or("--save-features: statistics have no rows");
            write_rows(path, rows.map_err(|reason| Failure::Refused(reason.into()))?)?;
        }
        let defaults = match extractor.as_deref() {
            Some(extractor) => MeasureOptions::from_preprocessing(extractor.preprocessing()),
            None => MeasureOptions { classes: self.classes, ..MeasureOptions::default() },
        };
        let choice = MeasureOptions {
            wanted: self.measures.clone(),
            binary16: self.binary16,
            seed: self.seed(),
            toy,
            ..defaults
        };
        let results = compare(&samples, &reference, &choice)?;
        let extractor = extractor.as_deref().map(ExtractorReport::new);
        Ok(Report { samples: described, reference: described_reference, extractor, results })
    }
}

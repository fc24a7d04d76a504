//! `eval`: compares samples with data, or counts the bits of data under a model.

mod args;
pub(super) use args::Args;

mod operand;

mod engine;

mod drawing;

mod likelihood;

use std::fmt::Display;

use serde::Serialize;
use tch::Device;

use super::Failure;
use super::how::How;
use crate::data::LoadOptions;
use crate::evaluate::cache::write_rows;
use crate::evaluate::extractor::Extractor;
use crate::evaluate::measures::{Choice, compare};
use crate::evaluate::preprocessing::Preprocessing;
use crate::evaluate::report::{ExtractorReport, Report};
use drawing::Drawing;
use engine::Engine;
use likelihood::Likelihood;
use operand::{Content, Loaded, Operand};

impl Args {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let device = self.device.choose()?;
        let operand = Operand::of_samples(&self.samples)?;
        self.check(&operand)?;
        if let (Some(items), Operand::Model(source)) = (self.bits_per_dim, &operand) {
            let (data, options) = self.reference(&operand)?;
            let likelihood = Likelihood {
                items,
                seed: self.seed(),
                engine: self.engine.unwrap_or(Engine::Libtorch),
                device,
                onnx: self.onnx(),
            };
            return self.print(&likelihood.count(source, &data, &options)?);
        }
        let (reference, options) = self.reference(&operand)?;
        let reference = reference.load(&options)?;
        let samples = match &operand {
            Operand::Model(source) => self.drawing(device).draw(source, &reference)?,
            other => other.load(&self.load_options())?,
        };
        samples.check_beside(&reference)?;
        let mut extractor = self.extractor(&[&samples, &reference], device)?;
        self.print(&self.report(samples, reference, extractor.as_mut())?)
    }

    fn print(&self, report: &(impl Serialize + Display)) -> Result<(), Failure> {
        if self.json {
            let text = serde_json::to_string_pretty(report);
            println!("{}", text.map_err(|error| Failure::Failed(error.into()))?);
        } else {
            print!("{report}");
        }
        Ok(())
    }

    /// What the samples are compared with, and how it is loaded.
    fn reference(&self, samples: &Operand) -> Result<(Operand, LoadOptions), Failure> {
        let (operand, options) = match (&self.against, samples) {
            (Some(text), Operand::Model(source)) => {
                (Operand::of_reference(text)?, source.load_options(&self.load_options()))
            }
            (Some(text), _) => (Operand::of_reference(text)?, self.load_options()),
            (None, Operand::Model(source)) => source.own_data(&self.load_options())?,
            (None, _) => {
                let reason = "name what the samples are compared with: --against";
                return Err(Failure::Refused(reason.into()));
            }
        };
        if self.split.is_some() && !matches!(operand, Operand::Data(_)) {
            let reason = "--split is for data sources, and the reference is an array";
            return Err(Failure::Refused(reason.into()));
        }
        let split = match (self.split, &self.against, &operand) {
            (Some(split), _, _) => split,
            (None, Some(_), Operand::Data(source)) => source.default_split(),
            _ => options.split,
        };
        Ok((operand, LoadOptions { split, ..options }))
    }

    fn drawing(&self, device: Device) -> Drawing<'_> {
        Drawing {
            count: self.count,
            seed: self.seed(),
            engine: self.engine.unwrap_or(Engine::Libtorch),
            how: &self.how,
            device,
            onnx: self.onnx(),
        }
    }

    /// The extractor, if there are pictures.
    fn extractor(&self, sides: &[&Loaded], device: Device) -> Result<Option<Extractor>, Failure> {
        let pictures = sides.iter().any(|side| matches!(side.content, Content::Pictures(_)));
        if self.classes.is_some() && pictures {
            let reason =
                "--classes is for arrays; the description of an extractor says it of pictures";
            return Err(Failure::Refused(reason.into()));
        }
        match &self.extractor {
            Some(_) if !pictures => {
                let reason = "--extractor is for pictures, and neither side is any";
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
        samples: Loaded,
        reference: Loaded,
        mut extractor: Option<&mut Extractor>,
    ) -> Result<Report, Failure> {
        let (toy, folder) = (reference.toy, self.cache.folder());
        let (reference, described_reference) =
            reference.into_side(extractor.as_deref_mut(), folder.as_deref())?;
        let (samples, described) = samples.into_side(extractor.as_deref_mut(), None)?;
        if let Some(path) = &self.save_features {
            let rows = samples.rows().ok_or("--save-features: of statistics there are no rows");
            write_rows(path, rows.map_err(|reason| Failure::Refused(reason.into()))?)?;
        }
        let of_extractor = match extractor.as_deref() {
            Some(extractor) => Choice::of(extractor.preprocessing()),
            None => Choice { classes: self.classes, ..Choice::default() },
        };
        let choice = Choice {
            wanted: self.measures.clone(),
            binary16: self.binary16,
            seed: self.seed(),
            toy,
            ..of_extractor
        };
        let results = compare(&samples, &reference, &choice)?;
        let extractor = extractor.as_deref().map(ExtractorReport::of);
        Ok(Report { samples: described, reference: described_reference, extractor, results })
    }
}

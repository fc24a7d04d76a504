//! Settings in layers: flags beat the environment, which beats the file, which beats the preset,
//! which beats what suits the data.

mod environment;
pub(super) use environment::from_environment;

mod file;
pub(super) use file::{DataKeys, Layer};

mod reference;

mod presets;
pub(super) use presets::{PRESETS, preset};

use std::path::Path;

use super::Failure;
use crate::data::{Dataset, Source};
use crate::train::{DataConfig, TrainConfig, TrainError};

/// Everything that was said of a run, the weakest first.
#[derive(Debug)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    /// Stacks what was said.
    ///
    /// * `said`: environment and flags, the weaker first.
    /// * `file`: a file of settings.
    /// * `named`: the preset, if it was named beside the file; it beats the one that the file names.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] if the file or the preset cannot be used.
    pub(super) fn stack(
        said: Vec<Layer>,
        file: Option<&Path>,
        named: Option<&str>,
    ) -> Result<Self, Failure> {
        let refused = |reason: String| Failure::Refused(reason.into());
        let file = file.map(Layer::read).transpose().map_err(refused)?;
        let of_file = file.as_ref().and_then(|file| file.preset.as_deref());
        let preset = named.or(of_file).map(preset).transpose().map_err(refused)?;
        Ok(Self(preset.into_iter().chain(file).chain(said).collect()))
    }

    /// The strongest word on something.
    fn last<T>(&self, of: impl Fn(&Layer) -> Option<T>) -> Option<T> {
        self.0.iter().rev().find_map(of)
    }

    /// The data.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if nobody named any.
    pub(super) fn source(&self) -> Result<Source, Failure> {
        if let Some(text) = self.last(|layer| layer.data.source.clone()) {
            return text.parse().map_err(|error| TrainError::Data(error).into());
        }
        let known = self.last(|layer| layer.dataset.clone()).map_or_else(String::new, |name| {
            format!(": the configuration is for {name}, but does not say where it lies")
        });
        Err(Failure::Usage(format!("name the data with --data, such as folder:PICTURES{known}")))
    }

    /// The run's seed.
    pub(super) fn seed(&self) -> u64 {
        self.last(|layer| layer.recipe.training.seed).unwrap_or(0)
    }

    /// What the model is called: what was said, or the kind of its data.
    pub(super) fn name(&self, source: &Source) -> String {
        // `mnist:a/b` is called mnist, `glyphs:500` glyphs.
        let text = source.to_string();
        let kind = text.split(':').next().unwrap_or(&text).to_owned();
        self.last(|layer| layer.name.clone()).unwrap_or(kind)
    }

    /// The section of the data, for data from `source`.
    pub(super) fn data(&self, source: &Source) -> DataConfig {
        DataConfig {
            source: source.to_string(),
            split: self.last(|layer| layer.data.split).unwrap_or(source.default_split()),
            image_size: self.last(|layer| layer.data.image_size),
            greyscale: self.last(|layer| layer.data.greyscale).unwrap_or(false),
            skip_broken: self.last(|layer| layer.data.skip_broken).unwrap_or(false),
            labels: self.last(|layer| layer.data.labels).unwrap_or(true),
            flip: self.last(|layer| layer.data.flip),
            items: None,
        }
    }

    /// The settings of a run on `dataset`, checked.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for the first setting that does not fit.
    pub(super) fn config(
        &self,
        name: String,
        data: DataConfig,
        dataset: &Dataset,
    ) -> Result<TrainConfig, TrainError> {
        let classes = dataset.class_names().filter(|_| data.labels).unwrap_or_default().to_vec();
        let mut config = TrainConfig::defaults(name, data, classes, dataset.kind());
        config.data.items = Some(dataset.len());
        config.watch.held_out = (dataset.len() / 50).min(256);
        self.check_channels(&config)?;
        for layer in &self.0 {
            layer.recipe.apply(&mut config)?;
        }
        for layer in &self.0 {
            layer.pace.apply(&mut config, dataset.len())?;
        }
        config.validate()?;
        Ok(config)
    }

    /// The reference's files say how many channels the pictures have.
    fn check_channels(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let found = config.model.sample_shape()[0];
        match self.last(|layer| layer.in_channels) {
            Some(wanted) if wanted != found => Err(TrainError::Setting {
                setting: "in_channels",
                problem: format!("is {wanted}, but the data has {found} channels"),
            }),
            _ => Ok(()),
        }
    }
}

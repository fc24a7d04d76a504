//! Settings in layers: flags override the environment, which overrides the file, which overrides
//! the preset, which overrides the defaults for the data.

mod layer;
pub(super) use layer::{DataKeys, Layer};

mod environment;
pub(super) use environment::from_environment;

mod reference;

mod file;
pub(super) use file::without_mark;

mod presets;
pub(super) use presets::{PRESETS, preset};

use std::path::Path;

use ddpm_data::{Dataset, LabelSource, Source};
use ddpm_training::{DataConfig, TrainConfig, TrainError};

use super::{Failure, names};

/// All settings of a run, weakest layer first.
#[derive(Debug)]
pub(super) struct Layers(Vec<Layer>);

impl Layers {
    /// Stacks the layers of a run.
    ///
    /// * `overrides`: environment and flags, the weaker first.
    /// * `file`: settings file.
    /// * `preset_name`: overrides the preset that the file names.
    ///
    /// # Errors
    ///
    /// [`Failure::Refused`] if the file or the preset is invalid.
    pub(super) fn stack(
        overrides: Vec<Layer>,
        file: Option<&Path>,
        preset_name: Option<&str>,
    ) -> Result<Self, Failure> {
        let refused = |reason: String| Failure::Refused(reason.into());
        let file = file.map(file::read).transpose().map_err(refused)?;
        let name_in_file = file.as_ref().and_then(|file| file.preset.as_deref());
        let preset = preset_name.or(name_in_file).map(preset).transpose().map_err(refused)?;
        Ok(Self(preset.into_iter().chain(file).chain(overrides).collect()))
    }

    /// Returns a setting from the strongest layer that sets it.
    fn strongest<T>(&self, setting: impl Fn(&Layer) -> Option<T>) -> Option<T> {
        self.0.iter().rev().find_map(setting)
    }

    /// Returns the data source.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] if no layer names one.
    pub(super) fn source(&self) -> Result<Source, Failure> {
        if let Some(text) = self.strongest(|layer| layer.data.source.clone()) {
            return text.parse().map_err(|error| TrainError::Data(error).into());
        }
        let known =
            self.strongest(|layer| layer.dataset.clone()).map_or_else(String::new, |name| {
                format!(": the configuration is for {name}, but names no folder")
            });
        Err(Failure::Usage(format!("name the data with --data, such as folder:PICTURES{known}")))
    }

    /// Returns the run's seed.
    pub(super) fn seed(&self) -> u64 {
        self.strongest(|layer| layer.settings.training.seed).unwrap_or(0)
    }

    /// Returns the name of the model, by default that of its data.
    pub(super) fn name(&self, source: &Source) -> String {
        self.strongest(|layer| layer.name.clone()).unwrap_or_else(|| names::data_name(source))
    }

    /// Returns the data section of the run's settings, for data from `source`.
    pub(super) fn data(&self, source: &Source) -> DataConfig {
        let labels = self.strongest(|layer| layer.data.labels.clone()).unwrap_or_default();
        DataConfig {
            source: source.to_string(),
            split: self.strongest(|layer| layer.data.split).unwrap_or(source.default_split()),
            image_size: self.strongest(|layer| layer.data.image_size),
            greyscale: self.strongest(|layer| layer.data.greyscale).unwrap_or(false),
            background: self.strongest(|layer| layer.data.background).unwrap_or_default(),
            skip_broken: self.strongest(|layer| layer.data.skip_broken).unwrap_or(false),
            labels: labels != LabelSource::None,
            labels_from: Some(labels),
            flip: self.strongest(|layer| layer.data.flip),
            items: None,
            digest: None,
        }
    }

    /// Builds and validates the settings of a run on `dataset`.
    ///
    /// # Errors
    ///
    /// [`TrainError`] for the first invalid setting.
    pub(super) fn config(
        &self,
        name: String,
        data: DataConfig,
        dataset: &Dataset,
    ) -> Result<TrainConfig, TrainError> {
        let classes = dataset.class_names().filter(|_| data.labels).unwrap_or_default().to_vec();
        let mut config =
            TrainConfig::defaults(name, data, classes, dataset.kind()).for_items(dataset.len());
        config.data.record(dataset);
        config.watch.held_out = (dataset.len() / 50).min(256);
        self.check_channels(&config)?;
        for layer in &self.0 {
            layer.settings.apply(&mut config)?;
        }
        for layer in &self.0 {
            layer.pace.apply(&mut config, dataset.len())?;
        }
        config.validate()?;
        Ok(config)
    }

    /// Checks the data against the number of channels that the reference's files state.
    fn check_channels(&self, config: &TrainConfig) -> Result<(), TrainError> {
        let found = config.model.sample_shape()[0];
        match self.strongest(|layer| layer.in_channels) {
            Some(wanted) if wanted != found => Err(TrainError::Setting {
                setting: "in_channels",
                problem: format!("is {wanted}, but the data has {found} channels"),
            }),
            _ => Ok(()),
        }
    }
}

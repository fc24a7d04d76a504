//! The models of a server.

use ddpm_proto::v1;
use serde::Serialize;

use crate::error::Error;
use crate::settings::{Grid, SamplerChoice, grid_from_wire};

/// A model that can be sampled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Model {
    /// Its name in requests.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// SHA-256 of its manifest, in hex.
    pub digest: String,
    /// What its samples are.
    pub kind: ModelKind,
    /// Shape of one sample: channels, height, width; 2 for points.
    pub shape: Vec<u32>,
    /// Names of the classes in the order of their labels; empty if unconditional.
    pub class_names: Vec<String>,
    /// Training timesteps T; 0 for a network on continuous noise.
    pub timesteps: u32,
    /// Beta schedule; `edm` or `flow` for a network on continuous noise.
    pub schedule: String,
    /// What the network predicts.
    pub prediction: String,
    /// Variance of the reverse steps.
    pub variance: String,
    /// Used if a request names no sampler.
    pub default_sampler: SamplerChoice,
    /// Used if a request names no number of steps.
    pub default_num_steps: u32,
    /// Used if a request names no grid.
    pub default_grid: Option<Grid>,
    /// The served graph.
    pub graph: String,
}

/// What the samples of a model are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// A picture, channels x height x width in [-1, 1].
    Image,
    /// A point in the plane.
    Points2d,
}

impl ModelKind {
    /// Returns the name in the manifest: `image`, `points2d`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Points2d => "points2d",
        }
    }
}

impl Model {
    /// Parses a label: a number below the number of classes, or the name of a class.
    /// A number is never taken for a name.
    ///
    /// # Errors
    ///
    /// [`Error::Request`], listing the classes.
    pub fn label(&self, text: &str) -> Result<u32, Error> {
        if self.class_names.is_empty() {
            return Err(Error::Request(format!("{} has no classes: omit --label", self.name)));
        }
        let position = match text.parse::<usize>() {
            Ok(number) => Some(number).filter(|&number| number < self.class_names.len()),
            Err(_) => self.class_names.iter().position(|name| name == text),
        };
        position.and_then(|position| u32::try_from(position).ok()).ok_or_else(|| {
            Error::Request(format!(
                "{} has no class `{text}`: use a label from 0 to {} or one of {}",
                self.name,
                self.class_names.len() - 1,
                self.class_names.join(", ")
            ))
        })
    }

    pub(crate) fn from_proto(model: v1::Model) -> Result<Self, Error> {
        let kind = match model.kind() {
            v1::ModelKind::Image => ModelKind::Image,
            v1::ModelKind::Points2d => ModelKind::Points2d,
            v1::ModelKind::Unspecified => {
                return Err(Error::Protocol(format!(
                    "{} has a kind that this client does not know",
                    model.name
                )));
            }
        };
        Ok(Self {
            name: model.name,
            version: model.version,
            digest: model.digest,
            kind,
            shape: model.shape,
            class_names: model.class_names,
            timesteps: model.timesteps,
            schedule: model.schedule,
            prediction: model.prediction,
            variance: model.variance,
            default_sampler: SamplerChoice::from_proto(model.default_sampler)?,
            default_num_steps: model.default_num_steps,
            default_grid: grid_from_wire(
                model.default_grid,
                model.default_grid_options,
                model.default_num_steps,
            )?,
            graph: model.graph,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samplers::Ddpm;
    use crate::settings::Sampler;

    fn model(class_names: &[&str]) -> Model {
        let sampler = SamplerChoice::from(Sampler::from(Ddpm { variance: None }));
        let wire = v1::Model {
            name: "glyphs".to_owned(),
            kind: v1::ModelKind::Image.into(),
            class_names: class_names.iter().map(ToString::to_string).collect(),
            default_sampler: Some(sampler.to_proto()),
            ..Default::default()
        };
        Model::from_proto(wire).unwrap()
    }

    #[test]
    fn a_label_is_a_number_or_the_name_of_a_class() {
        let glyphs = model(&["ring", "cross", "7"]);

        assert_eq!(glyphs.label("cross").unwrap(), 1);
        assert_eq!(glyphs.label("2").unwrap(), 2);
    }

    #[test]
    fn an_unknown_class_is_refused_with_a_list_of_the_classes() {
        let glyphs = model(&["ring", "cross", "7"]);

        // "7" is the name of class 2, but a number is always a label.
        for text in ["square", "7", "3", "-1"] {
            let sentence = glyphs.label(text).unwrap_err().to_string();
            assert!(sentence.ends_with("from 0 to 2 or one of ring, cross, 7"), "{sentence}");
        }
        assert!(model(&[]).label("0").unwrap_err().to_string().contains("has no classes"));
    }
}

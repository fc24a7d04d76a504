//! The models of a server.

use std::iter;
use std::time::Duration;

use ddpm_proto::v1;
use serde::Serialize;

use crate::error::Error;
use crate::events::{duration, seconds};
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
    /// The graph that is used when a request names none.
    pub graph: String,
    /// The graphs that requests may name.
    pub graphs: Vec<GraphInfo>,
    /// Whether [`Determinism::Strict`](crate::Determinism::Strict) can be requested.
    pub strict: bool,
    /// What calls of the network cost now, by size.
    pub call_costs: Vec<CallCost>,
}

/// A form in which a model's network is computed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GraphInfo {
    /// Name to ask for.
    pub name: String,
    /// What most of it computes in: fp32, fp16 or int8.
    pub precision: String,
    /// Whether [`Determinism::Strict`](crate::Determinism::Strict) can be requested.
    pub strict: bool,
    /// What calls of the network cost now, by size.
    pub call_costs: Vec<CallCost>,
    /// How good its samples are, if they were compared with the portable graph's.
    pub quality: Option<GraphQuality>,
}

/// Samples of a graph against those of the portable one, from the same seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct GraphQuality {
    /// Fréchet distance from the data, divided by that of the portable graph's samples.
    pub frechet_ratio: f64,
    /// Upper end of its 95 % interval.
    pub upper: f64,
    /// How many samples each graph drew.
    pub samples: u64,
    /// Whether the exporter's limit held; otherwise somebody insisted on the graph.
    pub passed: bool,
}

impl GraphInfo {
    fn from_proto(graph: v1::GraphInfo) -> Result<Self, Error> {
        Ok(Self {
            name: graph.name,
            precision: graph.precision,
            strict: graph.strict,
            call_costs: call_costs(&graph.call_costs)?,
            quality: graph.quality.map(|quality| GraphQuality {
                frechet_ratio: quality.frechet_ratio,
                upper: quality.upper,
                samples: quality.samples,
                passed: quality.passed,
            }),
        })
    }
}

fn call_costs(costs: &[v1::CallCost]) -> Result<Vec<CallCost>, Error> {
    costs.iter().map(CallCost::from_proto).collect()
}

/// What a call of the network costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CallCost {
    /// Network evaluations in the call.
    pub evals: u32,
    /// How long it takes.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub time: Duration,
}

impl CallCost {
    fn from_proto(cost: &v1::CallCost) -> Result<Self, Error> {
        Ok(Self { evals: cost.evals, time: duration(cost.time.unwrap_or_default())? })
    }
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
    /// Returns the label of a class: by its name, or else by its number, counted from 0.
    ///
    /// A name wins over a number: of the classes `1` and `2`, `1` is the first. `index:1` is always
    /// a number, unless a class is called that.
    ///
    /// # Errors
    ///
    /// [`Error::Request`], listing the classes, if there is no such class or several have the name.
    pub fn label(&self, text: &str) -> Result<u32, Error> {
        let refuse = |problem: String| Err(Error::Request(format!("{} {problem}", self.name)));
        let count = self.class_names.len();
        if count == 0 {
            return refuse("has no classes: omit --label".to_owned());
        }
        let named: Vec<usize> =
            (0..count).filter(|&class| self.class_names[class] == text).collect();
        let number = || text.strip_prefix("index:").unwrap_or(text).parse::<usize>().ok();
        match named[..] {
            [] => {
                if let Some(label) = number().filter(|number| *number < count)
                    && let Ok(label) = u32::try_from(label)
                {
                    return Ok(label);
                }
                let (last, names) = (count - 1, self.listed_classes());
                refuse(format!(
                    "has no class `{text}`: use a label from 0 to {last} or one of {names}"
                ))
            }
            [only] => u32::try_from(only).or_else(|_| refuse("has too many classes".to_owned())),
            [first, second, ..] => refuse(format!(
                "has several classes called `{text}`: choose one by its number, such as \
                 index:{first} or index:{second}"
            )),
        }
    }

    /// Returns the labels of classes as a user lists them: one per text or, separated by commas,
    /// several in one. A text that is the name of a class as a whole is not divided.
    ///
    /// # Errors
    ///
    /// As [`label`](Self::label).
    pub fn labels<T: AsRef<str>>(&self, texts: &[T]) -> Result<Vec<u32>, Error> {
        let mut labels = Vec::new();
        for text in texts.iter().map(AsRef::as_ref) {
            if self.class_names.iter().any(|name| name == text) {
                labels.push(self.label(text)?);
            } else {
                for part in text.split(',') {
                    labels.push(self.label(part)?);
                }
            }
        }
        Ok(labels)
    }

    /// Returns a text that [`labels`](Self::labels) understands as this label, and as no other.
    #[must_use]
    pub fn label_text(&self, label: u32) -> String {
        let name = self.class_names.get(label as usize).filter(|name| !name.contains(','));
        let mut texts = iter::once(label.to_string()).chain(name.cloned());
        let means_it = |text: &String| self.label(text).is_ok_and(|found| found == label);
        texts.find(means_it).unwrap_or_else(|| format!("index:{label}"))
    }

    /// Lists the names of the classes, up to a few.
    fn listed_classes(&self) -> String {
        const MOST: usize = 30;
        let few: Vec<&str> = self.class_names.iter().take(MOST).map(String::as_str).collect();
        let all = few.len() == self.class_names.len();
        let rest = if all { String::new() } else { format!(", … (`ddpm models {}`)", self.name) };
        few.join(", ") + &rest
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
            graphs: model
                .graphs
                .into_iter()
                .map(GraphInfo::from_proto)
                .collect::<Result<_, _>>()?,
            strict: model.strict,
            call_costs: call_costs(&model.call_costs)?,
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
    fn a_label_is_the_name_of_a_class_or_its_number() {
        let glyphs = model(&["ring", "cross", "7"]);

        assert_eq!(glyphs.label("cross").unwrap(), 1);
        assert_eq!(glyphs.label("2").unwrap(), 2);
        assert_eq!(glyphs.label("7").unwrap(), 2);
    }

    #[test]
    fn a_name_wins_over_a_number() {
        let padded = model(&["001", "002", "003"]);
        assert_eq!(padded.label("001").unwrap(), 0);
        assert_eq!(padded.label("1").unwrap(), 1);
        let text_order = model(&["0", "1", "10", "2"]);
        assert_eq!(text_order.label("2").unwrap(), 3);
        assert_eq!(text_order.label("3").unwrap(), 3);
        assert_eq!(text_order.label("index:2").unwrap(), 2);
    }

    #[test]
    fn a_name_with_a_comma_is_not_divided() {
        let pets = model(&["cat", "dog, big", "dog"]);
        assert_eq!(pets.labels(&["dog, big"]).unwrap(), [1]);
        assert_eq!(pets.labels(&["dog,cat", "dog, big", "1"]).unwrap(), [2, 0, 1, 1]);
        assert!(pets.labels(&["cat, big"]).is_err());
    }

    #[test]
    fn the_text_of_a_label_leads_back_to_it() {
        let names = ["ring", "2", "0", "a, b", "x", "x", ""];
        let model = model(&names);
        for label in 0..7 {
            let text = model.label_text(label);
            assert_eq!(model.labels(&[&text]).unwrap(), [label], "{text}");
        }
        assert_eq!([0, 1, 3].map(|label| model.label_text(label)), ["ring", "1", "3"]);
    }

    #[test]
    fn an_unknown_class_is_refused_with_a_list_of_the_classes() {
        let glyphs = model(&["ring", "cross", "7"]);

        for text in ["square", "3", "-1", "index:3", ""] {
            let sentence = glyphs.label(text).unwrap_err().to_string();
            assert!(sentence.ends_with("from 0 to 2 or one of ring, cross, 7"), "{sentence}");
        }
        assert!(model(&[]).label("0").unwrap_err().to_string().contains("has no classes"));
        let twins = model(&["x", "y", "x"]).label("x").unwrap_err().to_string();
        assert!(twins.contains("index:0 or index:2"), "{twins}");
        let many: Vec<String> = (0..100).map(|class| format!("c{class}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let sentence = model(&many).label("d").unwrap_err().to_string();
        assert!(sentence.ends_with("c29, … (`ddpm models glyphs`)"), "{sentence}");
    }
}

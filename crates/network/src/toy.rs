//! A residual MLP for points, whose temporal layers share one set of weights.

use super::config::ToyConfig;
use super::error::ConfigError;
use super::inputs::Inputs;
use super::layers::{LayerNorm, Linear, Scope};
use super::ops::Ops;
use super::time::{Condition, timestep_embedding};

/// Slope of every leaky ReLU for negative values.
const SLOPE: f64 = 0.02;

/// The network for points.
#[derive(Debug)]
pub(crate) struct Toy {
    mid_features: i64,
    num_temporal_layers: i64,
    in_fc: Linear,
    temporal: TemporalLayer,
    out_norm: LayerNorm,
    out_fc: Linear,
    t_proj: Linear,
    condition: Condition,
}

impl Toy {
    /// Makes the parts in the order of the reference's state dictionary.
    pub(crate) fn new(scope: &Scope<'_>, config: &ToyConfig) -> Result<Self, ConfigError> {
        let (features, mid) = (config.in_features, config.mid_features);
        let outputs = config.out_features;
        Ok(Self {
            mid_features: mid,
            num_temporal_layers: config.num_temporal_layers,
            in_fc: Linear::without_bias(&scope.sub("in_fc"), [features, mid])?,
            temporal: TemporalLayer::new(&scope.sub("temp_fc").item(0), mid)?,
            out_norm: LayerNorm::new(&scope.sub("out_norm"), mid)?,
            out_fc: Linear::new(&scope.sub("out_fc"), [mid, outputs])?,
            t_proj: Linear::new(&scope.sub("t_proj").item(0), [mid, mid])?,
            condition: Condition::new(scope, config.num_classes, mid)?,
        })
    }

    /// Maps `[B, in_features]` to `[B, out_features]`.
    pub(crate) fn forward<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        let time = self.time(o, inputs);
        let mut h = self.in_fc.forward(o, &inputs.sample);
        for _ in 0..self.num_temporal_layers {
            h = self.temporal.forward(o, &h, &time);
        }
        self.out_fc.forward(o, &self.out_norm.forward(o, &h))
    }

    /// Embeds the time and the class for every temporal layer; the layers share the encoder too, so
    /// it runs once.
    fn time<O: Ops>(&self, o: &O, inputs: &Inputs<O::T>) -> O::T {
        let labels = inputs.class_labels.as_ref();
        let time = |timestep: &O::T| {
            let sinusoids = timestep_embedding(o, timestep, self.mid_features);
            let time = o.leaky_relu(&self.t_proj.forward(o, &sinusoids), SLOPE);
            self.temporal.enc.forward(o, &self.condition.forward(o, time, labels))
        };
        match labels {
            None => o.by_timestep(&inputs.timestep, time),
            Some(_) => time(&inputs.timestep),
        }
    }

    /// Returns the name of the parameter that `name` repeats, if it is a repeat.
    ///
    /// The reference's checkpoints hold the one temporal layer once per application:
    /// `temp_fc.2.fc1.weight` is `temp_fc.0.fc1.weight`.
    pub(crate) fn shared_name(&self, name: &str) -> Option<String> {
        let (layer, rest) = name.strip_prefix("temp_fc.")?.split_once('.')?;
        let layer: i64 = layer.parse().ok()?;
        (1..self.num_temporal_layers).contains(&layer).then(|| format!("temp_fc.0.{rest}"))
    }
}

/// h + fc2(lrelu(norm2(fc1(lrelu(norm1 h)) + time))).
#[derive(Debug)]
struct TemporalLayer {
    norm1: LayerNorm,
    fc1: Linear,
    norm2: LayerNorm,
    fc2: Linear,
    /// Makes `time`; the network runs it once, as the result is the same for every layer.
    enc: Linear,
}

impl TemporalLayer {
    fn new(scope: &Scope<'_>, mid: i64) -> Result<Self, ConfigError> {
        Ok(Self {
            norm1: LayerNorm::new(&scope.sub("norm1"), mid)?,
            fc1: Linear::without_bias(&scope.sub("fc1"), [mid, mid])?,
            norm2: LayerNorm::new(&scope.sub("norm2"), mid)?,
            fc2: Linear::without_bias(&scope.sub("fc2"), [mid, mid])?,
            enc: Linear::new(&scope.sub("enc"), [mid, mid])?,
        })
    }

    /// Applies the layer to `h` and `time`, both `[B, mid]`.
    fn forward<O: Ops>(&self, o: &O, h: &O::T, time: &O::T) -> O::T {
        let update = self.fc1.forward(o, &o.leaky_relu(&self.norm1.forward(o, h), SLOPE));
        let update = self.norm2.forward(o, &o.add(&update, time));
        o.add(h, &self.fc2.forward(o, &o.leaky_relu(&update, SLOPE)))
    }
}

//! Self-attention, and the projections before it.

use ddpm_graph::attributes::Attr;
use ddpm_network::Param;
use tch::Tensor;

use super::super::tape::{Call, Step};
use super::pictures::Conv;
use super::spelling::Speller;
use super::values::Spelled;

impl Speller<'_> {
    /// Writes `MultiHeadAttention`.
    pub(super) fn attention(&mut self, step: &Step, heads: i64) -> Spelled {
        let packed = self.picture(step.inputs[0]);
        let [height, width, channels] = packed.shape[..] else { unreachable!("a picture") };
        let (pixels, inner) = (height * width, channels / 3);
        let like = Spelled { shape: vec![pixels, inner], ..packed.clone() };
        let attrs = [("num_heads", Attr::Int(heads))];
        let mixed = if self.plan.packs(step.inputs[0]) {
            let query = self.writer.reshape(&packed, &[pixels, heads, 3, inner / heads]);
            let [mixed] =
                self.writer.contributed("MultiHeadAttention", &[&query.name], &attrs, &like);
            mixed
        } else {
            self.count("split of queries, keys and values");
            let flat = self.writer.reshape(&packed, &[pixels, channels]);
            let parts: [Spelled; 3] = self.writer.split(&flat, 2, inner);
            let inputs = parts.each_ref().map(|part| &*part.name);
            let [mixed] = self.writer.contributed("MultiHeadAttention", &inputs, &attrs, &like);
            mixed
        };
        self.writer.reshape(&mixed, &[height, width, inner])
    }

    /// Writes the projections to queries, keys and values as one.
    pub(super) fn projections(&mut self, number: usize, step: &Step) -> Spelled {
        let parts: Vec<(&Param, &Param)> = step
            .inputs
            .iter()
            .map(|&part| match &self.steps[part].call {
                Call::PixelLinear { weight, bias } => (weight, bias),
                _ => unreachable!("the plan merges projections only"),
            })
            .collect();
        let join = |params: Vec<&Param>| Param {
            name: params.iter().map(|param| param.name.as_str()).collect::<Vec<_>>().join("+"),
            value: Tensor::cat(&params.iter().map(|param| &param.value).collect::<Vec<_>>(), 0),
        };
        let weight = join(parts.iter().map(|part| part.0).collect());
        let bias = join(parts.iter().map(|part| part.1).collect());
        let input = self.steps[step.inputs[0]].inputs[0];
        self.conv(number, input, &Conv::of_pixels(&weight, &bias))
    }

    /// Reorders the outputs of a projection before attention from [q, k, v] by head to heads of
    /// [q, k, v].
    pub(super) fn packed(&self, number: usize, projection: &Tensor) -> Tensor {
        let Some(heads) = self.heads_after(number) else { return projection.shallow_clone() };
        let size = projection.size();
        let split = [&[3, heads, size[0] / (3 * heads)], &size[1..]].concat();
        projection.reshape(split).transpose(0, 1).reshape(size)
    }

    /// Returns the heads of the attention that a step packs for, if it does.
    fn heads_after(&self, number: usize) -> Option<i64> {
        let after = self.plan.only_use(number).filter(|_| self.plan.packs(number))?;
        match self.steps[after].call {
            Call::Attention { heads } => Some(heads),
            _ => None,
        }
    }
}

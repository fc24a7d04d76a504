//! Group norms: fused where ONNX Runtime's kernel takes them, in plain operators elsewhere.

use ddpm_graph::attributes::Attr;
use ddpm_graph::format::DataType;
use ddpm_network::Param;

use super::values::{Spelled, Writer};

/// Settings of a group norm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm<'a> {
    pub(super) groups: i64,
    pub(super) weight: &'a Param,
    pub(super) bias: &'a Param,
    pub(super) eps: f64,
    /// Whether x · sigmoid(x) follows.
    pub(super) swish: bool,
}

impl Norm<'_> {
    /// Writes `GroupNorm`.
    pub(super) fn fused(&self, w: &mut Writer, x: &Spelled) -> Spelled {
        let inputs = [&*x.name, w.trace.param(self.weight), w.trace.param(self.bias)];
        let [normed] = w.contributed("GroupNorm", &inputs, &self.attributes(), x);
        normed
    }

    /// Writes `SkipGroupNorm`, the norm of `x` + `skip`.
    ///
    /// * `skip`: of the shape of `x`, or one number per channel.
    ///
    /// Returns the norm, and the sum if `keep_sum`.
    pub(super) fn fused_with_sum(
        &self,
        w: &mut Writer,
        x: &Spelled,
        skip: &Spelled,
        keep_sum: bool,
    ) -> (Spelled, Option<Spelled>) {
        let (weight, bias) = (w.trace.param(self.weight), w.trace.param(self.bias));
        let inputs = [&*x.name, weight, bias, &*skip.name];
        if keep_sum {
            let [normed, sum] = w.contributed("SkipGroupNorm", &inputs, &self.attributes(), x);
            return (normed, Some(sum));
        }
        let [normed] = w.contributed("SkipGroupNorm", &inputs, &self.attributes(), x);
        (normed, None)
    }

    fn attributes(&self) -> [(&'static str, Attr<'static>); 4] {
        [
            ("groups", Attr::Int(self.groups)),
            ("epsilon", Attr::Float(self.eps)),
            ("activation", Attr::Int(self.swish.into())),
            ("channels_last", Attr::Int(1)),
        ]
    }

    /// Writes the norm in plain operators, in f32.
    pub(super) fn plain(&self, w: &mut Writer, x: &Spelled) -> Spelled {
        let [height, width, channels] = x.shape[..] else { unreachable!("a picture") };
        let full = w.cast(x, DataType::Float);
        let per_group = channels / self.groups;
        let grouped = w.reshape(&full, &[height * width, self.groups, per_group]);
        let mean = mean(w, &grouped);
        let centred = w.node("Sub", &[&grouped.name, &mean.name], &[], &grouped);
        let squares = w.node("Mul", &[&centred.name, &centred.name], &[], &grouped);
        let variance = self::mean(w, &squares);
        let eps = w.trace.floats(&[self.eps as f32]);
        let raised = w.node("Add", &[&variance.name, &eps], &[], &variance);
        let deviation = w.node("Sqrt", &[&raised.name], &[], &variance);
        let normed = w.node("Div", &[&centred.name, &deviation.name], &[], &grouped);
        let normed = w.reshape(&normed, &full.shape);
        let scaled = w.node("Mul", &[&normed.name, w.trace.param(self.weight)], &[], &full);
        let shifted = w.node("Add", &[&scaled.name, w.trace.param(self.bias)], &[], &full);
        let active = if self.swish { silu(w, &shifted) } else { shifted };
        w.cast(&active, x.data_type)
    }
}

/// Writes the mean over the pixels and channels of each group: `[H W, groups, channels]` →
/// `[1, groups, 1]`.
fn mean(w: &mut Writer, x: &Spelled) -> Spelled {
    let axes = w.trace.ints(&[1, 3]);
    let like = Spelled { shape: vec![1, x.shape[1], 1], ..x.clone() };
    w.node("ReduceMean", &[&x.name, &axes], &[("keepdims", Attr::Int(1))], &like)
}

/// Writes x · sigmoid(x).
pub(super) fn silu(w: &mut Writer, x: &Spelled) -> Spelled {
    let gate = w.node("Sigmoid", &[&x.name], &[], x);
    w.node("Mul", &[&x.name, &gate.name], &[], x)
}

//! Decides which calls of a network one node computes together.

use super::super::tape::{Call, Step};

/// Returns whether the fused norm takes groups of this size: it reads channels in pairs, and one
/// block, which holds at most 512 channels, sums a group.
///
/// # Source
///
/// `contrib_ops/cuda/diffusion/group_norm_common_base.h` of ONNX Runtime.
fn fits_fused_norm(channels: i64, groups: i64) -> bool {
    const MOST: i64 = 512;
    let per_group = channels / groups;
    per_group % 2 == 0 && per_group <= MOST
}

/// The fusions of a recorded network.
#[derive(Debug)]
pub(super) struct Plan {
    /// By step: the steps that take its result, in order.
    uses: Vec<Vec<usize>>,
    /// By step: the one whose node computes it too.
    absorbed_by: Vec<Option<usize>>,
    /// By norm: whether the fused kernel takes it.
    fits: Vec<bool>,
    /// By norm: whether a SiLU follows and is computed with it.
    swish: Vec<bool>,
    /// By norm: the sum before it, if computed with it.
    sum: Vec<Option<usize>>,
    /// By step: whether it makes queries, keys and values, head by head, for one attention.
    packs: Vec<bool>,
    /// The convolution that makes the output.
    last_conv: Option<usize>,
}

impl Plan {
    pub(super) fn new(steps: &[Step]) -> Self {
        let mut uses = vec![Vec::new(); steps.len()];
        for (number, step) in steps.iter().enumerate() {
            step.inputs.iter().for_each(|&input| uses[input].push(number));
        }
        let is_conv = |step: &Step| matches!(step.call, Call::Conv { .. });
        let mut plan = Self {
            uses,
            absorbed_by: vec![None; steps.len()],
            fits: vec![false; steps.len()],
            swish: vec![false; steps.len()],
            sum: vec![None; steps.len()],
            packs: vec![false; steps.len()],
            last_conv: steps.iter().rposition(is_conv),
        };
        for (number, step) in steps.iter().enumerate() {
            match step.call {
                Call::GroupNorm { groups, .. } => {
                    plan.fits[number] = fits_fused_norm(step.shape[0], groups);
                    plan.fuse_norm(steps, number);
                }
                Call::Attention { .. } => plan.merge_projections(steps, step.inputs[0]),
                _ => {}
            }
        }
        plan
    }

    fn fuse_norm(&mut self, steps: &[Step], norm: usize) {
        if let [only] = self.uses[norm][..]
            && matches!(steps[only].call, Call::Silu)
        {
            self.swish[norm] = true;
            self.absorbed_by[only] = Some(norm);
        }
        let before = steps[norm].inputs[0];
        let is_sum = matches!(steps[before].call, Call::Add | Call::AddPerChannel);
        if self.fits[norm] && is_sum && self.uses[before][0] == norm {
            self.sum[norm] = Some(before);
            self.absorbed_by[before] = Some(norm);
        }
    }

    /// Lets a projection before attention, or the concatenation of three, be one that packs.
    fn merge_projections(&mut self, steps: &[Step], qkv: usize) {
        if self.uses[qkv].len() != 1 {
            return;
        }
        let parts = &steps[qkv].inputs;
        let is_projection = |&part: &usize| {
            matches!(steps[part].call, Call::PixelLinear { .. })
                && self.uses[part].len() == 1
                && steps[part].inputs == steps[parts[0]].inputs
        };
        match steps[qkv].call {
            Call::Conv { .. } | Call::PixelLinear { .. } => self.packs[qkv] = true,
            Call::Concat if parts.iter().all(is_projection) => {
                self.packs[qkv] = true;
                parts.iter().for_each(|&part| self.absorbed_by[part] = Some(qkv));
            }
            _ => {}
        }
    }

    /// Returns whether another step's node computes this one.
    pub(super) fn is_absorbed(&self, step: usize) -> bool {
        self.absorbed_by[step].is_some()
    }

    /// Returns whether the fused kernel takes a norm.
    pub(super) fn fits(&self, norm: usize) -> bool {
        self.fits[norm]
    }

    /// Returns whether the node of a norm applies SiLU.
    pub(super) fn swish(&self, norm: usize) -> bool {
        self.swish[norm]
    }

    /// Returns the sum that the node of a norm computes, if any.
    pub(super) fn sum(&self, norm: usize) -> Option<usize> {
        self.sum[norm]
    }

    /// Returns whether anything but the step `other` takes the result of a step.
    pub(super) fn is_used_beside(&self, step: usize, other: usize) -> bool {
        self.uses[step].iter().any(|&user| user != other)
    }

    /// Returns the only user of a step, if there is one.
    pub(super) fn only_use(&self, step: usize) -> Option<usize> {
        match self.uses[step][..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Returns whether every user of a step has a property.
    pub(super) fn all_uses(&self, step: usize, property: impl Fn(usize) -> bool) -> bool {
        self.uses[step].iter().all(|&user| property(user))
    }

    /// Returns whether a step makes queries, keys and values, head by head, for one attention.
    pub(super) fn packs(&self, step: usize) -> bool {
        self.packs[step]
    }

    /// Returns whether a convolution makes the output: it stays in f32.
    pub(super) fn is_last_conv(&self, step: usize) -> bool {
        self.last_conv == Some(step)
    }
}

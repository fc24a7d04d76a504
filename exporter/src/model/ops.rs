//! The vocabulary that networks are written in.
//!
//! Every value stands for a batch: its first axis, B, is free. Parameters are handed over as
//! [`Param`], not as values, so that an implementation knows their names and shapes. The words are
//! as large as they can be without losing parity (a whole GroupNorm, a whole attention), because
//! each backend has its own best way to say them.

use tch::Tensor;

/// A learnable tensor, and its name in checkpoints and in ONNX files.
#[derive(Debug)]
pub struct Param {
    /// Dotted, as in the reference's checkpoints: `middle.0.conv1.weight`.
    pub name: String,
    /// A handle to the tensor in the `VarStore`.
    pub value: Tensor,
}

/// Tensor operations, either done at once or recorded.
///
/// Shapes are part of the contract: a network that breaks them is a bug, and implementations may
/// panic.
pub trait Ops {
    /// A tensor, or a name for one. Its first axis is the batch.
    type T;

    /// 2-D convolution, zero padded: `[B, I, H, W]` → `[B, O, H', W']`.
    ///
    /// * `weight`: `[O, I, k, k]`; `bias`: `[O]`.
    /// * `stride`: of both axes.
    /// * `pads`: rows or columns of zeros at `[top, left, bottom, right]`.
    fn conv2d(
        &self,
        x: &Self::T,
        weight: &Param,
        bias: &Param,
        stride: i64,
        pads: [i64; 4],
    ) -> Self::T;

    /// x Wᵀ + b: `[B, I]` → `[B, O]`, with `weight` `[O, I]` and `bias` `[O]`.
    fn linear(&self, x: &Self::T, weight: &Param, bias: Option<&Param>) -> Self::T;

    /// x Wᵀ + b at every pixel: `[B, I, H, W]` → `[B, O, H, W]`, with `weight` `[O, I]` and `bias`
    /// `[O]`.
    fn pixel_linear(&self, x: &Self::T, weight: &Param, bias: &Param) -> Self::T;

    /// Rows of a table: int64 `[B]` → `[B, D]`, with `table` `[N, D]` and indices in 0..N.
    fn embedding(&self, table: &Param, indices: &Self::T) -> Self::T;

    /// Each of `groups` equal groups of channels to mean 0 and variance 1, then scaled and shifted
    /// by channel: `[B, C, H, W]` → the same, with `weight` and `bias` `[C]`.
    fn group_norm(
        &self,
        x: &Self::T,
        groups: i64,
        weight: &Param,
        bias: &Param,
        eps: f64,
    ) -> Self::T;

    /// Each row to mean 0 and variance 1, then scaled and shifted: `[B, D]` → the same.
    fn layer_norm(&self, x: &Self::T, weight: &Param, bias: &Param, eps: f64) -> Self::T;

    /// x · sigmoid(x), any shape.
    fn silu(&self, x: &Self::T) -> Self::T;

    /// max(x, slope · x) for a slope in [0, 1), any shape.
    fn leaky_relu(&self, x: &Self::T, slope: f64) -> Self::T;

    /// In training, zeroes elements with probability `rate` and scales the others by
    /// 1 / (1 - rate); otherwise returns `x`. Any shape.
    fn dropout(&self, x: Self::T, rate: f64) -> Self::T;

    /// Self-attention over pixels: `[B, 3 C, H, W]` → `[B, C, H, W]`.
    ///
    /// Channels of `qkv` are queries, keys and values, C each, and each of `heads` has d = C / heads
    /// successive channels of them; weights are softmax(q·k / √d) over the keys.
    fn attention(&self, qkv: &Self::T, heads: i64) -> Self::T;

    /// Mean of 2 × 2 pixels: `[B, C, H, W]` → `[B, C, ⌈H/2⌉, ⌈W/2⌉]`. At an odd edge the mean is
    /// over the pixels there are.
    fn average_pool2x2(&self, x: &Self::T) -> Self::T;

    /// Squares of `block` × `block` pixels as channels: `[B, C, H, W]` → `[B, C b², H/b, W/b]`, where
    /// channel c b² + i b + j has pixel (i, j) of each square of channel c. H and W are multiples of b.
    fn pixel_unshuffle(&self, x: &Self::T, block: i64) -> Self::T;

    /// The way back: `[B, C b², H, W]` → `[B, C, b H, b W]`.
    fn pixel_shuffle(&self, x: &Self::T, block: i64) -> Self::T;

    /// Every pixel four times: `[B, C, H, W]` → `[B, C, 2 H, 2 W]`.
    fn upsample2x(&self, x: &Self::T) -> Self::T;

    /// [`upsample2x`](Self::upsample2x), then a convolution of 3 × 3 that keeps that size: weight
    /// `[O, I, 3, 3]`, bias `[O]`, `[B, I, H, W]` → `[B, O, 2 H, 2 W]`.
    fn upsample2x_conv3x3(&self, x: &Self::T, weight: &Param, bias: &Param) -> Self::T {
        self.conv2d(&self.upsample2x(x), weight, bias, 1, [1; 4])
    }

    /// The top left corner: `[B, C, H, W]` → `[B, C, height, width]`, no larger than before.
    fn crop(&self, x: &Self::T, size: [i64; 2]) -> Self::T;

    /// Side by side along axis 1 (channels or features); all other axes are equal.
    fn concat(&self, parts: &[&Self::T]) -> Self::T;

    /// a + b, of equal shape.
    fn add(&self, a: &Self::T, b: &Self::T) -> Self::T;

    /// Adds one number a channel: `[B, C, H, W]` + `[B, C]` → `[B, C, H, W]`.
    fn add_per_channel(&self, x: &Self::T, shift: &Self::T) -> Self::T;

    /// x (1 + scale) + shift, one of each a channel: `[B, C, H, W]` and `[B, 2 C]`, all scales before
    /// all shifts, → `[B, C, H, W]`.
    fn scale_shift_per_channel(&self, x: &Self::T, scale_shift: &Self::T) -> Self::T;

    /// factor · x + offset, any shape.
    fn affine(&self, x: &Self::T, factor: f32, offset: f32) -> Self::T;

    /// Each element times each constant, f32: `[B]` → `[B, row.len()]`.
    fn outer(&self, x: &Self::T, row: &[f32]) -> Self::T;

    /// What `of` makes of each timestep, `[B]` → `[B, …]`, where a row depends on its own timestep alone:
    /// those that repeat need not be computed again.
    fn by_timestep(&self, timestep: &Self::T, of: impl Fn(&Self::T) -> Self::T) -> Self::T {
        of(timestep)
    }

    /// Sine in radians, any shape.
    fn sin(&self, x: &Self::T) -> Self::T;

    /// Cosine in radians, any shape.
    fn cos(&self, x: &Self::T) -> Self::T;
}

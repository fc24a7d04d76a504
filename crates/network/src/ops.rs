//! The vocabulary that networks are written in.
//!
//! Every value is a batch: its first axis, B, is free. Parameters are passed as [`Param`], not as
//! values, so that an implementation knows their names and shapes. Operations are as coarse as
//! parity allows (a whole GroupNorm, a whole attention), because each backend has its own best way
//! to compute them.

use tch::Tensor;

/// A learnable tensor, and its name in checkpoints and in ONNX files.
#[derive(Debug)]
pub struct Param {
    /// Dotted, as in the reference's checkpoints: `middle.0.conv1.weight`.
    pub name: String,
    /// A handle to the tensor in the `VarStore`.
    pub value: Tensor,
}

impl Param {
    /// Returns another handle to the same tensor.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self { name: self.name.clone(), value: self.value.shallow_clone() }
    }
}

/// Tensor operations, computed at once or recorded.
///
/// Shapes are part of the contract: a network that breaks them is a bug, and implementations may
/// panic.
pub trait Ops {
    /// A tensor, or a name for one. Its first axis is the batch.
    type T;

    /// Convolves in 2-D, with zero padding: `[B, I, H, W]` → `[B, O, H', W']`.
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

    /// Computes x Wᵀ + b: `[B, I]` → `[B, O]`, with `weight` `[O, I]` and `bias` `[O]`.
    fn linear(&self, x: &Self::T, weight: &Param, bias: Option<&Param>) -> Self::T;

    /// Computes x Wᵀ + b at every pixel: `[B, I, H, W]` → `[B, O, H, W]`, with `weight` `[O, I]`
    /// and `bias` `[O]`.
    fn pixel_linear(&self, x: &Self::T, weight: &Param, bias: &Param) -> Self::T;

    /// Looks up rows of a table: int64 `[B]` → `[B, D]`, with `table` `[N, D]` and indices in 0..N.
    fn embedding(&self, table: &Param, indices: &Self::T) -> Self::T;

    /// Normalises each of `groups` equal groups of channels to mean 0 and variance 1, then scales
    /// and shifts by channel: `[B, C, H, W]` → the same, with `weight` and `bias` `[C]`.
    fn group_norm(
        &self,
        x: &Self::T,
        groups: i64,
        weight: &Param,
        bias: &Param,
        eps: f64,
    ) -> Self::T;

    /// Normalises each row to mean 0 and variance 1, then scales and shifts: `[B, D]` → the same.
    fn layer_norm(&self, x: &Self::T, weight: &Param, bias: &Param, eps: f64) -> Self::T;

    /// Computes x · sigmoid(x), any shape.
    fn silu(&self, x: &Self::T) -> Self::T;

    /// Computes max(x, slope · x) for a slope in [0, 1), any shape.
    fn leaky_relu(&self, x: &Self::T, slope: f64) -> Self::T;

    /// Zeroes elements with probability `rate` in training, and scales the others by
    /// 1 / (1 - rate); otherwise returns `x`. Any shape.
    fn dropout(&self, x: Self::T, rate: f64) -> Self::T;

    /// Computes self-attention over pixels: `[B, 3 C, H, W]` → `[B, C, H, W]`.
    ///
    /// The channels of `qkv` are queries, keys and values, C each; a head has d = C / heads
    /// successive channels of each. Weights are softmax(q·k / √d) over the keys.
    fn attention(&self, qkv: &Self::T, heads: i64) -> Self::T;

    /// Averages 2 × 2 pixels: `[B, C, H, W]` → `[B, C, ⌈H/2⌉, ⌈W/2⌉]`. At an odd edge the mean is
    /// over the remaining pixels.
    fn average_pool2x2(&self, x: &Self::T) -> Self::T;

    /// Turns squares of `block` × `block` pixels into channels: `[B, C, H, W]` →
    /// `[B, C b², H/b, W/b]`, where channel c b² + i b + j has pixel (i, j) of each square of
    /// channel c. H and W are multiples of b.
    fn pixel_unshuffle(&self, x: &Self::T, block: i64) -> Self::T;

    /// Inverts [`pixel_unshuffle`](Self::pixel_unshuffle): `[B, C b², H, W]` → `[B, C, b H, b W]`.
    fn pixel_shuffle(&self, x: &Self::T, block: i64) -> Self::T;

    /// Repeats every pixel four times: `[B, C, H, W]` → `[B, C, 2 H, 2 W]`.
    fn upsample2x(&self, x: &Self::T) -> Self::T;

    /// Applies [`upsample2x`](Self::upsample2x), then a 3 × 3 convolution that keeps that size:
    /// weight `[O, I, 3, 3]`, bias `[O]`, `[B, I, H, W]` → `[B, O, 2 H, 2 W]`.
    fn upsample2x_conv3x3(&self, x: &Self::T, weight: &Param, bias: &Param) -> Self::T {
        self.conv2d(&self.upsample2x(x), weight, bias, 1, [1; 4])
    }

    /// Keeps the top left corner: `[B, C, H, W]` → `[B, C, height, width]`, no larger than before.
    fn crop(&self, x: &Self::T, size: [i64; 2]) -> Self::T;

    /// Concatenates along axis 1 (channels or features); all other axes are equal.
    fn concat(&self, parts: &[&Self::T]) -> Self::T;

    /// Computes a + b, of equal shape.
    fn add(&self, a: &Self::T, b: &Self::T) -> Self::T;

    /// Adds one number per channel: `[B, C, H, W]` + `[B, C]` → `[B, C, H, W]`.
    fn add_per_channel(&self, x: &Self::T, shift: &Self::T) -> Self::T;

    /// Computes x (1 + scale) + shift per channel: `[B, C, H, W]` and `[B, 2 C]`, all scales before
    /// all shifts, → `[B, C, H, W]`.
    fn scale_shift_per_channel(&self, x: &Self::T, scale_shift: &Self::T) -> Self::T;

    /// Computes factor · x + offset, any shape.
    fn affine(&self, x: &Self::T, factor: f32, offset: f32) -> Self::T;

    /// Multiplies each element by each constant, f32: `[B]` → `[B, row.len()]`.
    fn outer(&self, x: &Self::T, row: &[f32]) -> Self::T;

    /// Applies `compute`, `[B]` → `[B, …]`, whose rows each depend on their own timestep alone; an
    /// implementation may compute repeated timesteps once.
    fn by_timestep(&self, timestep: &Self::T, compute: impl Fn(&Self::T) -> Self::T) -> Self::T {
        compute(timestep)
    }

    /// Computes the sine, in radians, any shape.
    fn sin(&self, x: &Self::T) -> Self::T;

    /// Computes the cosine, in radians, any shape.
    fn cos(&self, x: &Self::T) -> Self::T;
}

//! The vocabulary, computed at once by libtorch; differentiable unless autograd is off.

use tch::{Device, Kind, Tensor};

use super::masks::Masks;
use super::ops::{Ops, Param};

/// Computes with tch on the device of its operands.
#[derive(Debug, Clone, Copy)]
pub struct Eager<'a> {
    /// Whether dropout drops.
    pub train: bool,
    /// Dropout masks, on the CPU; absent: drawn by libtorch's global generator.
    pub masks: Option<&'a Masks>,
}

impl Ops for Eager<'_> {
    type T = Tensor;

    fn conv2d(
        &self,
        x: &Tensor,
        weight: &Param,
        bias: &Param,
        stride: i64,
        [top, left, bottom, right]: [i64; 4],
    ) -> Tensor {
        let convolve = |x: &Tensor, padding: [i64; 2]| {
            x.conv2d(&weight.value, Some(&bias.value), [stride; 2], padding, [1; 2], 1)
        };
        if (top, left) == (bottom, right) {
            convolve(x, [top, left])
        } else {
            convolve(&x.constant_pad_nd([left, right, top, bottom]), [0; 2])
        }
    }

    fn linear(&self, x: &Tensor, weight: &Param, bias: Option<&Param>) -> Tensor {
        x.linear(&weight.value, bias.map(|bias| &bias.value))
    }

    fn pixel_linear(&self, x: &Tensor, weight: &Param, bias: &Param) -> Tensor {
        let kernel = weight.value.unsqueeze(-1).unsqueeze(-1);
        x.conv2d(&kernel, Some(&bias.value), [1; 2], [0; 2], [1; 2], 1)
    }

    fn embedding(&self, table: &Param, indices: &Tensor) -> Tensor {
        const NO_PADDING_ROW: i64 = -1;
        Tensor::embedding(&table.value, indices, NO_PADDING_ROW, false, false)
    }

    fn group_norm(
        &self,
        x: &Tensor,
        groups: i64,
        weight: &Param,
        bias: &Param,
        eps: f64,
    ) -> Tensor {
        x.group_norm(groups, Some(&weight.value), Some(&bias.value), eps, true)
    }

    fn layer_norm(&self, x: &Tensor, weight: &Param, bias: &Param, eps: f64) -> Tensor {
        x.layer_norm(weight.value.size(), Some(&weight.value), Some(&bias.value), eps, true)
    }

    fn silu(&self, x: &Tensor) -> Tensor {
        x.silu()
    }

    fn leaky_relu(&self, x: &Tensor, slope: f64) -> Tensor {
        ddpm_torch::leaky_relu(x, slope).expect("libtorch has a leaky ReLU of any floats")
    }

    fn dropout(&self, x: Tensor, rate: f64) -> Tensor {
        match self.masks {
            _ if !self.train || rate == 0.0 => x,
            None => x.dropout(rate, true),
            Some(masks) => &x * masks.next(&x.size(), rate).to_kind(x.kind()),
        }
    }

    fn attention(&self, qkv: &Tensor, heads: i64) -> Tensor {
        let size = qkv.size();
        let (batch, channels) = (size[0], size[1] / 3);
        let (height, width) = (size[2], size[3]);
        // [B, 3 C, H, W] → [B, H W, 3 C]; the fused kernels want channels innermost.
        let rows = qkv.flatten(2, 3).transpose(1, 2).contiguous();
        let parts = rows
            .view([batch, height * width, 3, heads, channels / heads])
            .permute([2, 0, 3, 1, 4])
            .unbind(0);
        let (q, k, v) = (&parts[0], &parts[1], &parts[2]);
        let no_mask = None::<&Tensor>;
        Tensor::scaled_dot_product_attention(q, k, v, no_mask, 0.0, false, None, false)
            .transpose(2, 3)
            .reshape([batch, channels, height, width])
    }

    fn pixel_unshuffle(&self, x: &Tensor, block: i64) -> Tensor {
        x.pixel_unshuffle(block)
    }

    fn pixel_shuffle(&self, x: &Tensor, block: i64) -> Tensor {
        x.pixel_shuffle(block)
    }

    fn average_pool2x2(&self, x: &Tensor) -> Tensor {
        let (ceil_mode, count_include_pad) = (true, false);
        x.avg_pool2d([2, 2], [2, 2], [0, 0], ceil_mode, count_include_pad, None)
    }

    fn upsample2x(&self, x: &Tensor) -> Tensor {
        let size = x.size();
        x.upsample_nearest2d([2 * size[2], 2 * size[3]], None, None)
    }

    fn upsample2x_conv3x3(&self, x: &Tensor, weight: &Param, bias: &Param) -> Tensor {
        // The doubling kernel has not been measured on GPUs.
        if x.device() != Device::Cpu {
            return self.conv2d(&self.upsample2x(x), weight, bias, 1, [1; 4]);
        }
        let kernel = doubling_kernel(&weight.value);
        x.conv_transpose2d(&kernel, Some(&bias.value), [2; 2], [1; 2], [0; 2], 1, [1; 2])
    }

    fn crop(&self, x: &Tensor, [height, width]: [i64; 2]) -> Tensor {
        x.narrow(2, 0, height).narrow(3, 0, width)
    }

    fn concat(&self, parts: &[&Tensor]) -> Tensor {
        Tensor::cat(parts, 1)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        a + b
    }

    fn add_per_channel(&self, x: &Tensor, shift: &Tensor) -> Tensor {
        x + shift.unsqueeze(-1).unsqueeze(-1)
    }

    fn scale_shift_per_channel(&self, x: &Tensor, scale_shift: &Tensor) -> Tensor {
        let parts = scale_shift.unsqueeze(-1).unsqueeze(-1).chunk(2, 1);
        x * (&parts[0] + 1.0) + &parts[1]
    }

    fn affine(&self, x: &Tensor, factor: f32, offset: f32) -> Tensor {
        x * f64::from(factor) + f64::from(offset)
    }

    fn outer(&self, x: &Tensor, row: &[f32]) -> Tensor {
        let row = Tensor::from_slice(row).to_device(x.device());
        x.to_kind(Kind::Float).unsqueeze(1) * row
    }

    fn by_timestep(&self, timestep: &Tensor, compute: impl Fn(&Tensor) -> Tensor) -> Tensor {
        // On a GPU, counting distinct timesteps would wait for it.
        if timestep.device() != Device::Cpu {
            return compute(timestep);
        }
        let (sorted, return_inverse, return_counts) = (true, true, false);
        let (distinct, inverse, _) =
            timestep.internal_unique2(sorted, return_inverse, return_counts);
        if 2 * distinct.numel() > timestep.numel() {
            return compute(timestep);
        }
        compute(&distinct).index_select(0, &inverse)
    }

    fn sin(&self, x: &Tensor) -> Tensor {
        x.sin()
    }

    fn cos(&self, x: &Tensor) -> Tensor {
        x.cos()
    }
}

/// Returns the kernel whose transposed convolution, at stride 2 and padding 1, equals up-sampling
/// followed by the convolution with `weight`: `[O, I, 3, 3]` → `[I, O, 4, 4]`.
///
/// Taps that meet the same pixel are summed first, so an output pixel costs 4 products, not 9.
fn doubling_kernel(weight: &Tensor) -> Tensor {
    // Along one axis: which of the 3 taps (columns) add up to each of the 4 (rows).
    const SUMS: [[f32; 3]; 4] =
        [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
    let sums = Tensor::from_slice2(&SUMS);
    // One matrix product for both axes: large batches of small ones take longer.
    let both = sums.kron(&sums).tr();
    let size = weight.size();
    weight.reshape([-1, 9]).matmul(&both).view([size[0], size[1], 4, 4]).transpose(0, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_convolution_of_the_doubled_image_is_that_of_its_pixels_each_four_times() {
        let eager = Eager { train: false, masks: None };
        let values = |size: &[i64], step: f64| {
            let count = size.iter().product::<i64>();
            (Tensor::arange(count, (Kind::Float, Device::Cpu)) * step).sin().reshape(size)
        };
        let param = |value: Tensor| Param { value, name: String::new() };
        let (weight, bias) = (param(values(&[3, 2, 3, 3], 0.7)), param(values(&[3], 0.9)));
        for [height, width] in [[4, 6], [1, 1], [3, 5]] {
            let x = values(&[2, 2, height, width], 1.3);
            let got = eager.upsample2x_conv3x3(&x, &weight, &bias);
            let expected = eager.conv2d(&eager.upsample2x(&x), &weight, &bias, 1, [1; 4]);
            assert_eq!(got.size(), [2, 3, 2 * height, 2 * width]);
            let off = (got - expected).abs().max().double_value(&[]);
            assert!(off < 1e-5, "{height} × {width}: {off}");
        }
    }
}

//! Runs a network in libtorch and shows what goes through its layers.

use std::cell::RefCell;

use ddpm_network::{Eager, Ops, Param};
use tch::Tensor;

/// Takes note of values inside a network.
pub(crate) trait Watcher {
    /// Sees the input of a convolution.
    ///
    /// * `layer`: the name of its weight.
    fn input(&mut self, layer: &str, x: &Tensor) {
        let _ = (layer, x);
    }

    /// Sees the result of a convolution, before anything else is done to it.
    fn output(&mut self, layer: &str, y: &Tensor) {
        let _ = (layer, y);
    }

    /// Sees a result inside the network.
    ///
    /// * `layer`: the name of the last weight or table that was used.
    fn result(&mut self, layer: &str, x: &Tensor) {
        let _ = (layer, x);
    }
}

/// Computes with libtorch, and shows values to a [`Watcher`].
pub(crate) struct Watched<'w, W> {
    watcher: RefCell<&'w mut W>,
    layer: RefCell<String>,
}

const EAGER: Eager<'static> = Eager { train: false, masks: None };

impl<'w, W: Watcher> Watched<'w, W> {
    pub(crate) fn new(watcher: &'w mut W) -> Self {
        Self { watcher: RefCell::new(watcher), layer: RefCell::default() }
    }

    /// Remembers the layer that is at work.
    fn enter(&self, param: &Param) {
        self.layer.replace(param.name.clone());
    }

    fn see(&self, x: Tensor) -> Tensor {
        self.watcher.borrow_mut().result(&self.layer.borrow(), &x);
        x
    }

    fn convolved(&self, weight: &Param, x: &Tensor, convolve: impl FnOnce() -> Tensor) -> Tensor {
        self.enter(weight);
        self.watcher.borrow_mut().input(&weight.name, x);
        let y = convolve();
        self.watcher.borrow_mut().output(&weight.name, &y);
        self.see(y)
    }
}

impl<W: Watcher> Ops for Watched<'_, W> {
    type T = Tensor;

    fn conv2d(
        &self,
        x: &Tensor,
        weight: &Param,
        bias: &Param,
        stride: i64,
        pads: [i64; 4],
    ) -> Tensor {
        self.convolved(weight, x, || EAGER.conv2d(x, weight, bias, stride, pads))
    }

    fn linear(&self, x: &Tensor, weight: &Param, bias: Option<&Param>) -> Tensor {
        self.enter(weight);
        self.see(EAGER.linear(x, weight, bias))
    }

    fn pixel_linear(&self, x: &Tensor, weight: &Param, bias: &Param) -> Tensor {
        self.convolved(weight, x, || EAGER.pixel_linear(x, weight, bias))
    }

    fn embedding(&self, table: &Param, indices: &Tensor) -> Tensor {
        self.enter(table);
        EAGER.embedding(table, indices)
    }

    fn group_norm(
        &self,
        x: &Tensor,
        groups: i64,
        weight: &Param,
        bias: &Param,
        eps: f64,
    ) -> Tensor {
        self.enter(weight);
        self.see(EAGER.group_norm(x, groups, weight, bias, eps))
    }

    fn layer_norm(&self, x: &Tensor, weight: &Param, bias: &Param, eps: f64) -> Tensor {
        self.enter(weight);
        EAGER.layer_norm(x, weight, bias, eps)
    }

    fn silu(&self, x: &Tensor) -> Tensor {
        self.see(EAGER.silu(x))
    }

    fn leaky_relu(&self, x: &Tensor, slope: f64) -> Tensor {
        EAGER.leaky_relu(x, slope)
    }

    fn dropout(&self, x: Tensor, _rate: f64) -> Tensor {
        x
    }

    fn attention(&self, qkv: &Tensor, heads: i64) -> Tensor {
        self.see(EAGER.attention(qkv, heads))
    }

    fn average_pool2x2(&self, x: &Tensor) -> Tensor {
        EAGER.average_pool2x2(x)
    }

    fn pixel_unshuffle(&self, x: &Tensor, block: i64) -> Tensor {
        EAGER.pixel_unshuffle(x, block)
    }

    fn pixel_shuffle(&self, x: &Tensor, block: i64) -> Tensor {
        EAGER.pixel_shuffle(x, block)
    }

    fn upsample2x(&self, x: &Tensor) -> Tensor {
        EAGER.upsample2x(x)
    }

    fn crop(&self, x: &Tensor, size: [i64; 2]) -> Tensor {
        EAGER.crop(x, size)
    }

    fn concat(&self, parts: &[&Tensor]) -> Tensor {
        EAGER.concat(parts)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.see(EAGER.add(a, b))
    }

    fn add_per_channel(&self, x: &Tensor, shift: &Tensor) -> Tensor {
        self.see(EAGER.add_per_channel(x, shift))
    }

    fn scale_shift_per_channel(&self, x: &Tensor, scale_shift: &Tensor) -> Tensor {
        // The product alone is a result in the graph for CUDA.
        let scale = scale_shift.chunk(2, 1).swap_remove(0);
        let _product = self.see(x * scale.unsqueeze(-1).unsqueeze(-1));
        self.see(EAGER.scale_shift_per_channel(x, scale_shift))
    }

    fn affine(&self, x: &Tensor, factor: f32, offset: f32) -> Tensor {
        self.see(EAGER.affine(x, factor, offset))
    }

    fn outer(&self, x: &Tensor, row: &[f32]) -> Tensor {
        EAGER.outer(x, row)
    }

    fn sin(&self, x: &Tensor) -> Tensor {
        EAGER.sin(x)
    }

    fn cos(&self, x: &Tensor) -> Tensor {
        EAGER.cos(x)
    }
}

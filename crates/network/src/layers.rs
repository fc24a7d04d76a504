//! Layers with parameters: each knows its shapes, its initialisation and its operation.
//!
//! Weights start Xavier-uniform, biases at zero, norms as the identity, as in the reference.

use std::cell::RefCell;
use std::rc::Rc;

use tch::{Tensor, nn};

use super::error::ConfigError;
use super::ops::{Ops, Param};

/// Scale of the layers that end a residual branch or the network. Their output starts near zero
/// (not at zero: gradients flow), so a deep network starts as the identity.
pub(crate) const NEARLY_ZERO: f64 = 1e-10;

/// A place in the tree of parameter names; remembers, in order, every parameter made below it.
pub(crate) struct Scope<'a> {
    path: nn::Path<'a>,
    name: String,
    made: Rc<RefCell<Vec<(String, Tensor)>>>,
}

impl<'a> Scope<'a> {
    pub(crate) fn root(path: &nn::Path<'a>) -> Self {
        Self { path: path.clone(), name: String::new(), made: Rc::default() }
    }

    /// Returns the scope of a part, named as in the reference.
    pub(crate) fn sub(&self, part: &str) -> Self {
        Self { path: &self.path / part, name: self.full_name(part), made: Rc::clone(&self.made) }
    }

    /// Returns the scope of a part that the reference keeps in a list.
    pub(crate) fn item(&self, index: usize) -> Self {
        self.sub(&index.to_string())
    }

    /// Returns every parameter made so far, in order.
    pub(crate) fn into_parameters(self) -> Vec<(String, Tensor)> {
        self.made.take()
    }

    fn param(&self, part: &str, dims: &[i64], init: nn::Init) -> Result<Param, ConfigError> {
        let name = self.full_name(part);
        let value = self.path.f_var(part, dims, init)?;
        self.made.borrow_mut().push((name.clone(), value.shallow_clone()));
        Ok(Param { name, value })
    }

    fn full_name(&self, part: &str) -> String {
        if self.name.is_empty() { part.to_owned() } else { format!("{}.{part}", self.name) }
    }
}

/// Initialises uniformly in ±√(6 scale / (fan_in + fan_out)), for a weight `[O, I, …]`.
///
/// # Source
///
/// Glorot & Bengio 2010, eq. 16; `scale` is the variance scaling of the DDPM authors' code.
fn xavier_uniform(dims: &[i64], scale: f64) -> nn::Init {
    let receptive_field: i64 = dims[2..].iter().product();
    let fans = (dims[0] + dims[1]) * receptive_field;
    let bound = (6.0 * scale / fans as f64).sqrt();
    nn::Init::Uniform { lo: -bound, up: bound }
}

const ZEROS: nn::Init = nn::Init::Const(0.0);
const ONES: nn::Init = nn::Init::Const(1.0);

/// A square convolution.
#[derive(Debug)]
pub(crate) struct Conv {
    weight: Param,
    bias: Param,
    stride: i64,
    pads: [i64; 4],
}

impl Conv {
    /// Makes a convolution that keeps the size: stride 1, padded for an odd `kernel`.
    pub(crate) fn new(
        scope: &Scope<'_>,
        [inputs, outputs]: [i64; 2],
        kernel: i64,
        init_scale: f64,
    ) -> Result<Self, ConfigError> {
        let dims = [outputs, inputs, kernel, kernel];
        let weight = scope.param("weight", &dims, xavier_uniform(&dims, init_scale))?;
        let bias = scope.param("bias", &[outputs], ZEROS)?;
        Ok(Self { weight, bias, stride: 1, pads: [kernel / 2; 4] })
    }

    /// Changes stride and padding (`[top, left, bottom, right]`).
    pub(crate) fn strided(self, stride: i64, pads: [i64; 4]) -> Self {
        Self { stride, pads, ..self }
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        o.conv2d(x, &self.weight, &self.bias, self.stride, self.pads)
    }

    /// Convolves the image with every pixel repeated four times.
    ///
    /// # Panics
    ///
    /// If the kernel is not 3 × 3, or strided.
    pub(crate) fn forward_doubled<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        assert_eq!((self.stride, self.pads), (1, [1; 4]), "a convolution that keeps the size");
        o.upsample2x_conv3x3(x, &self.weight, &self.bias)
    }
}

/// A fully connected layer.
#[derive(Debug)]
pub(crate) struct Linear {
    weight: Param,
    bias: Option<Param>,
}

impl Linear {
    pub(crate) fn new(scope: &Scope<'_>, [inputs, outputs]: [i64; 2]) -> Result<Self, ConfigError> {
        let mut linear = Self::without_bias(scope, [inputs, outputs])?;
        linear.bias = Some(scope.param("bias", &[outputs], ZEROS)?);
        Ok(linear)
    }

    pub(crate) fn without_bias(
        scope: &Scope<'_>,
        [inputs, outputs]: [i64; 2],
    ) -> Result<Self, ConfigError> {
        let dims = [outputs, inputs];
        let weight = scope.param("weight", &dims, xavier_uniform(&dims, 1.0))?;
        Ok(Self { weight, bias: None })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        o.linear(x, &self.weight, self.bias.as_ref())
    }

    /// Applies the layer at every pixel of an image.
    pub(crate) fn forward_pixels<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        let bias = self.bias.as_ref().expect("layers over pixels have a bias");
        o.pixel_linear(x, &self.weight, bias)
    }
}

/// Scale and shift of a norm, per channel.
#[derive(Debug)]
struct Affine {
    weight: Param,
    bias: Param,
}

impl Affine {
    fn new(scope: &Scope<'_>, width: i64) -> Result<Self, ConfigError> {
        let weight = scope.param("weight", &[width], ONES)?;
        let bias = scope.param("bias", &[width], ZEROS)?;
        Ok(Self { weight, bias })
    }
}

/// Normalises groups of channels of an image.
#[derive(Debug)]
pub(crate) struct GroupNorm {
    affine: Affine,
    groups: i64,
    eps: f64,
}

impl GroupNorm {
    pub(crate) fn new(
        scope: &Scope<'_>,
        width: i64,
        groups: i64,
        eps: f64,
    ) -> Result<Self, ConfigError> {
        Ok(Self { affine: Affine::new(scope, width)?, groups, eps })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        o.group_norm(x, self.groups, &self.affine.weight, &self.affine.bias, self.eps)
    }
}

/// Normalises rows of features.
#[derive(Debug)]
pub(crate) struct LayerNorm {
    affine: Affine,
}

impl LayerNorm {
    pub(crate) fn new(scope: &Scope<'_>, width: i64) -> Result<Self, ConfigError> {
        Ok(Self { affine: Affine::new(scope, width)? })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, x: &O::T) -> O::T {
        const EPS: f64 = 1e-5;
        o.layer_norm(x, &self.affine.weight, &self.affine.bias, EPS)
    }
}

/// One vector per class, and a last one for "no label".
#[derive(Debug)]
pub(crate) struct ClassEmbedding {
    table: Param,
}

impl ClassEmbedding {
    /// Starts small, so that conditioning is learned on top of what the classes share.
    pub(crate) fn new(
        scope: &Scope<'_>,
        num_classes: i64,
        width: i64,
    ) -> Result<Self, ConfigError> {
        let init = nn::Init::Randn { mean: 0.0, stdev: 0.02 };
        Ok(Self { table: scope.param("weight", &[num_classes + 1, width], init)? })
    }

    pub(crate) fn forward<O: Ops>(&self, o: &O, labels: &O::T) -> O::T {
        o.embedding(&self.table, labels)
    }
}

//! The networks' vocabulary as ONNX operations.
//!
//! The dialect is *portable*: f32, NCHW, opset 21, no contributed operators, and only operators
//! with fast kernels in every runtime. GroupNorm becomes InstanceNormalization and attention
//! becomes MatMul, which ONNX Runtime runs on the CPU as fast as its own operators. Only the batch
//! axis is free; all other extents are known while recording and written as numbers.

use ddpm_graph::attributes::{Attr, Attrs};
use ddpm_network::{Ops, Param};

use super::trace::{Trace, Value};

impl Ops for Trace {
    type T = Value;

    fn conv2d(
        &self,
        x: &Value,
        weight: &Param,
        bias: &Param,
        stride: i64,
        pads: [i64; 4],
    ) -> Value {
        let [top, left, bottom, right] = pads;
        let weight_size = weight.value.size();
        let extent = |extent: i64, pads: i64| (extent + pads - weight_size[2]) / stride + 1;
        let shape =
            [weight_size[0], extent(x.shape[1], top + bottom), extent(x.shape[2], left + right)];
        let attrs = [
            ("kernel_shape", Attr::Ints(&weight_size[2..])),
            ("strides", Attr::Ints(&[stride; 2])),
            ("pads", Attr::Ints(&pads)),
        ];
        if let Some(spans) = self.quantised.spans(weight) {
            return self.quantised_conv(x, (weight, bias), &attrs, &shape, spans);
        }
        self.op("Conv", &[x.name(), self.param(weight), self.param(bias)], &attrs, &shape)
    }

    fn linear(&self, x: &Value, weight: &Param, bias: Option<&Param>) -> Value {
        let mut inputs = vec![x.name(), self.param(weight)];
        inputs.extend(bias.map(|bias| self.param(bias)));
        self.op("Gemm", &inputs, &[("transB", Attr::Int(1))], &[weight.value.size()[0]])
    }

    fn pixel_linear(&self, x: &Value, weight: &Param, bias: &Param) -> Value {
        let attrs = [
            ("kernel_shape", Attr::Ints(&[1, 1])),
            ("strides", Attr::Ints(&[1, 1])),
            ("pads", Attr::Ints(&[0; 4])),
        ];
        let shape = [weight.value.size()[0], x.shape[1], x.shape[2]];
        if let Some(spans) = self.quantised.spans(weight) {
            return self.quantised_conv(x, (weight, bias), &attrs, &shape, spans);
        }
        // A 1 × 1 convolution; runtimes reshape its weight once, at load.
        let [kernel] = self.node("Unsqueeze", &[self.param(weight), &self.ints(&[2, 3])], &[]);
        self.op("Conv", &[x.name(), &kernel, self.param(bias)], &attrs, &shape)
    }

    fn embedding(&self, table: &Param, indices: &Value) -> Value {
        let width = table.value.size()[1];
        self.op("Gather", &[self.param(table), indices.name()], &[("axis", Attr::Int(0))], &[width])
    }

    fn group_norm(&self, x: &Value, groups: i64, weight: &Param, bias: &Param, eps: f64) -> Value {
        // InstanceNormalization normalises each channel, so each group becomes one channel.
        let group_size = x.shape.iter().product::<i64>() / groups;
        let grouped = self.reshape(x, &[groups, group_size]);
        let (ones, zeros) = (vec![1.0; groups as usize], vec![0.0; groups as usize]);
        let inputs = [grouped.name(), &self.floats(&ones), &self.floats(&zeros)];
        let attrs = [("epsilon", Attr::Float(eps))];
        let normed = self.op("InstanceNormalization", &inputs, &attrs, &grouped.shape);
        let scaled = self.mul(&self.reshape(&normed, &x.shape), &self.per_channel(weight));
        self.op("Add", &[scaled.name(), &self.per_channel(bias)], &[], &x.shape)
    }

    fn layer_norm(&self, x: &Value, weight: &Param, bias: &Param, eps: f64) -> Value {
        let inputs = [x.name(), self.param(weight), self.param(bias)];
        let attrs = [("axis", Attr::Int(-1)), ("epsilon", Attr::Float(eps))];
        self.op("LayerNormalization", &inputs, &attrs, &x.shape)
    }

    fn silu(&self, x: &Value) -> Value {
        self.mul(x, self.elementwise("Sigmoid", x, &[]).name())
    }

    fn leaky_relu(&self, x: &Value, slope: f64) -> Value {
        self.elementwise("LeakyRelu", x, &[("alpha", Attr::Float(slope))])
    }

    fn dropout(&self, x: Value, _rate: f64) -> Value {
        x
    }

    fn attention(&self, qkv: &Value, heads: i64) -> Value {
        let [channels, height, width] = [qkv.shape[0] / 3, qkv.shape[1], qkv.shape[2]];
        let pixels = height * width;
        let columns = self.reshape(qkv, &[3 * channels, pixels]);
        let parts = [columns.name(), &self.ints(&[channels; 3])];
        let [q, k, v] = self
            .node("Split", &parts, &[("axis", Attr::Int(1))])
            .map(|name| self.heads(&Value::new(&name, &[channels, pixels]), heads));

        let scale = self.floats(&[1.0 / ((channels / heads) as f32).sqrt()]);
        let queries = self.mul(&self.transpose(&q), &scale);
        let score_shape = [&k.shape[..k.shape.len() - 2], &[pixels, pixels]].concat();
        let scores = self.op("MatMul", &[queries.name(), k.name()], &[], &score_shape);
        let weights = self.elementwise("Softmax", &scores, &[("axis", Attr::Int(-1))]);
        let values = self.transpose(&v);
        let mixed = self.op("MatMul", &[weights.name(), values.name()], &[], &values.shape);
        self.reshape(&self.transpose(&mixed), &[channels, height, width])
    }

    fn pixel_unshuffle(&self, x: &Value, block: i64) -> Value {
        // SpaceToDepth orders the channels differently.
        let [channels, height, width] = [x.shape[0], x.shape[1] / block, x.shape[2] / block];
        let squares = self.reshape(x, &[channels, height, block, width, block]);
        let perm = [("perm", Attr::Ints(&[0, 1, 3, 5, 2, 4]))];
        let shape = [channels, block, block, height, width];
        let squares = self.op("Transpose", &[squares.name()], &perm, &shape);
        self.reshape(&squares, &[channels * block * block, height, width])
    }

    fn pixel_shuffle(&self, x: &Value, block: i64) -> Value {
        let attrs = [("blocksize", Attr::Int(block)), ("mode", Attr::Text("CRD"))];
        let shape = [x.shape[0] / (block * block), block * x.shape[1], block * x.shape[2]];
        self.op("DepthToSpace", &[x.name()], &attrs, &shape)
    }

    fn average_pool2x2(&self, x: &Value) -> Value {
        let [channels, height, width] = [x.shape[0], x.shape[1], x.shape[2]];
        // Padding that the mean does not count equals ceil_mode, and is more portable.
        let attrs = [
            ("kernel_shape", Attr::Ints(&[2, 2])),
            ("strides", Attr::Ints(&[2, 2])),
            ("pads", Attr::Ints(&[0, 0, height % 2, width % 2])),
            ("count_include_pad", Attr::Int(0)),
        ];
        let shape = [channels, (height + 1) / 2, (width + 1) / 2];
        self.op("AveragePool", &[x.name()], &attrs, &shape)
    }

    fn upsample2x(&self, x: &Value) -> Value {
        const NO_REGION: &str = "";
        let scales = self.floats(&[1.0, 1.0, 2.0, 2.0]);
        let attrs = [
            ("mode", Attr::Text("nearest")),
            ("coordinate_transformation_mode", Attr::Text("asymmetric")),
            ("nearest_mode", Attr::Text("floor")),
        ];
        let shape = [x.shape[0], 2 * x.shape[1], 2 * x.shape[2]];
        self.op("Resize", &[x.name(), NO_REGION, &scales], &attrs, &shape)
    }

    fn crop(&self, x: &Value, [height, width]: [i64; 2]) -> Value {
        let (starts, ends, axes) =
            (self.ints(&[0, 0]), self.ints(&[height, width]), self.ints(&[2, 3]));
        let inputs = [x.name(), &starts, &ends, &axes];
        self.op("Slice", &inputs, &[], &[x.shape[0], height, width])
    }

    fn concat(&self, parts: &[&Value]) -> Value {
        let names: Vec<&str> = parts.iter().map(|part| part.name()).collect();
        let mut shape = parts[0].shape.clone();
        shape[0] = parts.iter().map(|part| part.shape[0]).sum();
        self.op("Concat", &names, &[("axis", Attr::Int(1))], &shape).concatenated(parts)
    }

    fn add(&self, a: &Value, b: &Value) -> Value {
        self.op("Add", &[a.name(), b.name()], &[], &a.shape)
    }

    fn add_per_channel(&self, x: &Value, shift: &Value) -> Value {
        let [shift] = self.node("Unsqueeze", &[shift.name(), &self.ints(&[2, 3])], &[]);
        self.op("Add", &[x.name(), &shift], &[], &x.shape)
    }

    fn scale_shift_per_channel(&self, x: &Value, scale_shift: &Value) -> Value {
        let channels = x.shape[0];
        let [columns] = self.node("Unsqueeze", &[scale_shift.name(), &self.ints(&[2, 3])], &[]);
        let parts = [columns.as_str(), &self.ints(&[channels; 2])];
        let [scale, shift] = self.node("Split", &parts, &[("axis", Attr::Int(1))]);
        let scale = Value::new(&scale, &[channels, 1, 1]);
        let scaled = self.mul(x, self.affine(&scale, 1.0, 1.0).name());
        self.op("Add", &[scaled.name(), &shift], &[], &x.shape)
    }

    fn affine(&self, x: &Value, factor: f32, offset: f32) -> Value {
        let scaled = if factor == 1.0 { x.clone() } else { self.mul(x, &self.floats(&[factor])) };
        self.op("Add", &[scaled.name(), &self.floats(&[offset])], &[], &x.shape)
    }

    fn outer(&self, x: &Value, row: &[f32]) -> Value {
        let [column] = self.node("Unsqueeze", &[x.name(), &self.ints(&[1])], &[]);
        self.op("Mul", &[&column, &self.floats(row)], &[], &[row.len() as i64])
    }

    fn sin(&self, x: &Value) -> Value {
        self.elementwise("Sin", x, &[])
    }

    fn cos(&self, x: &Value) -> Value {
        self.elementwise("Cos", x, &[])
    }
}

/// Steps that several of the operations above share.
impl Trace {
    fn reshape(&self, x: &Value, shape: &[i64]) -> Value {
        // In the target of a Reshape, 0 keeps an extent: here that of the batch.
        let target: Vec<i64> = [0].iter().chain(shape).copied().collect();
        self.op("Reshape", &[x.name(), &self.ints(&target)], &[], shape)
    }

    /// Splits the channels by head: `[C, P]` → `[heads, C / heads, P]`; one head stays as it is.
    fn heads(&self, x: &Value, heads: i64) -> Value {
        match heads {
            1 => x.clone(),
            _ => self.reshape(x, &[heads, x.shape[0] / heads, x.shape[1]]),
        }
    }

    /// Swaps the last two axes.
    fn transpose(&self, x: &Value) -> Value {
        let rank = x.shape.len();
        let mut perm: Vec<i64> = (0..=rank as i64).collect();
        perm.swap(rank - 1, rank);
        let mut shape = x.shape.clone();
        shape.swap(rank - 2, rank - 1);
        self.op("Transpose", &[x.name()], &[("perm", Attr::Ints(&perm))], &shape)
    }

    fn mul(&self, a: &Value, b: &str) -> Value {
        self.op("Mul", &[a.name(), b], &[], &a.shape)
    }

    /// Shapes a parameter `[C]` as `[C, 1, 1]`; runtimes do so once, at load.
    fn per_channel(&self, param: &Param) -> String {
        let [name] = self.node("Unsqueeze", &[self.param(param), &self.ints(&[1, 2])], &[]);
        name
    }

    /// Records an operation that keeps the shape.
    fn elementwise(&self, op_type: &str, x: &Value, attrs: Attrs<'_>) -> Value {
        self.op(op_type, &[x.name()], attrs, &x.shape)
    }
}

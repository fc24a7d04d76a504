//! A network as data: the calls of its vocabulary, before they are spelled in a dialect.
//!
//! A dialect that fuses operations must know what uses a result before it writes the operation. So
//! the network is recorded on a [`Tape`] first, and the dialect reads it.

use std::cell::RefCell;

use ddpm_network::{Inputs, Network, Ops, Param};

/// A value on a tape: its number, and its shape after the batch axis.
#[derive(Debug, Clone)]
pub(crate) struct Noted {
    pub(crate) step: usize,
    pub(crate) shape: Vec<i64>,
}

/// One call of the vocabulary; see [`Ops`] for what each computes.
#[derive(Debug)]
pub(crate) enum Call {
    /// An input of the network, by name.
    Input(&'static str),
    Conv {
        weight: Param,
        bias: Param,
        stride: i64,
        pads: [i64; 4],
    },
    Linear {
        weight: Param,
        bias: Option<Param>,
    },
    PixelLinear {
        weight: Param,
        bias: Param,
    },
    Embedding {
        table: Param,
    },
    GroupNorm {
        groups: i64,
        weight: Param,
        bias: Param,
        eps: f64,
    },
    LayerNorm,
    Silu,
    LeakyRelu,
    Attention {
        heads: i64,
    },
    AveragePool2x2,
    PixelUnshuffle {
        block: i64,
    },
    PixelShuffle {
        block: i64,
    },
    Upsample2x,
    Crop {
        size: [i64; 2],
    },
    Concat,
    Add,
    AddPerChannel,
    ScaleShiftPerChannel,
    Affine {
        factor: f32,
        offset: f32,
    },
    Outer {
        row: Vec<f32>,
    },
    Sin,
    Cos,
}

/// A call, the steps whose results it takes, and the shape of its own after the batch axis.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) call: Call,
    pub(crate) inputs: Vec<usize>,
    pub(crate) shape: Vec<i64>,
}

/// The calls of a network in order. The last one is its output.
#[derive(Debug, Default)]
pub(crate) struct Tape {
    steps: RefCell<Vec<Step>>,
}

impl Tape {
    /// Records a network.
    pub(crate) fn record(network: &Network) -> Vec<Step> {
        let (config, tape) = (network.config(), Self::default());
        let input = |name, shape: &[i64]| tape.note(Call::Input(name), &[], shape);
        let inputs = Inputs {
            sample: input("sample", &config.sample_shape()),
            timestep: input("timestep", &[]),
            class_labels: config.num_classes().map(|_| input("class_labels", &[])),
        };
        let output = network.forward(&tape, &inputs);
        let steps = tape.steps.into_inner();
        assert_eq!(output.step + 1, steps.len(), "the output is computed last");
        steps
    }

    fn note(&self, call: Call, inputs: &[&Noted], shape: &[i64]) -> Noted {
        let inputs = inputs.iter().map(|input| input.step).collect();
        let mut steps = self.steps.borrow_mut();
        steps.push(Step { call, inputs, shape: shape.to_vec() });
        Noted { step: steps.len() - 1, shape: shape.to_vec() }
    }
}

impl Ops for Tape {
    type T = Noted;

    fn conv2d(
        &self,
        x: &Noted,
        weight: &Param,
        bias: &Param,
        stride: i64,
        pads: [i64; 4],
    ) -> Noted {
        let size = weight.value.size();
        let [top, left, bottom, right] = pads;
        let extent = |extent: i64, pads: i64| (extent + pads - size[2]) / stride + 1;
        let shape = [size[0], extent(x.shape[1], top + bottom), extent(x.shape[2], left + right)];
        let (weight, bias) = (weight.handle(), bias.handle());
        self.note(Call::Conv { weight, bias, stride, pads }, &[x], &shape)
    }

    fn linear(&self, x: &Noted, weight: &Param, bias: Option<&Param>) -> Noted {
        let shape = [weight.value.size()[0]];
        let (weight, bias) = (weight.handle(), bias.map(Param::handle));
        self.note(Call::Linear { weight, bias }, &[x], &shape)
    }

    fn pixel_linear(&self, x: &Noted, weight: &Param, bias: &Param) -> Noted {
        let shape = [weight.value.size()[0], x.shape[1], x.shape[2]];
        let (weight, bias) = (weight.handle(), bias.handle());
        self.note(Call::PixelLinear { weight, bias }, &[x], &shape)
    }

    fn embedding(&self, table: &Param, indices: &Noted) -> Noted {
        let shape = [table.value.size()[1]];
        self.note(Call::Embedding { table: table.handle() }, &[indices], &shape)
    }

    fn group_norm(&self, x: &Noted, groups: i64, weight: &Param, bias: &Param, eps: f64) -> Noted {
        let (weight, bias) = (weight.handle(), bias.handle());
        self.note(Call::GroupNorm { groups, weight, bias, eps }, &[x], &x.shape)
    }

    fn layer_norm(&self, x: &Noted, _weight: &Param, _bias: &Param, _eps: f64) -> Noted {
        self.note(Call::LayerNorm, &[x], &x.shape)
    }

    fn silu(&self, x: &Noted) -> Noted {
        self.note(Call::Silu, &[x], &x.shape)
    }

    fn leaky_relu(&self, x: &Noted, _slope: f64) -> Noted {
        self.note(Call::LeakyRelu, &[x], &x.shape)
    }

    fn dropout(&self, x: Noted, _rate: f64) -> Noted {
        x
    }

    fn attention(&self, qkv: &Noted, heads: i64) -> Noted {
        let shape = [qkv.shape[0] / 3, qkv.shape[1], qkv.shape[2]];
        self.note(Call::Attention { heads }, &[qkv], &shape)
    }

    fn average_pool2x2(&self, x: &Noted) -> Noted {
        let shape = [x.shape[0], (x.shape[1] + 1) / 2, (x.shape[2] + 1) / 2];
        self.note(Call::AveragePool2x2, &[x], &shape)
    }

    fn pixel_unshuffle(&self, x: &Noted, block: i64) -> Noted {
        let shape = [x.shape[0] * block * block, x.shape[1] / block, x.shape[2] / block];
        self.note(Call::PixelUnshuffle { block }, &[x], &shape)
    }

    fn pixel_shuffle(&self, x: &Noted, block: i64) -> Noted {
        let shape = [x.shape[0] / (block * block), x.shape[1] * block, x.shape[2] * block];
        self.note(Call::PixelShuffle { block }, &[x], &shape)
    }

    fn upsample2x(&self, x: &Noted) -> Noted {
        let shape = [x.shape[0], 2 * x.shape[1], 2 * x.shape[2]];
        self.note(Call::Upsample2x, &[x], &shape)
    }

    fn crop(&self, x: &Noted, size: [i64; 2]) -> Noted {
        self.note(Call::Crop { size }, &[x], &[x.shape[0], size[0], size[1]])
    }

    fn concat(&self, parts: &[&Noted]) -> Noted {
        let mut shape = parts[0].shape.clone();
        shape[0] = parts.iter().map(|part| part.shape[0]).sum();
        self.note(Call::Concat, parts, &shape)
    }

    fn add(&self, a: &Noted, b: &Noted) -> Noted {
        self.note(Call::Add, &[a, b], &a.shape)
    }

    fn add_per_channel(&self, x: &Noted, shift: &Noted) -> Noted {
        self.note(Call::AddPerChannel, &[x, shift], &x.shape)
    }

    fn scale_shift_per_channel(&self, x: &Noted, scale_shift: &Noted) -> Noted {
        self.note(Call::ScaleShiftPerChannel, &[x, scale_shift], &x.shape)
    }

    fn affine(&self, x: &Noted, factor: f32, offset: f32) -> Noted {
        self.note(Call::Affine { factor, offset }, &[x], &x.shape)
    }

    fn outer(&self, x: &Noted, row: &[f32]) -> Noted {
        self.note(Call::Outer { row: row.to_vec() }, &[x], &[row.len() as i64])
    }

    fn sin(&self, x: &Noted) -> Noted {
        self.note(Call::Sin, &[x], &x.shape)
    }

    fn cos(&self, x: &Noted) -> Noted {
        self.note(Call::Cos, &[x], &x.shape)
    }
}

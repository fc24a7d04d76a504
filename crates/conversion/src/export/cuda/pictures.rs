//! Convolutions, and steps between sizes of pictures.

use ddpm_graph::attributes::Attr;
use ddpm_graph::format::DataType;
use ddpm_network::Param;

use super::super::tape::Step;
use super::spelling::{Speller, picture};
use super::values::{Layout, Spelled};

/// A convolution of the network.
#[derive(Debug)]
pub(super) struct Conv<'a> {
    /// `[O, I, k, k]`, or `[O, I]` for a layer at every pixel.
    pub(super) weight: &'a Param,
    /// `[O]`.
    pub(super) bias: &'a Param,
    pub(super) stride: i64,
    /// Rows or columns of zeros at `[top, left, bottom, right]`.
    pub(super) pads: [i64; 4],
}

impl<'a> Conv<'a> {
    /// Makes a layer at every pixel a convolution.
    pub(super) fn of_pixels(weight: &'a Param, bias: &'a Param) -> Self {
        Self { weight, bias, stride: 1, pads: [0; 4] }
    }
}

impl Speller<'_> {
    /// Writes `NhwcConv`.
    ///
    /// * `number`: the step whose result it is; `input`: the step with its input.
    pub(super) fn conv(&mut self, number: usize, input: usize, conv: &Conv<'_>) -> Spelled {
        let data_type = match self.plan.is_last_conv(number) {
            true => DataType::Float,
            false => self.picture,
        };
        let x = self.picture_of(input, data_type);
        let (x, pads) = self.padded(x, conv.pads);
        let mut kernel = self.packed(number, &conv.weight.value);
        while kernel.dim() < 4 {
            kernel = kernel.unsqueeze(-1);
        }
        // The kernel's inputs are last, as the picture's channels are.
        let kernel = kernel.permute([0, 2, 3, 1]);
        let bias = self.packed(number, &conv.bias.value);
        self.writer.trace.store(&conv.weight.name, &kernel, data_type);
        self.writer.trace.store(&conv.bias.name, &bias, data_type);
        let size = kernel.size();
        let attrs = [
            ("kernel_shape", Attr::Ints(&size[1..3])),
            ("strides", Attr::Ints(&[conv.stride; 2])),
            ("pads", Attr::Ints(&pads)),
        ];
        let inputs = [&*x.name, &conv.weight.name, &conv.bias.name];
        let like = picture(data_type, &self.steps[number].shape);
        let [result] = self.writer.contributed("NhwcConv", &inputs, &attrs, &like);
        result
    }

    /// Pads a picture by a node of its own where the sides differ: cuDNN pads both alike.
    fn padded(&mut self, x: Spelled, pads: [i64; 4]) -> (Spelled, [i64; 4]) {
        let [top, left, bottom, right] = pads;
        if (top, left) == (bottom, right) {
            return (x, pads);
        }
        self.count("uneven padding");
        let amounts = self.writer.trace.ints(&[0, top, left, 0, 0, bottom, right, 0]);
        let shape = vec![x.shape[0] + top + bottom, x.shape[1] + left + right, x.shape[2]];
        let like = Spelled { shape, ..x.clone() };
        (self.writer.node("Pad", &[&x.name, &amounts], &[], &like), [0; 4])
    }

    pub(super) fn average_pool(&mut self, step: &Step) -> Spelled {
        let x = self.picture(step.inputs[0]);
        self.count("average pool");
        let [height, width, channels] = x.shape[..] else { unreachable!("a picture") };
        // Repeating an odd edge leaves the mean of what remains.
        let even = match (height % 2, width % 2) {
            (0, 0) => x,
            (bottom, right) => {
                let amounts = self.writer.trace.ints(&[0, 0, 0, 0, 0, bottom, right, 0]);
                let shape = vec![height + bottom, width + right, channels];
                let like = Spelled { shape, ..x.clone() };
                let mode = [("mode", Attr::Text("edge"))];
                self.writer.node("Pad", &[&x.name, &amounts], &mode, &like)
            }
        };
        let [height, width] = [even.shape[0] / 2, even.shape[1] / 2];
        let squares = self.writer.reshape(&even, &[height, 2, width, 2, channels]);
        let axes = self.writer.trace.ints(&[2, 4]);
        let like = Spelled { shape: vec![height, width, channels], ..even };
        let drop = [("keepdims", Attr::Int(0))];
        self.writer.node("ReduceMean", &[&squares.name, &axes], &drop, &like)
    }

    /// Does the input's transpose too.
    pub(super) fn pixel_unshuffle(&mut self, step: &Step, block: i64) -> Spelled {
        let x = self.value(step.inputs[0]);
        let x = self.writer.planes(&x);
        let [channels, height, width] = x.shape[..] else { unreachable!("a picture") };
        let [height, width] = [height / block, width / block];
        let squares = self.writer.reshape(&x, &[channels, height, block, width, block]);
        let moved = self.writer.transpose(&squares, &[2, 4, 1, 3, 5], Layout::ChannelsLast);
        self.writer.reshape(&moved, &[height, width, channels * block * block])
    }

    /// Does the output's transpose too.
    pub(super) fn pixel_shuffle(&mut self, step: &Step, block: i64) -> Spelled {
        let x = self.value(step.inputs[0]);
        let x = self.writer.channels_last(&x);
        let [height, width, channels] = x.shape[..] else { unreachable!("a picture") };
        let channels = channels / (block * block);
        let squares = self.writer.reshape(&x, &[height, width, channels, block, block]);
        let moved = self.writer.transpose(&squares, &[3, 1, 4, 2, 5], Layout::Planes);
        self.writer.reshape(&moved, &[channels, height * block, width * block])
    }

    pub(super) fn upsample(&mut self, step: &Step) -> Spelled {
        const NO_REGION: &str = "";
        let x = self.picture(step.inputs[0]);
        let scales = self.writer.trace.floats(&[1.0, 2.0, 2.0, 1.0]);
        let attrs = [
            ("mode", Attr::Text("nearest")),
            ("coordinate_transformation_mode", Attr::Text("asymmetric")),
            ("nearest_mode", Attr::Text("floor")),
        ];
        let like = picture(x.data_type, &step.shape);
        self.writer.node("Resize", &[&x.name, NO_REGION, &scales], &attrs, &like)
    }

    pub(super) fn crop(&mut self, step: &Step, size: [i64; 2]) -> Spelled {
        let x = self.picture(step.inputs[0]);
        let trace = &self.writer.trace;
        let (starts, ends, axes) = (trace.ints(&[0, 0]), trace.ints(&size), trace.ints(&[1, 2]));
        let like = picture(x.data_type, &step.shape);
        self.writer.node("Slice", &[&x.name, &starts, &ends, &axes], &[], &like)
    }
}

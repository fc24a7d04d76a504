//! A convolution whose operands are 8-bit integers, as quantised and dequantised values around an
//! ordinary one: the form that ONNX Runtime fuses into one kernel.

use ddpm_graph::attributes::{Attr, Attrs};
use ddpm_graph::format::DataType;
use ddpm_network::Param;
use tch::{Kind, Tensor};

use super::super::trace::{Trace, Value};
use super::{LayerSpans, Span, Spans};

/// The zero of parts that are concatenated: they share it, and differ in their scale.
const MIDDLE: u8 = 128;

/// Scales are not smaller, so that products of two are not zero.
const LEAST_SCALE: f32 = 1e-15;

/// What the recorder of int8 graphs knows.
#[derive(Debug, Default)]
pub(crate) struct Quantised {
    spans: Spans,
}

impl Quantised {
    pub(crate) fn new(spans: Spans) -> Self {
        Self { spans }
    }

    /// Returns the ranges around a convolution, if it is quantised.
    pub(crate) fn spans(&self, weight: &Param) -> Option<&LayerSpans> {
        self.spans.get(&weight.name)
    }
}

/// A scale and a zero: a value is scale × (integer − zero).
#[derive(Debug, Clone, Copy)]
struct Grid {
    scale: f32,
    zero: u8,
}

impl Grid {
    /// Spreads the 255 steps over a range.
    fn of(span: Span) -> Self {
        let scale = ((span.high - span.low) / 255.0).max(LEAST_SCALE);
        Self { scale, zero: (-span.low / scale).round().clamp(0.0, 255.0) as u8 }
    }

    /// Spreads the steps evenly around 0.
    fn centred(span: Span) -> Self {
        let scale = (span.high.max(-span.low) / 127.0).max(LEAST_SCALE);
        Self { scale, zero: MIDDLE }
    }
}

impl Trace {
    /// Records a convolution with quantised operands.
    ///
    /// * `weight`: `[O, I, k, k]`.
    pub(crate) fn quantised_conv(
        &self,
        x: &Value,
        (weight, bias): (&Param, &Param),
        attrs: Attrs<'_>,
        shape: &[i64],
        spans: &LayerSpans,
    ) -> Value {
        let parts = x.parts().filter(|_| spans.inputs.len() > 1);
        let found = parts.map_or(1, <[Value]>::len);
        assert_eq!(found, spans.inputs.len(), "{}: one range per part of its input", weight.name);
        // The scales of the parts go into the weights, so that the integers can be concatenated.
        // The part of the smaller range then has fewer bits of weights, not of values.
        let (integers, grid, scales) = match parts {
            Some(parts) => self.quantised_parts(parts, &spans.inputs),
            None => {
                let grid = Grid::of(spans.inputs[0]);
                (self.quantise(x.name(), grid), grid, None)
            }
        };
        let input = self.dequantise(&integers, grid);
        let kernel = kernel_of(weight, scales.as_ref());
        let weight_scales = weight_scales(&kernel, bias, grid.scale);
        let kernel = self.quantised_weight(weight, &kernel, &weight_scales);
        let bias = self.quantised_bias(bias, grid.scale, &weight_scales);
        let [exact] = self.node("Conv", &[&input, &kernel, &bias], attrs);
        let grid = Grid::of(spans.output);
        let integers = self.quantise(&exact, grid);
        Value::new(&self.dequantise(&integers, grid), shape)
    }

    /// Quantises each part of a concatenation by its own scale: the integers together, the grid
    /// that they seem to have, and what the weights of each input channel are to be multiplied by.
    fn quantised_parts(&self, parts: &[Value], spans: &[Span]) -> (String, Grid, Option<Tensor>) {
        let grids: Vec<Grid> = spans.iter().map(|&span| Grid::centred(span)).collect();
        let integers: Vec<String> = parts
            .iter()
            .zip(&grids)
            .map(|(part, &grid)| self.quantise(part.name(), grid))
            .collect();
        let names: Vec<&str> = integers.iter().map(String::as_str).collect();
        let [together] = self.node("Concat", &names, &[("axis", Attr::Int(1))]);
        let scales: Vec<Tensor> = parts
            .iter()
            .zip(&grids)
            .map(|(part, grid)| {
                Tensor::full(
                    [part.shape[0]],
                    f64::from(grid.scale),
                    (Kind::Float, tch::Device::Cpu),
                )
            })
            .collect();
        (together, Grid { scale: 1.0, zero: MIDDLE }, Some(Tensor::cat(&scales, 0)))
    }

    fn quantise(&self, x: &str, grid: Grid) -> String {
        let (scale, zero) = (self.scalar(grid.scale), self.byte(grid.zero));
        let [integers] = self.node("QuantizeLinear", &[x, &scale, &zero], &[]);
        integers
    }

    fn dequantise(&self, integers: &str, grid: Grid) -> String {
        let (scale, zero) = (self.scalar(grid.scale), self.byte(grid.zero));
        let [value] = self.node("DequantizeLinear", &[integers, &scale, &zero], &[]);
        value
    }

    /// Stores a kernel as i8 with one scale per output channel, and returns it dequantised.
    fn quantised_weight(&self, weight: &Param, kernel: &Tensor, scales: &[f32]) -> String {
        let of_channels = Tensor::from_slice(scales).reshape([-1, 1, 1, 1]);
        let integers = (kernel / of_channels).round().clamp(-127.0, 127.0);
        let integers: Vec<i8> = values(&integers).into_iter().map(|value| value as i8).collect();
        let (size, bytes) = (kernel.size(), bytemuck::cast_slice(&integers));
        let name = self.raw(&format!("{}.int8", weight.name), DataType::Int8, &size, bytes);
        self.dequantised_channels(&name, scales)
    }

    /// Stores a bias as i32 in the scale of the sums.
    fn quantised_bias(&self, bias: &Param, input: f32, weights: &[f32]) -> String {
        let scales: Vec<f32> = weights.iter().map(|weight| input * weight).collect();
        let integers: Vec<i32> = values(&bias.value.detach())
            .iter()
            .zip(&scales)
            .map(|(value, scale)| (f64::from(*value) / f64::from(*scale)).round() as i32)
            .collect();
        let bytes = bytemuck::cast_slice(&integers);
        let size = [integers.len() as i64];
        let name = self.raw(&format!("{}.int32", bias.name), DataType::Int32, &size, bytes);
        self.dequantised_channels(&name, &scales)
    }

    fn dequantised_channels(&self, integers: &str, scales: &[f32]) -> String {
        let scales = self.floats(scales);
        let attrs = [("axis", Attr::Int(0))];
        let [value] = self.node("DequantizeLinear", &[integers, &scales], &attrs);
        value
    }
}

/// Returns a weight as `[O, I, k, k]`, multiplied by a factor per input channel.
fn kernel_of(weight: &Param, inputs: Option<&Tensor>) -> Tensor {
    let mut kernel = weight.value.detach().to_device(tch::Device::Cpu);
    while kernel.dim() < 4 {
        kernel = kernel.unsqueeze(-1);
    }
    match inputs {
        // Not in place: the weight is the network's.
        Some(inputs) => &kernel * inputs.reshape([1, -1, 1, 1]),
        None => kernel,
    }
}

/// Returns the scale of each output channel: fine enough for its largest weight, and coarse enough
/// for its bias, which is an i32 of the scale of the sums.
fn weight_scales(kernel: &Tensor, bias: &Param, input: f32) -> Vec<f32> {
    const LARGEST_BIAS: f32 = (1 << 30) as f32;
    let most = kernel.abs().reshape([kernel.size()[0], -1]).amax([1], false);
    let of_weight = values(&most).into_iter().map(|most| most / 127.0);
    let of_bias = values(&bias.value.detach()).into_iter().map(|b| b.abs() / LARGEST_BIAS / input);
    of_weight.zip(of_bias).map(|(w, b)| w.max(b).max(LEAST_SCALE)).collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(tch::Device::Cpu).contiguous();
    let mut values = vec![0.0; tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}

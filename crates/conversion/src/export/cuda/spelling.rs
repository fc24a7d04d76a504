//! Every call of the vocabulary as nodes of the CUDA dialect.

use std::collections::{BTreeMap, HashMap};

use ddpm_graph::attributes::Attr;
use ddpm_graph::format::DataType;
use ddpm_network::Param;

use super::super::tape::{Call, Step};
use super::Precision;
use super::norms::{Norm, silu};
use super::pictures::Conv;
use super::plan::Plan;
use super::values::{Layout, Spelled, Writer};

/// Writes the nodes of a recorded network.
pub(super) struct Speller<'a> {
    pub(super) steps: &'a [Step],
    pub(super) plan: Plan,
    pub(super) writer: Writer,
    spelled: Vec<Option<Spelled>>,
    /// Results of conversions, by step and type, so that each is written once.
    converted: HashMap<(usize, DataType), Spelled>,
    /// The type of pictures.
    pub(super) picture: DataType,
    plain: BTreeMap<&'static str, usize>,
}

impl<'a> Speller<'a> {
    pub(super) fn new(steps: &'a [Step], precision: Precision) -> Self {
        Self {
            steps,
            plan: Plan::new(steps),
            writer: Writer::default(),
            spelled: vec![None; steps.len()],
            converted: HashMap::new(),
            picture: match precision {
                Precision::Half => DataType::Float16,
                Precision::Full => DataType::Float,
            },
            plain: BTreeMap::new(),
        }
    }

    /// Returns the nodes, the output, and what is spelled in plain operators.
    pub(super) fn spell(mut self) -> (Writer, Spelled, Vec<(&'static str, usize)>) {
        for (number, step) in self.steps.iter().enumerate() {
            if !self.plan.is_absorbed(number) {
                let result = self.step(number, step);
                self.spelled[number] = Some(result);
            }
        }
        let last = self.spelled.last().cloned().flatten().expect("a network has an output");
        let output = self.writer.cast(&last, DataType::Float);
        let output = self.writer.planes(&output);
        (self.writer, output, self.plain.into_iter().collect())
    }

    fn step(&mut self, number: usize, step: &Step) -> Spelled {
        match &step.call {
            Call::Input(name) => input(name, &step.shape),
            Call::Conv { weight, bias, stride, pads } => {
                let conv = Conv { weight, bias, stride: *stride, pads: *pads };
                self.conv(number, step.inputs[0], &conv)
            }
            Call::PixelLinear { weight, bias } => {
                self.conv(number, step.inputs[0], &Conv::of_pixels(weight, bias))
            }
            Call::Linear { weight, bias } => self.linear(number, weight, bias.as_ref()),
            Call::Embedding { table } => {
                let indices = self.value(step.inputs[0]);
                let inputs = [self.writer.trace.param(table), &*indices.name];
                let like = rows(DataType::Float, &step.shape);
                self.writer.node("Gather", &inputs, &[("axis", Attr::Int(0))], &like)
            }
            Call::GroupNorm { groups, weight, bias, eps } => {
                let swish = self.plan.swish(number);
                self.norm(number, Norm { groups: *groups, weight, bias, eps: *eps, swish })
            }
            Call::Silu => {
                let x = self.value(step.inputs[0]);
                if x.layout != Layout::Rows {
                    self.count("SiLU");
                }
                silu(&mut self.writer, &x)
            }
            Call::Attention { heads } => self.attention(step, *heads),
            Call::AveragePool2x2 => self.average_pool(step),
            Call::PixelUnshuffle { block } => self.pixel_unshuffle(step, *block),
            Call::PixelShuffle { block } => self.pixel_shuffle(step, *block),
            Call::Upsample2x => self.upsample(step),
            Call::Crop { size } => self.crop(step, *size),
            Call::Concat => self.concat(number, step),
            Call::Add => self.add(step),
            Call::AddPerChannel => {
                let (x, shift) = (self.picture(step.inputs[0]), self.row(step.inputs[1]));
                self.count("add per channel");
                self.writer.node("Add", &[&x.name, &shift.name], &[], &x)
            }
            Call::ScaleShiftPerChannel => self.scale_shift(step),
            Call::Affine { factor, offset } => self.affine(step, *factor, *offset),
            Call::Outer { row } => {
                let x = self.value(step.inputs[0]);
                let axes = self.writer.trace.ints(&[1]);
                let like = rows(DataType::Float, &[1]);
                let column = self.writer.node("Unsqueeze", &[&x.name, &axes], &[], &like);
                let row = self.writer.trace.floats(row);
                let like = rows(DataType::Float, &step.shape);
                self.writer.node("Mul", &[&column.name, &row], &[], &like)
            }
            Call::Sin => self.elementwise("Sin", step),
            Call::Cos => self.elementwise("Cos", step),
            Call::LayerNorm | Call::LeakyRelu => {
                unreachable!("only networks of points have them, and those are refused")
            }
        }
    }

    pub(super) fn value(&self, step: usize) -> Spelled {
        self.spelled[step].clone().expect("results are spelled before they are used")
    }

    /// Returns a result as pictures have it inside the graph.
    pub(super) fn picture(&mut self, step: usize) -> Spelled {
        self.picture_of(step, self.picture)
    }

    pub(super) fn picture_of(&mut self, step: usize, data_type: DataType) -> Spelled {
        if let Some(known) = self.converted.get(&(step, data_type)) {
            return known.clone();
        }
        let x = self.value(step);
        let x = self.writer.cast(&x, data_type);
        let x = self.writer.channels_last(&x);
        self.converted.insert((step, data_type), x.clone());
        x
    }

    /// Returns a row of numbers per channel, shaped to be added to pictures.
    pub(super) fn row(&mut self, step: usize) -> Spelled {
        let x = self.value(step);
        let x = self.writer.cast(&x, self.picture);
        let shape = [1, 1, x.shape[0]];
        self.writer.reshape(&x, &shape)
    }

    /// Notes a call that has no fused operator here.
    pub(super) fn count(&mut self, what: &'static str) {
        *self.plain.entry(what).or_default() += 1;
    }

    fn elementwise(&mut self, op_type: &str, step: &Step) -> Spelled {
        let x = self.value(step.inputs[0]);
        self.writer.node(op_type, &[&x.name], &[], &x)
    }

    fn linear(&mut self, number: usize, weight: &Param, bias: Option<&Param>) -> Spelled {
        let step = &self.steps[number];
        // Shifts of pictures have the pictures' type; what they are computed from is f32.
        let to_pictures = self.plan.all_uses(number, |user| {
            let call = &self.steps[user].call;
            matches!(call, Call::AddPerChannel | Call::ScaleShiftPerChannel)
        });
        let data_type = if to_pictures { self.picture } else { DataType::Float };
        let x = match self.converted.get(&(step.inputs[0], data_type)) {
            Some(known) => known.clone(),
            None => {
                let x = self.value(step.inputs[0]);
                let x = self.writer.cast(&x, data_type);
                self.converted.insert((step.inputs[0], data_type), x.clone());
                x
            }
        };
        let parameters = [Some(weight), bias].into_iter().flatten();
        parameters.for_each(|p| self.writer.trace.store(&p.name, &p.value, data_type));
        let mut inputs = vec![&*x.name, &weight.name];
        inputs.extend(bias.map(|bias| &*bias.name));
        let like = rows(data_type, &step.shape);
        self.writer.node("Gemm", &inputs, &[("transB", Attr::Int(1))], &like)
    }

    fn norm(&mut self, number: usize, norm: Norm<'_>) -> Spelled {
        let input = self.steps[number].inputs[0];
        let result = match self.plan.sum(number) {
            Some(sum) => {
                let [x, skip] = [0, 1].map(|i| self.steps[sum].inputs[i]);
                let x = self.picture(x);
                let skip = match self.steps[sum].call {
                    Call::Add => self.picture(skip),
                    _ => {
                        let row = self.value(skip);
                        self.writer.cast(&row, self.picture)
                    }
                };
                let keep = self.plan.is_used_beside(sum, number);
                let (normed, kept) = norm.fused_with_sum(&mut self.writer, &x, &skip, keep);
                self.spelled[sum] = kept;
                normed
            }
            None if self.plan.fits(number) => {
                let x = self.picture(input);
                norm.fused(&mut self.writer, &x)
            }
            None => {
                self.count("group norm");
                let x = self.picture(input);
                norm.plain(&mut self.writer, &x)
            }
        };
        if norm.swish {
            let activation = self.plan.only_use(number).expect("the plan fused it");
            self.spelled[activation] = Some(result.clone());
        }
        result
    }

    fn concat(&mut self, number: usize, step: &Step) -> Spelled {
        if self.plan.packs(number) {
            return self.projections(number, step);
        }
        let is_picture = step.shape.len() == 3;
        let (axis, like) = match is_picture {
            true => (3, picture(self.picture, &step.shape)),
            false => (1, rows(DataType::Float, &step.shape)),
        };
        let parts: Vec<Spelled> = step
            .inputs
            .iter()
            .map(|&part| if is_picture { self.picture(part) } else { self.value(part) })
            .collect();
        let names: Vec<&str> = parts.iter().map(|part| &*part.name).collect();
        self.writer.node("Concat", &names, &[("axis", Attr::Int(axis))], &like)
    }

    fn add(&mut self, step: &Step) -> Spelled {
        let [a, b] = [step.inputs[0], step.inputs[1]];
        let (a, b) = match step.shape.len() {
            3 => (self.picture(a), self.picture(b)),
            _ => (self.value(a), self.value(b)),
        };
        self.writer.node("Add", &[&a.name, &b.name], &[], &a)
    }

    fn scale_shift(&mut self, step: &Step) -> Spelled {
        let (x, both) = (self.picture(step.inputs[0]), self.row(step.inputs[1]));
        self.count("scale and shift per channel");
        let channels = step.shape[0];
        let [scale, shift] = self.writer.split(&both, 3, channels);
        let scaled = self.writer.node("Mul", &[&x.name, &scale.name], &[], &x);
        let raised = self.writer.node("Add", &[&x.name, &scaled.name], &[], &x);
        self.writer.node("Add", &[&raised.name, &shift.name], &[], &x)
    }

    fn affine(&mut self, step: &Step, factor: f32, offset: f32) -> Spelled {
        let x = self.value(step.inputs[0]);
        let full = self.writer.cast(&x, DataType::Float);
        let (factor, offset) =
            (self.writer.trace.floats(&[factor]), self.writer.trace.floats(&[offset]));
        let scaled = self.writer.node("Mul", &[&full.name, &factor], &[], &full);
        let moved = self.writer.node("Add", &[&scaled.name, &offset], &[], &full);
        self.writer.cast(&moved, x.data_type)
    }
}

/// Describes an input: a picture in planes, timesteps, or labels.
fn input(name: &str, shape: &[i64]) -> Spelled {
    Spelled {
        name: name.into(),
        data_type: if name == "class_labels" { DataType::Int64 } else { DataType::Float },
        layout: if shape.is_empty() { Layout::Rows } else { Layout::Planes },
        shape: shape.to_vec(),
    }
}

/// Describes a row of features.
fn rows(data_type: DataType, shape: &[i64]) -> Spelled {
    Spelled { name: "".into(), data_type, layout: Layout::Rows, shape: shape.to_vec() }
}

/// Describes a picture with channels last.
///
/// * `shape`: `[C, H, W]`.
pub(super) fn picture(data_type: DataType, shape: &[i64]) -> Spelled {
    let shape = vec![shape[1], shape[2], shape[0]];
    Spelled { name: "".into(), data_type, layout: Layout::ChannelsLast, shape }
}

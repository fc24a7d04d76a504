//! The graphs around the network, in ONNX's own operators.

use super::Needs;
use super::table::{MIXES, OPERANDS, WIDTH, column};
use crate::attributes::Attr;
use crate::builder::{Builder, Extent};
use crate::format::DataType;

/// Names of the inputs and outputs.
pub mod names {
    /// Arenas of the state, `[slots, len]`, and what is written back into each: the point, the
    /// anchor, and the history, latest first.
    pub const STATE: [(&str, &str); 5] =
        [("u", "next_u"), ("y", "next_y"), ("h1", "next_h1"), ("h2", "next_h2"), ("h3", "next_h3")];
    /// Arenas of the known image and its mask.
    pub const KNOWN: [(&str, &str); 2] = [("image", "next_image"), ("mask", "next_mask")];
    /// Slots of the rows, `[rows]`, i64.
    pub const SLOTS: &str = "slots";
    /// First points, `[rows, len]`.
    pub const POINTS: &str = "points";
    /// Images and masks of samples that begin, `[rows, len]`.
    pub const FIRST_KNOWN: [&str; 2] = ["first_image", "first_mask"];
    /// Scales at the network's input, `[rows, 1]`.
    pub const C_IN: &str = "c_in";
    /// The network's input, `[rows, …sample shape]`.
    pub const SAMPLE: &str = "sample";
    /// The network's outputs, `[evals, output length]`.
    pub const OUTPUTS: &str = "outputs";
    /// Positions of each row's first and second eval among them, `[rows]`, i64.
    pub const EVALS: [&str; 2] = ["first", "second"];
    /// The table, `[rows, WIDTH]`.
    pub const TABLE: &str = "table";
    /// Noise, `[rows, len]`.
    pub const NOISE: &str = "noise";
    /// Positions around the quantile, `[rows, 2]`, i64.
    pub const POSITIONS: &str = "positions";
    /// Share between them and largest threshold, `[rows, 2]`, f64.
    pub const FRACTION_AND_MAX: &str = "fraction_and_max";
    /// The prediction of x_0, `[rows, len]`.
    pub const X_0: &str = "x_0";
    /// What is copied or shown, `[lines, len]`.
    pub const FROM: &str = "from";
    /// Positions of what is shown, `[shown]`, i64.
    pub const WHICH: &str = "which";
    /// Scales of what is shown, `[shown, 1]`.
    pub const SCALES: &str = "scales";
    /// The copy, or what is shown.
    pub const TO: &str = "to";
}

const ROWS: Extent = Extent::Free("rows");
const SLOTS: Extent = Extent::Free("slots");
const LINES: Extent = Extent::Free("lines");

/// Writes the graph that makes the network's `sample` from points in an arena.
///
/// * `sample_shape`: without the batch axis.
#[must_use]
pub fn inputs(sample_shape: &[usize]) -> Vec<u8> {
    let len = sample_shape.iter().product();
    let mut builder = Builder::default();
    let u = builder.input(names::STATE[0].0, DataType::Float, &[SLOTS, Extent::Fixed(len)]);
    let slots = builder.input(names::SLOTS, DataType::Int64, &[ROWS]);
    let scales = builder.input(names::C_IN, DataType::Float, &[ROWS, Extent::Fixed(1)]);
    let points = builder.op("Gather", &[&u, &slots], &[]);
    let scaled = builder.op("Mul", &[&scales, &points], &[]);
    let shape: Vec<i64> =
        [-1].into_iter().chain(sample_shape.iter().map(|extent| *extent as i64)).collect();
    let shape = builder.ints(&shape);
    let sample = builder.op("Reshape", &[&scaled, &shape], &[]);
    let extents: Vec<Extent> =
        [ROWS].into_iter().chain(sample_shape.iter().copied().map(Extent::Fixed)).collect();
    builder.output(names::SAMPLE, &sample, DataType::Float, &extents);
    builder.finish("inputs")
}

/// Writes the graph that puts first states into the arenas: points, the same as anchors, and no
/// history.
///
/// * `len`: elements of a sample.
/// * `known`: whether the samples have a known image.
#[must_use]
pub fn starts(len: usize, known: bool) -> Vec<u8> {
    let mut builder = Builder::default();
    let lines = [ROWS, Extent::Fixed(len)];
    let slots = builder.input(names::SLOTS, DataType::Int64, &[ROWS]);
    let points = builder.input(names::POINTS, DataType::Float, &lines);
    for first in names::FIRST_KNOWN.into_iter().filter(|_| known) {
        builder.input(first, DataType::Float, &lines);
    }
    let axis = builder.ints(&[1]);
    let slots = builder.op("Unsqueeze", &[&slots, &axis], &[]);
    let shape = builder.op("Shape", &[&points], &[]);
    let zeros = builder.op("ConstantOfShape", &[&shape], &[]);
    let mut write = |(arena, next): (&str, &str), lines: &str| {
        let shape = [SLOTS, Extent::Fixed(len)];
        let arena = builder.input(arena, DataType::Float, &shape);
        let written = builder.op("ScatterND", &[&arena, &slots, lines], &[]);
        builder.output(next, &written, DataType::Float, &shape);
    };
    let firsts = [&points, &points, &zeros, &zeros, &zeros];
    names::STATE.into_iter().zip(firsts).for_each(|(arena, first)| write(arena, first));
    if known {
        names::KNOWN.into_iter().zip(names::FIRST_KNOWN).for_each(|(arena, it)| write(arena, it));
    }
    builder.finish("starts")
}

/// Writes the graph that copies lines.
///
/// * `len`: elements of a line.
#[must_use]
pub fn copied(len: usize) -> Vec<u8> {
    let mut builder = Builder::default();
    let shape = [LINES, Extent::Fixed(len)];
    let from = builder.input(names::FROM, DataType::Float, &shape);
    builder.output(names::TO, &from, DataType::Float, &shape);
    builder.finish("copied")
}

/// Writes the graph that gathers and scales what somebody looks at.
///
/// * `len`: elements of a sample.
#[must_use]
pub fn shown(len: usize) -> Vec<u8> {
    const SHOWN: Extent = Extent::Free("shown");
    let mut builder = Builder::default();
    let from = builder.input(names::FROM, DataType::Float, &[LINES, Extent::Fixed(len)]);
    let which = builder.input(names::WHICH, DataType::Int64, &[SHOWN]);
    let scales = builder.input(names::SCALES, DataType::Float, &[SHOWN, Extent::Fixed(1)]);
    let gathered = builder.op("Gather", &[&from, &which], &[]);
    let scaled = builder.op("Mul", &[&scales, &gathered], &[]);
    builder.output(names::TO, &scaled, DataType::Float, &[SHOWN, Extent::Fixed(len)]);
    builder.finish("shown")
}

/// Writes the graph that applies one row to each of several samples.
///
/// * `len`: elements of a sample.
/// * `output_len`: elements of the network's output: `len`, or twice that with variance channels.
#[must_use]
pub fn rows(len: usize, output_len: usize, needs: Needs) -> Vec<u8> {
    Spelling::new(len, output_len, needs).spell()
}

/// The graph of rows while it is written.
struct Spelling {
    builder: Builder,
    len: usize,
    output_len: usize,
    needs: Needs,
    slots: String,
    /// The groups of columns of the table, and where they are not 0.
    numbers: Columns,
    are_set: Columns,
    minus_zero: String,
    one: String,
}

/// Columns of the table, in groups; those of one column are `[rows, 1]`.
struct Columns {
    /// Of each operand, `[rows, mixes]`.
    mixes: Vec<String>,
    start: String,
    evals: Vec<String>,
    x_0: Vec<String>,
    clip: Vec<String>,
    variance: Vec<String>,
    flags: Vec<String>,
}

/// A value in both forms of masks.
struct Known {
    image: String,
    mask: String,
    /// Where the mask is 1, and where it is 0.
    is_one: String,
    is_zero: String,
}

impl Spelling {
    fn new(len: usize, output_len: usize, needs: Needs) -> Self {
        let mut builder = Builder::default();
        let slots = builder.input(names::SLOTS, DataType::Int64, &[ROWS]);
        let shape = [ROWS, Extent::Fixed(WIDTH)];
        let table = builder.input(names::TABLE, DataType::Float, &shape);
        let zero = builder.float(0.0);
        let is_zero = builder.op("Equal", &[&table, &zero], &[]);
        let is_set = builder.op("Not", &[&is_zero], &[]);
        let numbers = Columns::of(&mut builder, &table, needs.memory);
        let are_set = Columns::of(&mut builder, &is_set, needs.memory);
        let (minus_zero, one) = (builder.float(-0.0), builder.float(1.0));
        Self { builder, len, output_len, needs, slots, numbers, are_set, minus_zero, one }
    }

    fn spell(mut self) -> Vec<u8> {
        let (u, arena_u) = self.gather(names::STATE[0].0);
        let (f, variance) = self.outputs();
        let known = self.needs.known.then(|| self.known());
        let x_0 = self.x_0(&u, &f, known.as_ref());
        let noise = self.needs.noise.then(|| self.noise(variance.as_deref()));
        match self.needs.memory {
            true => self.with_memory(&u, &arena_u, &x_0, &f, noise.as_deref(), known.as_ref()),
            false => {
                let mut operands = vec![Some(u.as_str()), None, Some(&x_0), Some(&f)];
                operands.extend([None, None, None, noise.as_deref()]);
                operands.push(known.as_ref().map(|known| known.image.as_str()));
                let next = self.mix(&operands);
                let next = self.replace_x_t(&next, &u, known.as_ref());
                self.scatter(names::STATE[0].1, &arena_u, &next);
            }
        }
        let shape = [ROWS, Extent::Fixed(self.len)];
        self.builder.output(names::X_0, &x_0, DataType::Float, &shape);
        self.builder.finish("rows")
    }

    /// Writes the next point, anchor and history.
    fn with_memory(
        &mut self,
        u: &str,
        arena_u: &str,
        x_0: &str,
        f: &str,
        noise: Option<&str>,
        known: Option<&Known>,
    ) {
        let memory: Vec<(String, String)> =
            names::STATE[1..].iter().map(|(arena, _)| self.gather(arena)).collect();
        let [(y, _), (h1, _), (h2, _), (h3, _)] = &memory[..] else { unreachable!() };
        let image = known.map(|known| known.image.as_str());
        let operands = [Some(u), Some(y), Some(x_0), Some(f), Some(h1), Some(h2), Some(h3)];
        let operands: Vec<Option<&str>> = operands.into_iter().chain([noise, image]).collect();
        let mixed = self.mix(&operands);
        let parts = self.builder.ints(&[1; MIXES]);
        let axis = [("axis", Attr::Int(1))];
        let parts = self.builder.op_of("Split", &[&mixed, &parts], &axis, MIXES);
        let squeezed = self.builder.ints(&[1]);
        let parts: Vec<String> =
            parts.iter().map(|part| self.builder.op("Squeeze", &[part, &squeezed], &[])).collect();
        let next = self.replace_x_t(&parts[0], u, known);
        self.scatter(names::STATE[0].1, arena_u, &next);
        let [_, pushes, sets_anchor, ..] = &self.are_set.flags[..] else { unreachable!() };
        let (pushes, sets_anchor) = (pushes.clone(), sets_anchor.clone());
        // Each result depends on what was gathered from its own arena, so nothing is overwritten
        // before it was read.
        let next = [
            (&sets_anchor, &parts[1], y),
            (&pushes, &parts[2], h1),
            (&pushes, h1, h2),
            (&pushes, h2, h3),
        ];
        let into = names::STATE[1..].iter().zip(&memory);
        for (((_, name), (_, arena)), (condition, new, kept)) in into.zip(next) {
            let next = self.choose(condition, new, kept);
            self.scatter(name, arena, &next);
        }
    }

    /// Adds an arena as an input; returns its lines at the rows' slots, and itself.
    fn gather(&mut self, arena: &str) -> (String, String) {
        let shape = [SLOTS, Extent::Fixed(self.len)];
        let arena = self.builder.input(arena, DataType::Float, &shape);
        (self.builder.op("Gather", &[&arena, &self.slots], &[]), arena)
    }

    /// Writes lines back into an arena, as an output of this name.
    fn scatter(&mut self, name: &str, arena: &str, lines: &str) {
        let axis = self.builder.ints(&[1]);
        let slots = self.builder.op("Unsqueeze", &[&self.slots, &axis], &[]);
        let next = self.builder.op("ScatterND", &[arena, &slots, lines], &[]);
        let shape = [SLOTS, Extent::Fixed(self.len)];
        self.builder.output(name, &next, DataType::Float, &shape);
    }

    /// Computes F, and finds the variance channels of the first eval.
    fn outputs(&mut self) -> (String, Option<String>) {
        let shape = [Extent::Free("evals"), Extent::Fixed(self.output_len)];
        let outputs = self.builder.input(names::OUTPUTS, DataType::Float, &shape);
        let mut sum = self.numbers.evals[2].clone();
        let mut variance = None;
        for eval in 0..1 + usize::from(self.needs.guidance) {
            let position = self.builder.input(names::EVALS[eval], DataType::Int64, &[ROWS]);
            let mut output = self.builder.op("Gather", &[&outputs, &position], &[]);
            if self.output_len > self.len {
                let parts = self.builder.ints(&[self.len as i64; 2]);
                let axis = [("axis", Attr::Int(1))];
                let parts = self.builder.op_of("Split", &[&output, &parts], &axis, 2);
                let [predicted, raw] = &parts[..] else { unreachable!() };
                variance.get_or_insert_with(|| raw.clone());
                output.clone_from(predicted);
            }
            let (number, is_set) =
                (self.numbers.evals[eval].clone(), self.are_set.evals[eval].clone());
            let term = self.term(&number, &is_set, &output);
            sum = self.builder.op("Add", &[&sum, &term], &[]);
        }
        (sum, variance)
    }

    /// Computes x_0 = clip(p_u u + p_F F), with the known image in its place.
    fn x_0(&mut self, u: &str, f: &str, known: Option<&Known>) -> String {
        let terms = [u, f].into_iter().enumerate().map(|(at, operand)| {
            let (number, is_set) = (self.numbers.x_0[at].clone(), self.are_set.x_0[at].clone());
            self.term(&number, &is_set, operand)
        });
        let terms: Vec<String> = terms.collect();
        let predicted = self.builder.op("Add", &[&terms[0], &terms[1]], &[]);
        let [least, most] = &self.numbers.clip[..] else { unreachable!() };
        let below = self.builder.op("Min", &[&predicted, most], &[]);
        let mut x_0 = self.builder.op("Max", &[&below, least], &[]);
        if self.needs.threshold {
            let thresholded = self.threshold(&predicted);
            let is_dynamic = self.are_set.flags[5].clone();
            x_0 = self.choose(&is_dynamic, &thresholded, &x_0);
        }
        if let Some(known) = known {
            let blended = self.blend(known, &known.image, &x_0);
            let is_replaced = self.are_set.flags[3].clone();
            x_0 = self.choose(&is_replaced, &blended, &x_0);
        }
        x_0
    }

    /// Thresholds x_0 by the quantile of its size; all of it becomes NaN if any element is not
    /// finite.
    fn threshold(&mut self, x_0: &str) -> String {
        let pair = [ROWS, Extent::Fixed(2)];
        let positions = self.builder.input(names::POSITIONS, DataType::Int64, &pair);
        let shares = self.builder.input(names::FRACTION_AND_MAX, DataType::Double, &pair);
        let builder = &mut self.builder;
        let sizes = builder.op("Abs", &[x_0], &[]);
        // Numbers can be sorted.
        let (is_nan, zero) = (builder.op("IsNaN", &[&sizes], &[]), builder.float(0.0));
        let sizes = builder.op("Where", &[&is_nan, &zero, &sizes], &[]);
        let count = builder.ints(&[self.len as i64]);
        let ascending = [("axis", Attr::Int(1)), ("largest", Attr::Int(0))];
        let sorted = builder.op_of("TopK", &[&sizes, &count], &ascending, 2).swap_remove(0);
        let found = builder.op("GatherElements", &[&sorted, &positions], &[("axis", Attr::Int(1))]);
        let found = cast(builder, &found, DataType::Double);
        let [below, above] = halves(builder, &found);
        let [share, most] = halves(builder, &shares);
        let distance = builder.op("Sub", &[&above, &below], &[]);
        let way = builder.op("Mul", &[&distance, &share], &[]);
        let quantile = builder.op("Add", &[&below, &way], &[]);
        let one = builder.double(1.0);
        let size = builder.op("Max", &[&quantile, &one], &[]);
        let size = builder.op("Min", &[&size, &most], &[]);
        let scale = builder.op("Div", &[&one, &size], &[]);
        let (size, scale) =
            (cast(builder, &size, DataType::Float), cast(builder, &scale, DataType::Float));
        let least = builder.op("Neg", &[&size], &[]);
        let kept = builder.op("Min", &[x_0, &size], &[]);
        let kept = builder.op("Max", &[&kept, &least], &[]);
        let scaled = builder.op("Mul", &[&kept, &scale], &[]);
        // x − x is 0 for finite numbers and NaN for all others, and so is its sum.
        let lost = builder.op("Sub", &[x_0, x_0], &[]);
        let axis = builder.ints(&[1]);
        let lost = builder.op("ReduceSum", &[&lost, &axis], &[]);
        let lost = builder.op("IsNaN", &[&lost], &[]);
        let nan = builder.float(f32::NAN);
        builder.op("Where", &[&lost, &nan, &scaled], &[])
    }

    /// Returns the noise, scaled by the variance channels where a row says so.
    fn noise(&mut self, variance: Option<&str>) -> String {
        let shape = [ROWS, Extent::Fixed(self.len)];
        let noise = self.builder.input(names::NOISE, DataType::Float, &shape);
        let Some(variance) = variance else { return noise };
        let [slope, offset] = &self.numbers.variance[..] else { unreachable!() };
        let scaled = self.builder.op("Mul", &[slope, variance], &[]);
        let moved = self.builder.op("Add", &[&scaled, offset], &[]);
        let deviation = self.builder.op("Exp", &[&moved], &[]);
        let scaled = self.builder.op("Mul", &[&noise, &deviation], &[]);
        let is_learned = self.are_set.flags[0].clone();
        self.choose(&is_learned, &scaled, &noise)
    }

    /// Sums coefficient × operand, in order: `[rows, len]`, or `[rows, mixes, len]` with memory.
    ///
    /// * `operands`: in the order of the table; absent ones have no terms.
    fn mix(&mut self, operands: &[Option<&str>]) -> String {
        let mut sum = self.per_mix(self.numbers.start.clone());
        for (at, operand) in operands.iter().enumerate() {
            let Some(operand) = operand else { continue };
            let number = self.per_mix(self.numbers.mixes[at].clone());
            let is_set = self.per_mix(self.are_set.mixes[at].clone());
            let operand = match self.needs.memory {
                true => {
                    let axis = self.builder.ints(&[1]);
                    self.builder.op("Unsqueeze", &[operand, &axis], &[])
                }
                false => (*operand).to_owned(),
            };
            let term = self.term(&number, &is_set, &operand);
            sum = self.builder.op("Add", &[&sum, &term], &[]);
        }
        sum
    }

    /// Makes columns `[rows, mixes]` a factor of `[rows, mixes, len]`.
    fn per_mix(&mut self, columns: String) -> String {
        if !self.needs.memory {
            return columns;
        }
        let axis = self.builder.ints(&[2]);
        self.builder.op("Unsqueeze", &[&columns, &axis], &[])
    }

    /// Returns coefficient × operand, or −0 where the coefficient is 0, whatever the operand.
    fn term(&mut self, number: &str, is_set: &str, operand: &str) -> String {
        let product = self.builder.op("Mul", &[number, operand], &[]);
        self.builder.op("Where", &[is_set, &product, &self.minus_zero], &[])
    }

    fn choose(&mut self, condition: &str, yes: &str, no: &str) -> String {
        self.builder.op("Where", &[condition, yes, no], &[])
    }

    /// Gathers the known image and its mask.
    fn known(&mut self) -> Known {
        let [(image, _), (mask, _)] = names::KNOWN.map(|(arena, _)| self.gather(arena));
        let zero = self.builder.float(0.0);
        let is_one = self.builder.op("Equal", &[&mask, &self.one], &[]);
        let is_zero = self.builder.op("Equal", &[&mask, &zero], &[]);
        Known { image, mask, is_one, is_zero }
    }

    /// Computes mask x + (1 − mask) other, exact where the mask is 0 or 1.
    fn blend(&mut self, known: &Known, x: &str, other: &str) -> String {
        let builder = &mut self.builder;
        let rest = builder.op("Sub", &[&self.one, &known.mask], &[]);
        let ours = builder.op("Mul", &[&known.mask, x], &[]);
        let theirs = builder.op("Mul", &[&rest, other], &[]);
        let mixed = builder.op("Add", &[&ours, &theirs], &[]);
        let mixed = builder.op("Where", &[&known.is_zero, other, &mixed], &[]);
        builder.op("Where", &[&known.is_one, x, &mixed], &[])
    }

    /// Leaves the point as it was where the known image does not replace it.
    fn replace_x_t(&mut self, next: &str, u: &str, known: Option<&Known>) -> String {
        let Some(known) = known else { return next.to_owned() };
        let blended = self.blend(known, next, u);
        let is_replaced = self.are_set.flags[4].clone();
        self.choose(&is_replaced, &blended, next)
    }
}

impl Columns {
    /// Divides a table into its groups of columns.
    ///
    /// * `memory`: whether all mixes are computed, or only the next point.
    fn of(builder: &mut Builder, table: &str, memory: bool) -> Self {
        let per_operand: &[i64] = if memory { &[3] } else { &[1, 2] };
        let single = WIDTH - column::EVALS;
        let sizes: Vec<i64> = [&per_operand.repeat(OPERANDS + 1)[..], &vec![1; single]].concat();
        let lengths = builder.ints(&sizes);
        let axis = [("axis", Attr::Int(1))];
        let parts = builder.op_of("Split", &[table, &lengths], &axis, sizes.len());
        let (mixes, singles) = parts.split_at(sizes.len() - single);
        let mut mixes: Vec<String> = mixes.iter().step_by(per_operand.len()).cloned().collect();
        let start = mixes.split_off(OPERANDS).swap_remove(0);
        let at = |first: usize, count: usize| singles[first - column::EVALS..][..count].to_vec();
        Self {
            mixes,
            start,
            evals: at(column::EVALS, 3),
            x_0: at(column::X_0, 2),
            clip: at(column::CLIP, 2),
            variance: at(column::VARIANCE, 2),
            flags: at(column::FLAGS, column::FLAG_COUNT),
        }
    }
}

fn cast(builder: &mut Builder, value: &str, data_type: DataType) -> String {
    builder.op("Cast", &[value], &[("to", Attr::Int(i64::from(i32::from(data_type))))])
}

/// Divides `[rows, 2]` into two columns.
fn halves(builder: &mut Builder, pair: &str) -> [String; 2] {
    let lengths = builder.ints(&[1, 1]);
    let parts = builder.op_of("Split", &[pair, &lengths], &[("axis", Attr::Int(1))], 2);
    [parts[0].clone(), parts[1].clone()]
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::format::ModelProto;

    #[test]
    fn a_call_that_needs_little_has_few_operations() {
        let operations = |needs| {
            let model = ModelProto::decode(&rows(3072, 3072, needs)[..]).unwrap();
            let nodes = model.graph.unwrap().node;
            nodes.iter().filter(|node| node.op_type() != "Identity").count()
        };
        assert_eq!(Needs::KINDS.map(operations), [34, 91, 140]);
    }
}

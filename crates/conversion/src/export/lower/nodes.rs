//! The definition of each contributed operator in ONNX's own.

use ddpm_graph::format::{AttributeProto, DataType, NodeProto};

use super::{LowerError, Lowering, int, ints};

/// From channels last to channels first, and back.
const TO_PLANES: [i64; 4] = [0, 3, 1, 2];
const TO_LAST: [i64; 4] = [0, 2, 3, 1];

impl Lowering {
    /// Lowers one node.
    pub(super) fn node(&mut self, node: &NodeProto) -> Result<(), LowerError> {
        match (node.domain(), node.op_type()) {
            ("", "Cast") if is_cast_of_floats(node) => {
                self.push("Identity", &[input(node, 0)?], output(node)?, Vec::new());
                Ok(())
            }
            ("", _) => {
                self.nodes.push(node.clone());
                Ok(())
            }
            (_, "NhwcConv") => self.conv(node),
            (_, "GroupNorm") => {
                let x = input(node, 0)?.to_owned();
                self.group_norm(node, &x)
            }
            (_, "SkipGroupNorm") => self.skip_group_norm(node),
            (_, "MultiHeadAttention") => self.attention(node),
            (_, other) => Err(LowerError::Unknown(other.to_owned())),
        }
    }

    fn transposed(&mut self, x: &str, perm: &[i64]) -> String {
        self.add("Transpose", &[x], vec![ints("perm", perm)])
    }

    /// The kernel is `[O, k, k, I]`.
    fn conv(&mut self, node: &NodeProto) -> Result<(), LowerError> {
        let x = self.transposed(input(node, 0)?, &TO_PLANES);
        let weight = self.transposed(input(node, 1)?, &TO_PLANES);
        let inputs = [x.as_str(), &weight, input(node, 2)?];
        let y = self.add("Conv", &inputs, node.attribute.clone());
        self.push("Transpose", &[&y], output(node)?, vec![ints("perm", &TO_LAST)]);
        Ok(())
    }

    /// Normalises `x`, scales and shifts, and activates.
    fn group_norm(&mut self, node: &NodeProto, x: &str) -> Result<(), LowerError> {
        let groups = count(node, "groups")?;
        let planes = self.transposed(x, &TO_PLANES);
        let target = self.ints(&[0, groups, -1]);
        let grouped = self.add("Reshape", &[&planes, &target], Vec::new());
        let ones = self.floats(&vec![1.0; groups as usize]);
        let zeros = self.floats(&vec![0.0; groups as usize]);
        let epsilon = vec![attribute(node, "epsilon")?.clone()];
        let normed = self.add("InstanceNormalization", &[&grouped, &ones, &zeros], epsilon);
        let shape = self.add("Shape", &[&planes], Vec::new());
        let normed = self.add("Reshape", &[&normed, &shape], Vec::new());
        let normed = self.transposed(&normed, &TO_LAST);
        let scaled = self.add("Mul", &[&normed, input(node, 1)?], Vec::new());
        let output = output(node)?;
        if whole(node, "activation")? == 0 {
            self.push("Add", &[&scaled, input(node, 2)?], output, Vec::new());
            return Ok(());
        }
        let shifted = self.add("Add", &[&scaled, input(node, 2)?], Vec::new());
        let gate = self.add("Sigmoid", &[&shifted], Vec::new());
        self.push("Mul", &[&shifted, &gate], output, Vec::new());
        Ok(())
    }

    /// Adds `skip`, a picture or one number per channel; the sum is the second result.
    fn skip_group_norm(&mut self, node: &NodeProto) -> Result<(), LowerError> {
        let skip = input(node, 3)?;
        let is_row = self.shape(node, skip)?.len() == 1;
        let skip = match is_row {
            true => {
                let axes = self.ints(&[1, 2]);
                self.add("Unsqueeze", &[skip, &axes], Vec::new())
            }
            false => skip.to_owned(),
        };
        let mut sum = self.add("Add", &[input(node, 0)?, &skip], Vec::new());
        // The kernel keeps the sum in the type of its input, whether it is asked for or not.
        if self.rounds(input(node, 0)?) {
            let half = self.cast(&sum, DataType::Float16);
            sum = self.cast(&half, DataType::Float);
        }
        if let Some(output) = node.output.get(1) {
            self.push("Identity", &[&sum], output, Vec::new());
        }
        self.group_norm(node, &sum)
    }

    /// Takes `[B, S, heads, 3, d]`, or queries, keys and values of `[B, S, heads d]` each.
    fn attention(&mut self, node: &NodeProto) -> Result<(), LowerError> {
        let heads = count(node, "num_heads")?;
        let (parts, head_dim) = if let [packed] = &node.input[..] {
            let shape = self.shape(node, packed)?;
            let head_dim = *shape.get(3).ok_or_else(|| missing(node, "the fourth axis"))?;
            (self.unpacked(packed), head_dim)
        } else {
            let shape = self.shape(node, input(node, 0)?)?;
            let width = *shape.get(1).ok_or_else(|| missing(node, "the second axis"))?;
            let mut parts = Vec::new();
            for i in 0..3 {
                let target = self.ints(&[0, 0, heads, -1]);
                parts.push(self.add("Reshape", &[input(node, i)?, &target], Vec::new()));
            }
            (parts, width / heads)
        };
        let [q, k, v] = [&parts[0], &parts[1], &parts[2]];
        // [B, S, heads, d] → [B, heads, S, d], and [B, heads, d, S] for the keys.
        let q = self.transposed(q, &[0, 2, 1, 3]);
        let k = self.transposed(k, &[0, 2, 3, 1]);
        let v = self.transposed(v, &[0, 2, 1, 3]);
        let scores = self.add("MatMul", &[&q, &k], Vec::new());
        let scale = self.floats(&[1.0 / (head_dim as f32).sqrt()]);
        let scores = self.add("Mul", &[&scores, &scale], Vec::new());
        let weights = self.add("Softmax", &[&scores], vec![int("axis", -1)]);
        let mixed = self.add("MatMul", &[&weights, &v], Vec::new());
        let mixed = self.transposed(&mixed, &[0, 2, 1, 3]);
        let target = self.ints(&[0, 0, -1]);
        self.push("Reshape", &[&mixed, &target], output(node)?, Vec::new());
        Ok(())
    }

    /// Takes queries, keys and values apart: three of `[B, S, heads, d]`.
    fn unpacked(&mut self, packed: &str) -> Vec<String> {
        let part = |index| {
            let index = self.constant(DataType::Int64, Vec::new(), bytemuck::bytes_of(&index));
            self.add("Gather", &[packed, &index], vec![int("axis", 3)])
        };
        [0i64, 1, 2].map(part).to_vec()
    }

    /// Returns the described shape of a result, after the batch axis.
    fn shape(&self, node: &NodeProto, name: &str) -> Result<Vec<i64>, LowerError> {
        let described = self.described.get(name).map(|(shape, _)| shape.clone());
        described.ok_or_else(|| missing(node, &format!("the shape of {name}")))
    }

    fn rounds(&self, name: &str) -> bool {
        self.before_rounding(name) != name
    }
}

/// Returns whether a node converts between f16 and f32, which are one type here.
fn is_cast_of_floats(node: &NodeProto) -> bool {
    let to = node.attribute.iter().find(|attribute| attribute.name() == "to");
    let floats = [DataType::Float as i64, DataType::Float16 as i64];
    to.is_some_and(|to| floats.contains(&to.i()))
}

fn input(node: &NodeProto, index: usize) -> Result<&str, LowerError> {
    let found = node.input.get(index).filter(|name| !name.is_empty());
    found.map(String::as_str).ok_or_else(|| missing(node, &format!("input {index}")))
}

fn output(node: &NodeProto) -> Result<&str, LowerError> {
    node.output.first().map(String::as_str).ok_or_else(|| missing(node, "its output"))
}

fn attribute<'n>(node: &'n NodeProto, name: &str) -> Result<&'n AttributeProto, LowerError> {
    let found = node.attribute.iter().find(|attribute| attribute.name() == name);
    found.ok_or_else(|| missing(node, name))
}

fn whole(node: &NodeProto, name: &str) -> Result<i64, LowerError> {
    Ok(attribute(node, name)?.i())
}

/// Reads a number of groups or heads.
fn count(node: &NodeProto, name: &str) -> Result<i64, LowerError> {
    const MOST: i64 = 1 << 16;
    let number = whole(node, name)?;
    match (1..=MOST).contains(&number) {
        true => Ok(number),
        false => Err(missing(node, &format!("{name} of 1 to {MOST}"))),
    }
}

fn missing(node: &NodeProto, what: &str) -> LowerError {
    LowerError::Missing { node: node.name().to_owned(), what: what.to_owned() }
}

//! Values of the CUDA dialect: their types and layouts, and the steps from one to another.

use std::rc::Rc;

use ddpm_graph::attributes::{Attr, Attrs};
use ddpm_graph::format::{DataType, ValueInfoProto};

use super::super::graph::info;
use super::super::trace::Trace;

/// The set of operators that ONNX Runtime contributes.
pub(super) const CONTRIBUTED: &str = "com.microsoft";

/// The order of a value's axes after the batch axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Channels, height, width: only at the ends of the graph.
    Planes,
    /// Height, width, channels.
    ChannelsLast,
    /// Features, or nothing.
    Rows,
}

/// A value in the graph.
#[derive(Debug, Clone)]
pub(super) struct Spelled {
    pub(super) name: Rc<str>,
    pub(super) data_type: DataType,
    pub(super) layout: Layout,
    /// Extents after the batch axis, in the order of the layout.
    pub(super) shape: Vec<i64>,
}

impl Spelled {
    /// Returns the same value as one of another type, layout or shape under another name.
    pub(super) fn named(&self, name: &str) -> Self {
        Self { name: name.into(), ..self.clone() }
    }
}

/// Writes nodes, and describes each result: runtimes cannot infer the shapes of contributed
/// operators.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) trace: Trace,
    pub(super) described: Vec<ValueInfoProto>,
}

impl Writer {
    /// Adds a node of ONNX's own whose result is like `like`.
    pub(super) fn node(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attrs: Attrs<'_>,
        like: &Spelled,
    ) -> Spelled {
        let [name] = self.trace.node(op_type, inputs, attrs);
        self.describe(&name, like)
    }

    /// Adds a contributed node with `N` results like `like`.
    pub(super) fn contributed<const N: usize>(
        &mut self,
        op_type: &str,
        inputs: &[&str],
        attrs: Attrs<'_>,
        like: &Spelled,
    ) -> [Spelled; N] {
        let names: [String; N] = self.trace.node_of(Some(CONTRIBUTED), op_type, inputs, attrs);
        names.map(|name| self.describe(&name, like))
    }

    fn describe(&mut self, name: &str, like: &Spelled) -> Spelled {
        self.described.push(info(name, like.data_type, &like.shape));
        like.named(name)
    }

    /// Converts a value to a type.
    pub(super) fn cast(&mut self, x: &Spelled, data_type: DataType) -> Spelled {
        if x.data_type == data_type {
            return x.clone();
        }
        let like = Spelled { data_type, ..x.clone() };
        self.node("Cast", &[&x.name], &[("to", Attr::Int(data_type as i64))], &like)
    }

    /// Gives a value other axes, the batch axis kept.
    pub(super) fn reshape(&mut self, x: &Spelled, shape: &[i64]) -> Spelled {
        let target: Vec<i64> = [0].iter().chain(shape).copied().collect();
        let target = self.trace.ints(&target);
        let like = Spelled { shape: shape.to_vec(), ..x.clone() };
        self.node("Reshape", &[&x.name, &target], &[], &like)
    }

    /// Reorders the axes after the batch axis: axis i of the result is axis `order[i]`, counted
    /// from 1.
    pub(super) fn transpose(&mut self, x: &Spelled, order: &[i64], layout: Layout) -> Spelled {
        let perm: Vec<i64> = [0].iter().chain(order).copied().collect();
        let shape = order.iter().map(|&axis| x.shape[axis as usize - 1]).collect();
        let like = Spelled { shape, layout, ..x.clone() };
        self.node("Transpose", &[&x.name], &[("perm", Attr::Ints(&perm))], &like)
    }

    /// Splits a value into `N` parts of `extent` along an axis, counted from 1 after the batch.
    pub(super) fn split<const N: usize>(
        &mut self,
        x: &Spelled,
        axis: usize,
        extent: i64,
    ) -> [Spelled; N] {
        let parts = self.trace.ints(&[extent; N]);
        let attrs = [("axis", Attr::Int(axis as i64))];
        let names: [String; N] = self.trace.node("Split", &[&x.name, &parts], &attrs);
        let mut like = x.clone();
        like.shape[axis - 1] = extent;
        names.map(|name| self.describe(&name, &like))
    }

    /// Puts the channels of a picture last.
    pub(super) fn channels_last(&mut self, x: &Spelled) -> Spelled {
        match x.layout {
            Layout::Planes => self.transpose(x, &[2, 3, 1], Layout::ChannelsLast),
            _ => x.clone(),
        }
    }

    /// Puts the channels of a picture first.
    pub(super) fn planes(&mut self, x: &Spelled) -> Spelled {
        match x.layout {
            Layout::ChannelsLast => self.transpose(x, &[3, 1, 2], Layout::Planes),
            _ => x.clone(),
        }
    }
}

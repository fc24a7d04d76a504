//! Attributes of an operation.

use crate::format::{AttributeProto, AttributeType};

/// The value of an attribute.
#[derive(Debug)]
pub enum Attr<'a> {
    /// A whole number.
    Int(i64),
    /// Whole numbers.
    Ints(&'a [i64]),
    /// A real number; written as f32.
    Float(f64),
    /// A text.
    Text(&'a str),
}

/// Attributes by name.
pub type Attrs<'a> = &'a [(&'static str, Attr<'a>)];

impl Attr<'_> {
    /// Writes it under a name.
    #[must_use]
    pub fn to_proto(&self, name: &str) -> AttributeProto {
        let blank = AttributeProto { name: Some(name.to_owned()), ..Default::default() };
        let (kind, proto) = match self {
            Attr::Int(i) => (AttributeType::Int, AttributeProto { i: Some(*i), ..blank }),
            Attr::Ints(ints) => {
                (AttributeType::Ints, AttributeProto { ints: ints.to_vec(), ..blank })
            }
            Attr::Float(f) => {
                (AttributeType::Float, AttributeProto { f: Some(*f as f32), ..blank })
            }
            Attr::Text(text) => (
                AttributeType::String,
                AttributeProto { s: Some(text.as_bytes().to_vec()), ..blank },
            ),
        };
        AttributeProto { r#type: Some(kind.into()), ..proto }
    }
}

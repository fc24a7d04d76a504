//! Says what decoding a message takes, before it is decoded.
//!
//! An empty element of a list takes two bytes on the wire and up to hundreds in memory. So the
//! bytes are walked first, against a table that `build.rs` writes from the descriptors: nothing
//! is allocated on the way, lists that are too long are refused by their path, and the memory
//! that decoding takes is known before it is taken.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The messages of the contract.
#[rustfmt::skip]
pub mod shapes {
    use super::{Field, Kind, Shape};

    include!(concat!(env!("OUT_DIR"), "/shapes.rs"));
}

/// What `measure` must know of a message.
#[derive(Debug)]
pub struct Shape {
    /// Lists in it, at any depth.
    lists: usize,
    fields: &'static [Field],
}

#[derive(Debug)]
struct Field {
    number: u32,
    name: &'static str,
    kind: Kind,
    /// Of a list: bytes of memory of an element.
    element: Option<usize>,
    /// Lists of its message before it, at any depth.
    first_list: usize,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Varint,
    #[allow(dead_code, reason = "the contract has no field of four bytes so far")]
    Fixed32,
    Fixed64,
    /// A copy of the bytes.
    Text,
    /// A part of the message's own buffer, or scalars only: takes no memory of its own.
    Bytes,
    Message(&'static Shape),
}

/// A list within a list may hold this many elements for each that the outer may hold: `Mix.h`
/// has up to three in each row.
const NESTED: u64 = 4;

/// What decoding takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Bytes of memory beside the message itself, with the spare room of vectors that double.
    pub bytes: u64,
    /// Elements of each list of the shape, over all messages that hold it.
    elements: Vec<u64>,
}

/// Why a message must not be decoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It is no message of that shape.
    #[error("{0}")]
    Undecodable(#[from] DecodeError),
    /// A list is too long.
    #[error("{field} holds more than {max} elements")]
    TooMany {
        /// Its path, with dots.
        field: String,
        /// The most that it may hold.
        max: u64,
    },
}

/// Measures the bytes of a message.
///
/// * `max_elements`: most elements of a list; of a list within a list, in total, four times as
///   many.
///
/// # Errors
///
/// [`Refusal`]: what decoding would refuse too, as far as it shows without decoding, and lists
/// that are too long.
pub fn measure(
    shape: &'static Shape,
    message: &[u8],
    max_elements: u64,
) -> Result<Measured, Refusal> {
    let mut walk = Walk { bytes: 0, elements: vec![0; shape.lists] };
    walk.message(shape, message, 0, max_elements)?;
    Ok(Measured { bytes: walk.bytes, elements: walk.elements })
}

impl Measured {
    /// Returns the elements of a list by its path, such as `index_ranges.ranges`; 0 if the shape
    /// has no such list.
    #[must_use]
    pub fn elements(&self, shape: &Shape, path: &str) -> u64 {
        shape.list(path).and_then(|list| self.elements.get(list)).copied().unwrap_or(0)
    }
}

impl Measured {
    /// Returns the elements of all lists together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.elements.iter().sum()
    }
}

impl Shape {
    fn list(&self, path: &str) -> Option<usize> {
        let (name, rest) = match path.split_once('.') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        let field = self.fields.iter().find(|field| field.name == name)?;
        match (rest, field.kind) {
            (None, _) => field.element.map(|_| field.first_list),
            (Some(rest), Kind::Message(inner)) => Some(field.below() + inner.list(rest)?),
            (Some(_), _) => None,
        }
    }
}

impl Field {
    /// The first list within it.
    fn below(&self) -> usize {
        self.first_list + usize::from(self.element.is_some())
    }
}

struct Walk {
    bytes: u64,
    elements: Vec<u64>,
}

impl Walk {
    /// Walks a message.
    ///
    /// * `lists`: the number of its first list;
    /// * `max`: most elements of each of them.
    fn message(
        &mut self,
        shape: &Shape,
        mut rest: &[u8],
        lists: usize,
        max: u64,
    ) -> Result<(), Refusal> {
        // Vectors of a message that have an element: the first takes room for a few.
        let mut begun = 0_u64;
        while !rest.is_empty() {
            let (number, wire_type) = decode_key(&mut rest)?;
            let position = shape.fields.iter().position(|field| field.number == number);
            let Some((position, field)) = position.map(|at| (at, &shape.fields[at])) else {
                skip_field(wire_type, number, &mut rest, DecodeContext::default())?;
                continue;
            };
            if wire_type != WireType::LengthDelimited {
                skip_field(wire_type, number, &mut rest, DecodeContext::default())?;
                self.count(field, 1, lists, max, &mut begun, position)?;
                continue;
            }
            let content = delimited(number, &mut rest)?;
            let count = match field.kind {
                Kind::Varint => content.iter().filter(|byte| **byte < 0x80).count(),
                Kind::Fixed32 => content.len() / 4,
                Kind::Fixed64 => content.len() / 8,
                Kind::Text | Kind::Bytes | Kind::Message(_) => 1,
            };
            self.count(field, count as u64, lists, max, &mut begun, position)?;
            match field.kind {
                Kind::Text => self.bytes += text_bytes(content.len()),
                Kind::Message(inner) => {
                    let max = if field.element.is_some() { max * NESTED } else { max };
                    self.message(inner, content, lists + field.below(), max)
                        .map_err(|refusal| refusal.below(field.name))?;
                }
                Kind::Varint | Kind::Fixed32 | Kind::Fixed64 | Kind::Bytes => {}
            }
        }
        Ok(())
    }

    /// Counts elements of a field, if it is a list.
    fn count(
        &mut self,
        field: &Field,
        count: u64,
        lists: usize,
        max: u64,
        begun: &mut u64,
        position: usize,
    ) -> Result<(), Refusal> {
        let Some(element) = field.element else { return Ok(()) };
        let total = &mut self.elements[lists + field.first_list];
        *total += count;
        if *total > max {
            return Err(Refusal::TooMany { field: field.name.into(), max });
        }
        let bit = 1 << position.min(63);
        // A field beyond the 63rd pays for the first element each time, which is no less.
        if count > 0 && (*begun & bit == 0 || position >= 63) {
            *begun |= bit;
            self.bytes += first_bytes(element);
        }
        self.bytes += 2 * count * element as u64;
        Ok(())
    }
}

/// What the smallest vector takes beyond twice its one element: room for four; for eight bytes.
fn first_bytes(element: usize) -> u64 {
    (2 * element).max(8) as u64
}

/// A string takes at least eight bytes. A later one of the same field may double the room of an
/// earlier one.
fn text_bytes(len: usize) -> u64 {
    2 * len as u64 + 8
}

impl Refusal {
    fn below(self, name: &str) -> Self {
        match self {
            Self::TooMany { field, max } => Self::TooMany { field: format!("{name}.{field}"), max },
            Self::Undecodable(error) => Self::Undecodable(error),
        }
    }
}

/// Takes the content of a length-delimited field.
fn delimited<'a>(number: u32, rest: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let whole = *rest;
    let mut after = whole;
    let len = decode_varint(&mut after)?;
    match usize::try_from(len).ok().and_then(|len| after.split_at_checked(len)) {
        Some((content, left)) => {
            *rest = left;
            Ok(content)
        }
        // Fails as prost does: the content is cut short.
        None => skip_field(WireType::LengthDelimited, number, rest, DecodeContext::default())
            .map(|()| [].as_slice()),
    }
}

#[cfg(test)]
mod tests;

//! Writes the table that `measure` walks messages by: of every message its fields, their kinds,
//! and the memory that an element of a list takes.

use std::fmt::Write;

use heck::{ToShoutySnakeCase, ToUpperCamelCase};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::{Failure, bare, message};

/// Foreign messages that hold scalars only, so that decoding them takes no memory.
const SCALARS_ONLY: [&str; 1] = [".google.protobuf.Duration"];

/// A static `Shape` for each message.
pub(super) fn table(descriptors: &FileDescriptorSet) -> Result<String, Failure> {
    let mut text = String::new();
    let messages = descriptors.file.iter().filter(|file| file.package() == "ddpm.v1");
    for descriptor in messages.flat_map(|file| &file.message_type) {
        let name = descriptor.name();
        let (mut fields, mut lists) = (String::new(), 0);
        for field in &descriptor.field {
            writeln!(fields, "        {},", row(field, lists)?)?;
            lists += lists_below(descriptors, field, &[name])?;
        }
        let shape = name.to_shouty_snake_case();
        writeln!(
            text,
            "/// Of `{name}`.\n\
             pub static {shape}: Shape = Shape {{\n    \
                 lists: {lists},\n    \
                 fields: &[\n{fields}    ],\n\
             }};\n"
        )?;
    }
    Ok(text)
}

/// The expression of a field; `first_list` is the number of lists before it in its message.
fn row(field: &FieldDescriptorProto, first_list: usize) -> Result<String, Failure> {
    let (number, name) = (field.number(), field.name());
    let element = match is_list(field) {
        true => format!("Some(size_of::<{}>())", rust_type(field)?),
        false => "None".into(),
    };
    let kind = kind(field)?;
    Ok(format!(
        "Field {{ number: {number}, name: {name:?}, kind: {kind}, element: {element}, \
         first_list: {first_list} }}"
    ))
}

/// The number of lists at and below a field.
fn lists_below(
    descriptors: &FileDescriptorSet,
    field: &FieldDescriptorProto,
    above: &[&str],
) -> Result<usize, Failure> {
    let own = usize::from(is_list(field));
    match own_message(field)? {
        None => Ok(own),
        Some(name) => {
            if above.contains(&name) {
                return Err(format!("{name} holds itself: measuring needs a finite table").into());
            }
            let above = [above, &[name]].concat();
            let inner: &DescriptorProto = message(descriptors, name)?;
            let below = inner.field.iter().map(|field| lists_below(descriptors, field, &above));
            Ok(own + below.sum::<Result<usize, Failure>>()?)
        }
    }
}

fn is_list(field: &FieldDescriptorProto) -> bool {
    field.label() == Label::Repeated
}

/// The name of a message of ours; `None` for everything else.
fn own_message(field: &FieldDescriptorProto) -> Result<Option<&str>, Failure> {
    let name = field.type_name();
    if field.r#type() != Type::Message || SCALARS_ONLY.contains(&name) {
        return Ok(None);
    }
    match name.starts_with(".ddpm.v1.") {
        true => Ok(Some(bare(name))),
        false => Err(format!("{}: what does decoding {name} take?", field.name()).into()),
    }
}

fn kind(field: &FieldDescriptorProto) -> Result<String, Failure> {
    let kind = match field.r#type() {
        Type::Double | Type::Fixed64 | Type::Sfixed64 => "Kind::Fixed64",
        Type::Float | Type::Fixed32 | Type::Sfixed32 => "Kind::Fixed32",
        Type::String => "Kind::Text",
        Type::Bytes => "Kind::Bytes",
        Type::Message => {
            return Ok(match own_message(field)? {
                Some(name) => format!("Kind::Message(&{})", name.to_shouty_snake_case()),
                None => "Kind::Bytes".into(),
            });
        }
        Type::Group => return Err(format!("{}: groups are not known", field.name()).into()),
        Type::Int64
        | Type::Uint64
        | Type::Int32
        | Type::Uint32
        | Type::Sint32
        | Type::Sint64
        | Type::Bool
        | Type::Enum => "Kind::Varint",
    };
    Ok(kind.into())
}

/// The type of an element in memory, as prost names it.
fn rust_type(field: &FieldDescriptorProto) -> Result<String, Failure> {
    let name = match field.r#type() {
        Type::Double => "f64",
        Type::Float => "f32",
        Type::Int64 | Type::Sint64 | Type::Sfixed64 => "i64",
        Type::Uint64 | Type::Fixed64 => "u64",
        Type::Int32 | Type::Sint32 | Type::Sfixed32 | Type::Enum => "i32",
        Type::Uint32 | Type::Fixed32 => "u32",
        Type::Bool => "bool",
        Type::String => "String",
        Type::Bytes => "prost::bytes::Bytes",
        Type::Message => {
            return Ok(match own_message(field)? {
                Some(name) => format!("crate::v1::{}", name.to_upper_camel_case()),
                None => format!("prost_types::{}", bare(field.type_name())),
            });
        }
        Type::Group => return Err(format!("{}: groups are not known", field.name()).into()),
    };
    Ok(name.into())
}

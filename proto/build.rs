//! Compiles `ddpm/v1/*.proto` with protox, so that nobody needs protoc, and writes what follows
//! from the messages: the conversion of the samplers' options, so that a new sampler needs no code
//! here; the table by which messages are measured; and servers that get undecoded messages.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet};

#[path = "build/shapes.rs"]
mod shapes;

#[path = "build/undecoded.rs"]
mod undecoded;

const FILES: [&str; 3] = ["ddpm/v1/sampling.proto", "ddpm/v1/model.proto", "ddpm/v1/server.proto"];

/// Fields of `Sampler.kind` that are no samplers.
const NO_SAMPLERS: [&str; 2] = ["auto", "program"];

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=ddpm");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=build");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let descriptors = compiler.file_descriptor_set();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("ddpm.v1.bin"), descriptors.encode_to_vec())?;
    fs::write(out.join("samplers.rs"), sampler_conversion(&descriptors)?)?;
    fs::write(out.join("shapes.rs"), shapes::table(&descriptors)?)?;
    undecoded::generate(&descriptors);
    tonic_prost_build::configure()
        .bytes(".")
        .extern_path(".ddpm.v1.Program", "crate::program::Program")
        .compile_fds(descriptors)?;
    Ok(())
}

/// `read` and `write`, between `Sampler.kind` and the fields of its messages by name, and `codes`,
/// the numbers of enums; see `convert/sampler.rs`, which includes them.
fn sampler_conversion(descriptors: &FileDescriptorSet) -> Result<String, Failure> {
    let (mut read, mut write, mut codes) = (String::new(), String::new(), String::new());
    for kind in &message(descriptors, "Sampler")?.field {
        let (field, variant) = (kind.name(), camel_case(kind.name()));
        if NO_SAMPLERS.contains(&field) {
            continue;
        }
        let options = message(descriptors, kind.type_name())?;
        let (mut values, mut fields) = (String::new(), String::new());
        for option in &options.field {
            let name = option.name();
            let (from, to) = option_conversion(descriptors, field, option)?;
            writeln!(values, "            ({name:?}, {from}),")?;
            writeln!(fields, "            {name}: {to},")?;
            if option.r#type() == Type::Enum {
                let names = value_names(enumeration(descriptors, option.type_name())?)?;
                writeln!(codes, "        ({field:?}, {name:?}) => &{names:?},")?;
            }
        }
        let message = options.name();
        let used = if options.field.is_empty() { "_" } else { "message" };
        writeln!(
            read,
            "        Kind::{variant}({used}) => ({field:?}, vec![\n{values}        ]),"
        )?;
        writeln!(
            write,
            "        {field:?} => Kind::{variant}(v1::{message} {{\n{fields}        }}),"
        )?;
    }
    Ok(format!(
        "/// The field and the options of a sampler's message; `None` for what is no sampler.\n\
         fn read(kind: &Kind) -> Result<Option<Read>, Fault> {{\n    \
             Ok(Some(match kind {{\n{read}        \
                 Kind::Auto(_) | Kind::Program(_) => return Ok(None),\n    \
             }}))\n\
         }}\n\n\
         /// The message of a field; `None` if there is no such field or option.\n\
         fn write(field: &str, options: &[OptionInfo]) -> Option<Kind> {{\n    \
             Some(match field {{\n{write}        \
                 _ => return None,\n    \
             }})\n\
         }}\n\n\
         /// The numbers of the values of an option's enum, by name; empty if it is none.\n\
         fn codes(field: &str, option: &str) -> &'static [(i32, &'static str)] {{\n    \
             match (field, option) {{\n{codes}        \
                 _ => &[],\n    \
             }}\n\
         }}\n"
    ))
}

/// The expressions that read an option from `message` and write it from `options`.
fn option_conversion(
    descriptors: &FileDescriptorSet,
    sampler: &str,
    option: &FieldDescriptorProto,
) -> Result<(String, String), Failure> {
    let name = option.name();
    Ok(match (option.r#type(), option.proto3_optional()) {
        (Type::Double, true) => {
            let read = format!("message.{name}.map_or(Value::Absent, Value::Number)");
            (read, format!("Some(number(options, {name:?})?)"))
        }
        (Type::Double, false) => {
            (format!("Value::Number(message.{name})"), format!("number(options, {name:?})?"))
        }
        (Type::Uint32, true) => {
            let read = format!("message.{name}.map_or(Value::Absent, Value::Count)");
            (read, format!("Some(whole(options, {name:?})?)"))
        }
        (Type::Uint32, false) => {
            (format!("count(message.{name})"), format!("whole(options, {name:?})?"))
        }
        (Type::Bool, false) => {
            (format!("Value::Flag(message.{name})"), format!("flag(options, {name:?})?"))
        }
        (Type::Enum, false) => {
            let names = value_names(enumeration(descriptors, option.type_name())?)?;
            (
                format!("choice(\"{sampler}.{name}\", message.{name}, &{names:?})?"),
                format!("code_of(options, {name:?}, &{names:?})?"),
            )
        }
        (other, _) => {
            return Err(format!("{sampler}.{name}: no option is a {other:?}").into());
        }
    })
}

/// The names of an enum's values without their prefix, in kebab case; the first is 0, the default.
fn value_names(enumeration: &EnumDescriptorProto) -> Result<Vec<(i32, String)>, Failure> {
    let zero = enumeration.value.first().and_then(|value| value.name().strip_suffix("UNSPECIFIED"));
    let prefix = zero.ok_or_else(|| format!("{}: 0 is not unspecified", enumeration.name()))?;
    let name = |value: &str| -> Result<String, Failure> {
        let name = value.strip_prefix(prefix).ok_or_else(|| format!("{value}: not {prefix}…"))?;
        Ok(name.to_lowercase().replace('_', "-"))
    };
    let values = enumeration.value.iter().skip(1);
    values.map(|value| Ok((value.number(), name(value.name())?))).collect()
}

fn message<'a>(set: &'a FileDescriptorSet, name: &str) -> Result<&'a DescriptorProto, Failure> {
    let mut messages = set.file.iter().filter(|file| file.package() == "ddpm.v1");
    let found = messages
        .find_map(|file| file.message_type.iter().find(|message| message.name() == bare(name)));
    found.ok_or_else(|| format!("there is no message {name}").into())
}

fn enumeration<'a>(
    set: &'a FileDescriptorSet,
    name: &str,
) -> Result<&'a EnumDescriptorProto, Failure> {
    let mut files = set.file.iter().filter(|file| file.package() == "ddpm.v1");
    let found = files.find_map(|file| file.enum_type.iter().find(|one| one.name() == bare(name)));
    found.ok_or_else(|| format!("there is no enum {name}").into())
}

/// A name without its package.
fn bare(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// `edm_heun` as prost names a variant: `EdmHeun`.
fn camel_case(field: &str) -> String {
    let words = field.split('_').filter_map(|word| Some((word.get(..1)?, word.get(1..)?)));
    words.map(|(first, rest)| first.to_uppercase() + rest).collect()
}

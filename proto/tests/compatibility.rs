//! The contract only grows: no field, value or method of `contract.bin` changes
//! its number, type or name, or goes away.
//!
//! After an addition, `DDPM_UPDATE_CONTRACT=1 cargo test -p ddpm-proto` writes
//! the committed set again; review what it changes.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::path::Path;
use std::{env, fs};

use prost::Message;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

/// Everything that clients rely on, by its full name.
type Facts = BTreeMap<String, String>;

fn facts(bytes: &[u8]) -> Facts {
    let set = FileDescriptorSet::decode(bytes).expect("a descriptor set");
    let mut facts = Facts::new();
    for file in set.file.iter().filter(|file| file.package() == "ddpm.v1") {
        for message in &file.message_type {
            message_facts("ddpm.v1", message, &mut facts);
        }
        for enumeration in &file.enum_type {
            enum_facts("ddpm.v1", enumeration, &mut facts);
        }
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}/{}", service.name(), method.name());
                let shape = (method.input_type(), method.client_streaming());
                let answer = (method.output_type(), method.server_streaming());
                facts.insert(name, format!("{shape:?} -> {answer:?}"));
            }
        }
    }
    facts
}

fn message_facts(scope: &str, message: &DescriptorProto, facts: &mut Facts) {
    let scope = format!("{scope}.{}", message.name());
    for field in &message.field {
        let oneof = field.oneof_index.map(|at| message.oneof_decl[at as usize].name().to_owned());
        let fact = format!(
            "{} = {} {:?} {:?} {} {oneof:?}",
            field.name(),
            field.number(),
            field.r#type(),
            field.label(),
            field.type_name(),
        );
        facts.insert(format!("{scope}.{}", field.name()), fact);
    }
    for nested in &message.nested_type {
        message_facts(&scope, nested, facts);
    }
    for enumeration in &message.enum_type {
        enum_facts(&scope, enumeration, facts);
    }
}

fn enum_facts(scope: &str, enumeration: &EnumDescriptorProto, facts: &mut Facts) {
    for value in &enumeration.value {
        let name = format!("{scope}.{}.{}", enumeration.name(), value.name());
        facts.insert(name, value.number().to_string());
    }
}

/// The set without comments and places, which are no part of the contract.
fn bare(bytes: &[u8]) -> Vec<u8> {
    let mut set = FileDescriptorSet::decode(bytes).expect("a descriptor set");
    set.file.retain(|file| file.package() == "ddpm.v1");
    set.file.iter_mut().for_each(|file| file.source_code_info = None);
    set.encode_to_vec()
}

#[test]
fn no_field_value_or_method_changes_or_goes_away() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract.bin");
    if env::var_os("DDPM_UPDATE_CONTRACT").is_some() {
        fs::write(&path, bare(ddpm_proto::FILE_DESCRIPTOR_SET)).unwrap();
    }
    let committed = facts(&fs::read(&path).unwrap());
    let now = facts(ddpm_proto::FILE_DESCRIPTOR_SET);
    assert!(committed.len() > 100, "the committed set holds the contract");
    for (name, fact) in &committed {
        assert_eq!(now.get(name), Some(fact), "{name} changed");
    }
    let added: Vec<_> = now.keys().filter(|name| !committed.contains_key(*name)).collect();
    assert!(
        added.is_empty(),
        "{added:?} are new: run DDPM_UPDATE_CONTRACT=1 cargo test -p ddpm-proto and commit"
    );
}

#[test]
fn every_message_field_value_and_method_is_documented() {
    let set = FileDescriptorSet::decode(ddpm_proto::FILE_DESCRIPTOR_SET).unwrap();
    for file in set.file.iter().filter(|file| file.package() == "ddpm.v1") {
        let info = file.source_code_info.as_ref().expect("comments are kept");
        for location in &info.location {
            // Paths of messages, fields, oneofs, enums, values, services, methods
            // have pairs of (field of the descriptor, position).
            let kinds: Vec<i32> = location.path.iter().step_by(2).copied().collect();
            let documented =
                matches!(kinds[..], [4..=6] | [4..=6, 2] | [4, 8]) && location.path.len() % 2 == 0;
            if documented {
                let comment = location.leading_comments().trim();
                assert!(!comment.is_empty(), "{}: {:?} has no comment", file.name(), location.path);
            }
        }
    }
}

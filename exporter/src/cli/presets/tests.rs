use std::collections::BTreeSet;

use super::*;
use crate::cli::layers::Layer;

/// Returns the keys of a file as `section.key`.
fn keys(text: &str) -> BTreeSet<String> {
    let table: toml::Table = text.parse().unwrap();
    let names = |(section, value): (&String, &toml::Value)| match value {
        toml::Value::Table(keys) => keys.keys().map(|key| format!("{section}.{key}")).collect(),
        _ => vec![section.clone()],
    };
    table.iter().flat_map(names).collect()
}

/// Returns the template with its keys uncommented, except those that conflict with others.
fn uncommented() -> String {
    let uncomment = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.contains(" = ") && !rest.starts_with("epochs") => rest.to_owned(),
        _ => line.to_owned(),
    };
    TEMPLATE.lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_preset_is_a_file_of_known_keys() {
    for (name, text) in PRESETS {
        preset(name).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(text.starts_with("# "), "{name} has no description");
    }
    assert!(preset("cifar").unwrap_err().contains("cifar10, celeba, celebahq, mnist, small"));
}

#[test]
fn the_template_lists_every_known_key_and_no_other() {
    Layer::parse(&uncommented()).unwrap();
    // The error for an unknown key lists the known keys of its section.
    for (section, at_least) in
        [("data", 6), ("model", 10), ("diffusion", 14), ("train", 12), ("run", 7)]
    {
        let error = Layer::parse(&format!("[{section}]\nno_such_key = 1")).unwrap_err();
        let known: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
        let written = keys(&uncommented());
        let missing: Vec<_> = known
            .iter()
            .filter(|key| !["no_such_key", "epochs"].contains(key))
            .filter(|key| !key.contains(['[', ' ', '=']))
            .filter(|key| !written.contains(&format!("{section}.{key}")))
            .collect();
        assert!(missing.is_empty(), "{section}: {missing:?} in {error}");
        assert!(known.len() > at_least, "{section}: {error}");
    }
}

#[test]
fn a_template_for_a_preset_names_it() {
    assert!(text(Some("cifar10")).contains("\npreset = \"cifar10\"\n"));
    assert_eq!(keys(&text(Some("mnist"))), BTreeSet::from(["preset".to_owned()]));
    assert!(keys(&text(None)).is_empty());
}

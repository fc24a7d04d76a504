use std::collections::BTreeSet;

use super::*;
use crate::cli::layers::Layer;

/// The keys of a file, with their sections.
fn keys(text: &str) -> BTreeSet<String> {
    let table: toml::Table = text.parse().unwrap();
    let of = |(section, value): (&String, &toml::Value)| match value {
        toml::Value::Table(keys) => keys.keys().map(|key| format!("{section}.{key}")).collect(),
        _ => vec![section.clone()],
    };
    table.iter().flat_map(of).collect()
}

/// The template with its keys at work, but for those that exclude others.
fn uncommented() -> String {
    let at_work = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.contains(" = ") && !rest.starts_with("epochs") => rest.to_owned(),
        _ => line.to_owned(),
    };
    TEMPLATE.lines().map(at_work).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_preset_is_a_file_of_known_keys() {
    for (name, text) in PRESETS {
        preset(name).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(text.starts_with("# "), "{name} says what it is");
    }
    assert!(preset("cifar").unwrap_err().contains("cifar10, celeba, celebahq, mnist, small"));
}

#[test]
fn the_template_has_every_key_and_each_of_them_is_known() {
    Layer::parse(&uncommented()).unwrap();
    // An unknown key lists the known ones of its section.
    for (section, some) in
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
        assert!(known.len() > some, "{section}: {error}");
    }
}

#[test]
fn a_template_for_a_preset_names_it() {
    assert!(text(Some("cifar10")).contains("\npreset = \"cifar10\"\n"));
    assert_eq!(keys(&text(Some("mnist"))), BTreeSet::from(["preset".to_owned()]));
    assert!(keys(&text(None)).is_empty());
}

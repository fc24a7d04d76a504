//! The workspace itself: which crates may depend on which, and how source files look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::root;

/// Longest line of a source file, in characters: rustfmt does not wrap comments and strings.
const MAX_COLUMNS: usize = 100;

/// Returns the workspace crates that each crate needs, directly or not, tests aside.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &serde_json::Value| value["name"].as_str().unwrap().to_owned();
    let direct = |package: &serde_json::Value| {
        let all = package["dependencies"].as_array().unwrap();
        all.iter().filter(|dependency| dependency["kind"] != "dev").map(name).collect()
    };
    let packages = metadata["packages"].as_array().unwrap();
    let mut known: BTreeMap<String, BTreeSet<String>> =
        packages.iter().map(|package| (name(package), direct(package))).collect();
    loop {
        let before = known.clone();
        for needed in known.values_mut() {
            let further = needed.iter().filter_map(|name| before.get(name)).flatten();
            needed.extend(further.cloned().collect::<Vec<_>>());
        }
        if known == before {
            return known;
        }
    }
}

#[test]
fn no_crate_knows_more_than_the_layout_allows() {
    let known = dependencies();
    let torch = ["ddpm-torch", "tch", "torch-sys"];
    let exporter_side = ["ddpm-training", "ddpm-conversion", "ddpm-evaluation", "ddpm-exporter"];
    let stages = [&torch[..], &["ddpm-network"], &exporter_side].concat();
    let without_libtorch = [
        "ddpm-console",
        "ddpm-diffusion",
        "ddpm-files",
        "ddpm-package",
        "ddpm-graph",
        "ddpm-onnx",
        "ddpm-pictures",
        "ddpm-measures",
        "ddpm-data",
        "ddpm-proto",
        "ddpm-server",
        "ddpm-client",
    ];
    let mut forbidden: Vec<(&str, &[&str])> =
        without_libtorch.iter().map(|name| (*name, &stages[..])).collect();
    forbidden.extend([
        ("ddpm-network", &exporter_side[..]),
        ("ddpm-training", &["ddpm-evaluation", "ddpm-measures", "ddpm-conversion", "ddpm-onnx"]),
        ("ddpm-conversion", &["ddpm-training", "ddpm-evaluation", "ddpm-measures"]),
        ("ddpm-evaluation", &["ddpm-training", "ddpm-conversion"]),
        ("ddpm-console", &["ddpm-files", "ddpm-diffusion", "tokio"]),
        ("ddpm-graph", &["ddpm-package", "ort", "tokio"]),
        ("ddpm-diffusion", &["ddpm-console", "tokio", "rayon", "ddpm-files", "ddpm-package"]),
    ]);
    for (name, forbidden) in forbidden {
        let needed = known.get(name).unwrap_or_else(|| panic!("{name} is not in the workspace"));
        for other in forbidden {
            assert!(!needed.contains(*other), "{name} must not depend on {other}");
        }
    }
    // Only these may name the crates that wrap a runtime library.
    let users = |of: &[&str]| -> Vec<&str> {
        let direct = |name: &str| fs::read_to_string(manifest(name)).unwrap();
        let wraps = |text: &str| of.iter().any(|of| text.contains(&format!("\n{of}.workspace")));
        known.keys().map(String::as_str).filter(|name| wraps(&runtime(&direct(name)))).collect()
    };
    assert_eq!(users(&["ort"]), ["ddpm-onnx"]);
    assert!(
        users(&["tch"])
            .iter()
            .all(|name| known[*name].contains("ddpm-torch") || *name == "ddpm-torch")
    );
}

#[test]
fn every_crate_that_links_libtorch_can_find_it_at_run_time() {
    let known = dependencies();
    for name in known.keys().filter(|name| known[*name].contains("ddpm-torch")) {
        let text = fs::read_to_string(manifest(name)).unwrap();
        assert!(text.contains("torch/link.rs\""), "{name} lacks the build script torch/link.rs");
        // Cargo tells the folder of libtorch to direct dependents only.
        assert!(text.contains("\nddpm-torch.workspace"), "{name} must name ddpm-torch itself");
    }
}

/// Returns the part of a manifest before its test dependencies.
fn runtime(manifest: &str) -> String {
    manifest.split("[dev-dependencies]").next().unwrap_or_default().to_owned()
}

fn manifest(name: &str) -> PathBuf {
    let short = name.trim_start_matches("ddpm-");
    let places = [root().join("crates").join(short), root().join(short)];
    let found = places.iter().map(|place| place.join("Cargo.toml")).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is neither in crates/ nor at the top"))
}

/// Lists every Rust file of the project.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["crates", "proto", "server", "exporter", "client", "tests"]
        .map(|top| root().join(top))
        .into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 300, "{} files are too few to be all", found.len());
    found
}

#[test]
fn no_line_is_longer_than_a_hundred_columns() {
    let long = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let lines = text.lines().enumerate();
        let too_long = lines.filter(|(_, line)| line.chars().count() > MAX_COLUMNS);
        too_long.map(|(number, _)| format!("{}:{}", path.display(), number + 1)).collect()
    };
    let found: Vec<String> = sources().iter().flat_map(|path| long(path)).collect();
    assert!(found.is_empty(), "wrap these lines:\n{}", found.join("\n"));
}

#[test]
fn programs_print_with_what_survives_a_reader_that_is_gone() {
    // These macros panic when the pipe is closed or the disk behind it is full.
    let macros = ["println!", "eprintln!", "print!(", "eprint!("];
    let tests = |path: &Path| {
        let mut names = path.components().filter_map(|part| part.as_os_str().to_str());
        names.any(|name| ["tests", "examples", "build.rs", "link.rs", "tests.rs"].contains(&name))
    };
    let prints = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let code = text.lines().enumerate().filter(|(_, line)| !line.trim().starts_with("//"));
        let found = code.filter(|(_, line)| macros.iter().any(|name| line.contains(name)));
        found.map(|(number, _)| format!("{}:{}", path.display(), number + 1)).collect()
    };
    let relative = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_path_buf();
    let all = sources();
    let programs = all.iter().filter(|path| !tests(&relative(path)));
    let found: Vec<String> = programs.flat_map(|path| prints(path)).collect();
    assert!(found.is_empty(), "use ddpm_console::note! or print:\n{}", found.join("\n"));
}

#[test]
fn imports_name_one_module_per_line() {
    let nested = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        let trees = use_trees(&text).filter(|tree| names_several_modules(tree));
        trees.map(|tree| format!("{}: use {tree}", path.display())).collect()
    };
    let found: Vec<String> = sources().iter().flat_map(|path| nested(path)).collect();
    assert!(found.is_empty(), "write one line per module:\n{}", found.join("\n"));
}

/// Returns what each `use` statement of a file imports.
fn use_trees(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(';').filter_map(|statement| {
        let line = statement.lines().position(|line| line.trim_start().starts_with("use "))?;
        let from = statement.lines().nth(line)?;
        let at = from.as_ptr() as usize - statement.as_ptr() as usize;
        let tree = statement[at..].trim_start().strip_prefix("use ")?.strip_suffix(';')?;
        // Sentences in strings begin with the word too.
        let of_trees = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_:{},*".contains(c);
        tree.chars().all(of_trees).then_some(tree)
    })
}

/// Returns whether the braces of an import hold a path: then it names more than one module.
fn names_several_modules(tree: &str) -> bool {
    tree.split_once('{').is_some_and(|(_, list)| list.contains("::") || list.contains('{'))
}

#[test]
fn an_import_of_several_modules_is_noticed_wherever_it_stands() {
    let text = [
        "//! Text.\n\nuse a::b;\nuse std::{fmt, io::{self, Read}};\n",
        "mod x {\n    use c::{d, e};\n    use f::{\n        g::h,\n    };\n}\n",
    ]
    .concat();
    let found: Vec<bool> = use_trees(&text).map(names_several_modules).collect();
    assert_eq!(found, [false, true, false, true]);
}

//! The files of weights in a folder of diffusers, by their names:
//!
//! ```text
//! diffusion_pytorch_model.safetensors              whole
//! diffusion_pytorch_model.fp16.safetensors         a variant
//! diffusion_pytorch_model.safetensors.index.json   the list of several, of which each is
//! diffusion_pytorch_model-00001-of-00002.safetensors
//! ```
//!
//! `.bin` in place of `.safetensors` is a pickle. Accelerate calls the same files `model` and
//! `pytorch_model`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::import::{ImportError, ImportOptions, WeightsChoice};

/// Beginnings of the names, the preferred first.
const STEMS: [&str; 3] = ["diffusion_pytorch_model", "model", "pytorch_model"];
/// Variants of programs that save both weights, without and with the moving average.
const NON_EMA: &str = "non_ema";
const EMA: &str = "ema";

/// The file chosen, and whether its name says which weights it holds.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) path: PathBuf,
    /// The weights that the variant stands for, if it says so.
    pub(super) stated: Option<WeightsChoice>,
    pub(super) notes: Vec<String>,
}

/// A file of weights. The order is that of preference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    stem: usize,
    is_pickle: bool,
    is_index: bool,
    variant: String,
    name: String,
}

/// Chooses the file of weights in a folder.
///
/// # Errors
///
/// [`ImportError::Format`] if there is none, or several without a preferred one.
pub(super) fn choose(folder: &Path, options: &ImportOptions) -> Result<Chosen, ImportError> {
    let names = names(folder)?;
    let all: Vec<Candidate> = names.iter().filter_map(|name| candidate(name)).collect();
    let Some(first) = all.iter().map(|candidate| candidate.stem).min() else {
        return Err(ImportError::format(folder, &nothing(&names)));
    };
    let mut all: Vec<Candidate> = all.into_iter().filter(|found| found.stem == first).collect();
    all.sort();
    let variants: BTreeSet<&str> = all.iter().map(|found| found.variant.as_str()).collect();
    let variant = variant(&variants, options)
        .map_err(|problem| ImportError::format(folder, &problem))?
        .to_owned();
    let stated = match variant.split('.').next() {
        Some(NON_EMA) => Some(WeightsChoice::Raw),
        Some(EMA) => Some(WeightsChoice::Ema),
        Some("") if variants.contains(NON_EMA) => Some(WeightsChoice::Ema),
        Some("") if variants.contains(EMA) => Some(WeightsChoice::Raw),
        _ => None,
    };
    let (chosen, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|found| found.variant == variant);
    let (taken, same) = chosen.split_first().expect("the variant is that of a candidate");
    let left: Vec<&str> = same.iter().chain(&others).map(|found| found.name.as_str()).collect();
    let mut notes = Vec::new();
    if !left.is_empty() {
        let flag = if others.is_empty() { "" } else { "; --variant NAME names another" };
        notes.push(format!("{} is taken, not {}{flag}", taken.name, left.join(" and ")));
    } else if !variant.is_empty() {
        notes.push(format!("the weights are those of the variant {variant}, the only one"));
    }
    Ok(Chosen { path: folder.join(&taken.name), stated, notes })
}

/// Lists the files of a folder; links count as what they point to.
fn names(folder: &Path) -> Result<Vec<String>, ImportError> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(ImportError::read(folder))? {
        let entry = entry.map_err(ImportError::read(folder))?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Reads a name; `None` if it is not that of weights, or of one file among several.
fn candidate(name: &str) -> Option<Candidate> {
    let mut parts = name.split('.');
    let first = parts.next()?;
    let stem = STEMS.iter().position(|stem| *stem == first)?;
    let parts: Vec<&str> = parts.collect();
    let is_index = parts.contains(&"index") && parts.last() == Some(&"json");
    let format = *if is_index {
        parts.iter().find(|part| ["safetensors", "bin"].contains(*part))?
    } else {
        parts.last().filter(|part| ["safetensors", "bin"].contains(*part))?
    };
    let rest = parts.iter().filter(|part| ![format, "index", "json"].contains(*part));
    let variant: Vec<&str> = rest.copied().collect();
    let variant = variant.join(".");
    (!is_shard(&variant)).then(|| Candidate {
        stem,
        is_pickle: format == "bin",
        is_index,
        variant,
        name: name.to_owned(),
    })
}

/// Whether a name is that of one file among several: `…-00001-of-00002…`.
fn is_shard(name: &str) -> bool {
    name.split("-of-").count() > 1
}

/// Chooses among variants; the empty name is that of the plain files.
fn variant<'a>(variants: &BTreeSet<&'a str>, options: &ImportOptions) -> Result<&'a str, String> {
    let list = || {
        let named: Vec<_> = variants.iter().filter(|name| !name.is_empty()).collect();
        named.iter().map(|name| format!("--variant {name}")).collect::<Vec<_>>().join(" or ")
    };
    if let Some(wanted) = &options.variant {
        let found = variants.get(wanted.as_str()).copied();
        return found.ok_or_else(|| match list() {
            list if list.is_empty() => "it has no variants: leave out --variant".to_owned(),
            list => format!("it has no variant {wanted:?}: say {list}"),
        });
    }
    let preferred = match options.weights {
        Some(WeightsChoice::Raw) => [NON_EMA, ""],
        _ => [EMA, ""],
    };
    if let Some(found) = preferred.iter().find_map(|name| variants.get(name)) {
        return Ok(found);
    }
    match variants.len() {
        1 => Ok(variants.first().copied().unwrap_or_default()),
        _ => Err(format!("it has several variants of the weights: say {}", list())),
    }
}

fn nothing(names: &[String]) -> String {
    if let Some(shard) = names.iter().find(|name| is_shard(name)) {
        let example = "diffusion_pytorch_model.safetensors.index.json";
        return format!("it has {shard}, but no list of such files ({example}): copy that too");
    }
    let wanted = ["safetensors", "bin"].map(|end| format!("{}.{end}", STEMS[0]));
    format!("it has no {}", wanted.join(" and no "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str) -> Option<(bool, bool, String)> {
        candidate(name).map(|found| (found.is_pickle, found.is_index, found.variant))
    }

    #[test]
    fn names_tell_format_variant_and_index() {
        let whole = |pickle, variant: &str| Some((pickle, false, variant.to_owned()));
        let index = |pickle, variant: &str| Some((pickle, true, variant.to_owned()));
        for (name, expected) in [
            ("diffusion_pytorch_model.safetensors", whole(false, "")),
            ("diffusion_pytorch_model.bin", whole(true, "")),
            ("diffusion_pytorch_model.fp16.safetensors", whole(false, "fp16")),
            ("diffusion_pytorch_model.non_ema.bin", whole(true, "non_ema")),
            ("diffusion_pytorch_model.safetensors.index.json", index(false, "")),
            ("diffusion_pytorch_model.safetensors.index.fp16.json", index(false, "fp16")),
            ("pytorch_model.bin.index.json", index(true, "")),
            ("model.safetensors", whole(false, "")),
            ("diffusion_pytorch_model-00001-of-00002.safetensors", None),
            ("diffusion_pytorch_model.fp16-00001-of-00002.safetensors", None),
            ("diffusion_pytorch_model.safetensors.lock", None),
            ("diffusion_flax_model.msgpack", None),
            ("config.json", None),
            ("optimizer.bin", None),
        ] {
            assert_eq!(parsed(name), expected, "{name}");
        }
    }

    #[test]
    fn a_variant_is_chosen_by_its_meaning_or_by_name() {
        let chosen = |variants: &[&'static str], options: &ImportOptions| {
            variant(&variants.iter().copied().collect(), options)
        };
        let (raw, none) = (
            ImportOptions { weights: Some(WeightsChoice::Raw), ..ImportOptions::default() },
            ImportOptions::default(),
        );
        assert_eq!(chosen(&["", "fp16", "non_ema"], &none), Ok(""));
        assert_eq!(chosen(&["", "fp16", "non_ema"], &raw), Ok("non_ema"));
        assert_eq!(chosen(&["", "ema"], &none), Ok("ema"));
        assert_eq!(chosen(&["", "ema"], &raw), Ok(""));
        assert_eq!(chosen(&["fp16"], &none), Ok("fp16"));
        let several = chosen(&["bf16", "fp16"], &none).unwrap_err();
        assert!(several.contains("--variant bf16 or --variant fp16"), "{several}");
        let fp32 = ImportOptions { variant: Some("fp32".into()), ..none };
        assert!(chosen(&["", "fp16"], &fp32).unwrap_err().contains("--variant fp16"));
        assert!(chosen(&[""], &fp32).unwrap_err().contains("leave out --variant"));
    }
}

//! Parsers of names as users type them, and names for models.

use std::path::Path;

use ddpm_data::Source;
use ddpm_diffusion::{BetaSchedule, Prediction, Variance};

/// Finds `text` in a table of (name, value), or lists the names in it.
fn find<T: Copy>(table: &[(&'static str, T)], text: &str) -> Result<T, String> {
    let found = table.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
        format!("use one of {}", names.join(", "))
    })
}

pub(super) fn beta_schedule(text: &str) -> Result<BetaSchedule, String> {
    find(&BetaSchedule::NAMES, text)
}

pub(super) fn prediction(text: &str) -> Result<Prediction, String> {
    find(&Prediction::NAMES, text)
}

pub(super) fn variance(text: &str) -> Result<Variance, String> {
    find(&Variance::NAMES, text)
}

/// Most bytes of a model's name.
const MAX_NAME: usize = 64;
/// Endings of data files, the longer first.
const ARCHIVES: [&str; 6] = [".tar.gz", ".tgz", ".tar", ".zip", ".parquet", ".mdb"];
/// Names of folders that say nothing about what they hold.
const PARTS: [&str; 2] = ["unet", "unet_ema"];

/// Derives a model's name from a file, without its extension, or a folder. Parts of diffusers'
/// folders and its checkpoints are called after the folder they lie in.
pub(super) fn model_name(path: &Path) -> String {
    let mut path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_part = |name: &str| PARTS.contains(&name) || name.starts_with("checkpoint-");
    while path.is_dir() && is_part(&name(&path)) && path.pop() {}
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    plain(&name.unwrap_or_default().to_string_lossy()).unwrap_or_else(|| "model".to_owned())
}

/// Names a model after its data: a folder or an archive has a name of its own, published sets go
/// by that of their format.
pub(super) fn data_name(source: &Source) -> String {
    // mnist for `mnist:a/b`, glyphs for `glyphs:500`.
    let text = source.to_string();
    let kind = text.split(':').next().unwrap_or(&text).to_owned();
    let (Source::Folder(path)
    | Source::Parquet(path)
    | Source::Lsun(path)
    | Source::CelebAHq(path)) = source
    else {
        return kind;
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = match ARCHIVES.iter().find_map(|ending| name.strip_suffix(ending)) {
        Some(stem) if !path.is_dir() => stem,
        _ => &name,
    };
    plain(name).unwrap_or(kind)
}

/// Cleans a text to what a model's name may be, with `-` for any other characters; `None` if no
/// letter or digit is left.
fn plain(text: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let text: String =
        text.to_lowercase().chars().map(|c| if allowed(c) { c } else { '-' }).collect();
    // Only ASCII is left, so any index is that of a character.
    let text = &text[..text.len().min(MAX_NAME)];
    let text = text.trim_matches(['-', '.', '_']);
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_becomes_a_valid_model_name() {
        assert_eq!(model_name(Path::new("a/My Net_2.json")), "my-net_2");
        assert_eq!(model_name(Path::new("a/\u{43a}.pt")), "model");
        let long = "x".repeat(100);
        assert_eq!(model_name(Path::new(&long)).len(), MAX_NAME);
    }

    #[test]
    fn a_model_is_called_after_its_data() {
        for (source, name) in [
            ("folder:a/My Cats", "my-cats"),
            ("folder:b/pictures.zip", "pictures"),
            ("folder:b/pictures.v2", "pictures.v2"),
            ("folder:/data/\u{43a}\u{43e}\u{442}", "folder"),
            ("folder:/", "folder"),
            ("folder:a/..", "folder"),
            ("lsun:bedroom_train_lmdb", "bedroom_train_lmdb"),
            ("parquet:a/train-00000-of-00001.parquet", "train-00000-of-00001"),
            ("celebahq:faces.tar.gz", "faces"),
            ("mnist:a/b", "mnist"),
            ("cifar10:/c", "cifar10"),
            ("glyphs:500", "glyphs"),
        ] {
            assert_eq!(data_name(&source.parse().unwrap()), name, "{source}");
        }
        let here = data_name(&"folder:.".parse().unwrap());
        assert!(!here.is_empty() && here != ".", "{here}");
    }
}

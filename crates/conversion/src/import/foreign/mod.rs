//! What a file is that cannot be imported, and what to do instead: other programs save under the
//! same endings, and a download may be something else altogether.

mod names;
pub(super) use names::by_names;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::ImportError;

/// Bytes at the beginning of a file that are searched for the names of Python's modules.
const HEAD: u64 = 1 << 20;

/// What to do about a network that has no counterpart here.
const NO_COUNTERPART: &str = "only networks of ddpm-torch and UNet2DModels of diffusers can be \
                              imported; train one here with `ddpm-exporter train --data \
                              folder:PICTURES --out runs/mine`";

/// Refuses a file whose first bytes show that it holds no weights.
///
/// # Errors
///
/// [`ImportError::Read`] if the operating system refuses, [`ImportError::Format`] with what the
/// file is.
pub(super) fn by_content(path: &Path) -> Result<(), ImportError> {
    if path.is_dir() {
        return Err(ImportError::format(path, &"it is a folder, not a file of weights"));
    }
    let head = head(path, 512)?;
    if begins_as_safetensors(&head) {
        // Its length may look like the beginning of anything.
        return Ok(());
    }
    match content(&head) {
        Some(what) => Err(ImportError::format(path, &what)),
        None if is_onnx(path, &head) => {
            let problem = format!(
                "it is an ONNX graph, which holds no settings of the network: import the weights \
                 that it was made from; {NO_COUNTERPART}"
            );
            Err(ImportError::format(path, &problem))
        }
        None => Ok(()),
    }
}

/// Returns the error of a pickle that holds objects of a program's own classes.
pub(super) fn by_pickle(path: &Path) -> Option<ImportError> {
    let head = head(path, HEAD).ok()?;
    let has = |name: &str| head.windows(name.len()).any(|bytes| bytes == name.as_bytes());
    let what = if has("torch_utils.persistence") || has("_reconstruct_persistent_obj") {
        "it is a network of NVlabs' EDM or StyleGAN, pickled with its program"
    } else if has("pytorch_lightning") || has("pytorch-lightning_version") {
        "it is a checkpoint of PyTorch Lightning with objects of its program"
    } else if has("__torch__") {
        "it is a TorchScript archive: a program with its weights"
    } else {
        return None;
    };
    Some(ImportError::format(path, &format!("{what}; {NO_COUNTERPART}")))
}

/// Returns whether a file begins as safetensors do, whatever its name: with the length of a header
/// that is JSON.
pub(super) fn is_safetensors(path: &Path) -> Result<bool, ImportError> {
    let head = head(path, 16)?;
    let by_name = path.extension().is_some_and(|end| end == "safetensors");
    // An archive of PyTorch may have a wrong name; anything else of this one is a damaged file.
    Ok(begins_as_safetensors(&head) || by_name && !head.starts_with(b"PK"))
}

/// Returns whether these are the length of a header, below 128 MiB, and the beginning of its JSON.
fn begins_as_safetensors(head: &[u8]) -> bool {
    let length = head.first_chunk::<8>().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length < 1 << 27) && head.get(8) == Some(&b'{')
}

fn head(path: &Path, limit: u64) -> Result<Vec<u8>, ImportError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(ImportError::read(path))?;
    file.take(limit).read_to_end(&mut head).map_err(ImportError::read(path))?;
    Ok(head)
}

/// Returns what a file is whose first bytes are those of another format.
fn content(head: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    let starts = |beginnings: &[&str]| beginnings.iter().any(|start| text.starts_with(start));
    if head.is_empty() {
        return Some("it is empty: the download or the copy failed; fetch it again");
    }
    if head.iter().all(|&byte| byte == 0) {
        return Some("it begins with zeros only: the download was interrupted; fetch it again");
    }
    if starts(&["version https://git-lfs.github.com/spec"]) {
        return Some(
            "it is a pointer of Git LFS, not the file itself: fetch that with `git lfs pull`",
        );
    }
    if starts(&["<!doctype", "<html", "<?xml", "<head"]) {
        return Some(
            "it is a web page, not a file of weights: the download needs another address, or a \
             login",
        );
    }
    if starts(&["{", "["]) {
        return Some("no PyTorch file: it is JSON; a file of settings goes to --config");
    }
    let formats: [(&[u8], &'static str); 7] = [
        (b"\x89HDF", "it is an HDF5 file, as Keras writes; weights of PyTorch are needed"),
        (b"GGUF", "it is a GGUF file, a quantised model; weights as float32 are needed"),
        (b"\x93NUMPY", "it is an array of NumPy, which holds one tensor without a name"),
        (b"\x1f\x8b", "it is compressed by gzip: unpack it first"),
        (b"\x89PNG", "it is a picture"),
        (b"\xff\xd8\xff", "it is a picture"),
        (b"#!", "it is a script"),
    ];
    formats.into_iter().find(|(start, _)| head.starts_with(start)).map(|(_, what)| what)
}

/// Returns whether a file is an ONNX graph: by its ending, or by its first field, the version, with
/// the producer's name after it.
fn is_onnx(path: &Path, head: &[u8]) -> bool {
    path.extension().is_some_and(|end| end == "onnx") || matches!(head, [0x08, 3..=20, 0x12, ..])
}

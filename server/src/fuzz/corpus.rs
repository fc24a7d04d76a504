//! The inputs that are kept, a file each.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Most bytes of the inputs of one target.
const MAX_BYTES: usize = 70 << 10;

/// Most bytes of an input that is kept for its outcome.
pub(super) const MAX_INPUT: usize = 2 << 10;

/// The inputs of one target.
pub(super) struct Corpus {
    folder: PathBuf,
    pub(super) inputs: Vec<Vec<u8>>,
}

impl Corpus {
    /// Reads the inputs of a target, in the order of their names; none if there is no folder.
    pub(super) fn read(target: &str) -> io::Result<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let mut inputs = Vec::new();
        if folder.exists() {
            let entries: Result<Vec<_>, _> = fs::read_dir(&folder)?.collect();
            let mut paths: Vec<PathBuf> = entries?.iter().map(fs::DirEntry::path).collect();
            paths.sort();
            inputs = paths.iter().map(fs::read).collect::<Result<_, _>>()?;
        }
        Ok(Self { folder, inputs })
    }

    /// Keeps an input while there is room.
    pub(super) fn keep(&mut self, input: Vec<u8>) -> io::Result<()> {
        let bytes: usize = self.inputs.iter().map(Vec::len).sum();
        if input.len() <= MAX_INPUT && bytes + input.len() <= MAX_BYTES {
            self.write("", &input)?;
            self.inputs.push(input);
        }
        Ok(())
    }

    /// Keeps an input that broke a promise, whatever its size; returns its path.
    pub(super) fn keep_broken(&self, input: &[u8]) -> io::Result<PathBuf> {
        self.write("broken-", input)
    }

    fn write(&self, prefix: &str, input: &[u8]) -> io::Result<PathBuf> {
        fs::create_dir_all(&self.folder)?;
        let digest = Sha256::digest(input);
        let name: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let path = self.folder.join(format!("{prefix}{name}"));
        fs::write(&path, input)?;
        Ok(path)
    }
}

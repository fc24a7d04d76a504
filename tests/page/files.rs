//! What the page saves, as Python sees it, and pictures to give it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::harness::root;
use crate::stage::Page;

/// A folder for what a page saves.
pub(crate) struct Saved(TempDir);

impl Saved {
    pub(crate) fn new(page: &Page) -> Self {
        let folder = tempfile::tempdir().unwrap();
        page.download_to(folder.path());
        Self(folder)
    }

    /// Presses a button and waits for the file that it saves.
    #[track_caller]
    pub(crate) fn press(&self, page: &Page, button: &str) -> PathBuf {
        let before = self.files();
        page.click(button);
        page.poll(&format!("a file from {button}"), || {
            let new = self.files().into_iter().find(|file| !before.contains(file))?;
            // It has a name of its own until it is whole.
            let whole = new.extension().is_some_and(|extension| extension != "crdownload");
            (whole && fs::metadata(&new).is_ok_and(|it| it.len() > 0)).then_some(new)
        })
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let visible = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            !name.starts_with('.') && !name.ends_with(".crdownload")
        };
        entries.map(|entry| entry.unwrap().path()).filter(visible).collect()
    }
}

/// Opens a file with PIL, numpy or json, by its ending, and returns what is in it: see
/// `files.py`.
#[track_caller]
pub(crate) fn in_python(file: &Path) -> Value {
    let output = Command::new("python3")
        .arg(root().join("tests/page/files.py"))
        .arg(file)
        .env("PYTHONPATH", peers())
        .output()
        .expect("python3 is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {errors}", file.display());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Returns the folder of the packages that tests need.
pub(crate) fn peers() -> PathBuf {
    let folder = root().join(".peers");
    let there = folder.join("axe_playwright_python/axe.min.js").is_file();
    assert!(there, "run `tools/setup.sh python tests/python/axe.txt` first");
    folder
}

/// A 16 x 16 picture with a colour of its own in each pixel.
pub(crate) fn pixels() -> Vec<u8> {
    let pixel = |at: usize| [at % 16 * 16, at / 16 * 16, 255 - at].map(|value| value as u8);
    (0..256).flat_map(pixel).collect()
}

/// Writes [`pixels`] as a PNG file.
pub(crate) fn write_picture(path: &Path) {
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), 16, 16);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&pixels()).unwrap();
}
